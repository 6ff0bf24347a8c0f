"""The login of the merchant's account: what an answer without a token means."""

from worker.iamport.answer import FORBIDDEN, TOO_MANY_REQUESTS, UNAUTHORIZED, Answer

LOGIN_REFUSED, LOGIN_FAILED, LOGIN_THROTTLED = "login_refused", "login_failed", "login_throttled"
REFUSED = {UNAUTHORIZED, FORBIDDEN}  # the keys, or the account's list of callers; of an envelope, not of a page


def login_problem(answer: Answer) -> str | None:
    """The reason why there is no token; None if there is one."""
    if answer.token is not None:
        return None
    if answer.status in REFUSED and answer.code is not None:
        return LOGIN_REFUSED
    return LOGIN_THROTTLED if answer.status == TOO_MANY_REQUESTS else LOGIN_FAILED


def advice(answer: Answer) -> str:
    """The problem in words, with what to do."""
    if login_problem(answer) == LOGIN_REFUSED:
        return "IMP_KEY and IMP_SECRET are refused: compare them with i'mport's console"
    if not answer.was_sent:
        return "IMP_API_URL cannot be reached: is the way out open, or IMP_PROXY_URL needed?"
    return f"answers HTTP {answer.status}" if answer.status else "does not answer"
