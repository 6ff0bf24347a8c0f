"""The login of the merchant's account: what an answer without a token means."""

from worker.iamport.answer import TOO_MANY_REQUESTS, UNAUTHORIZED, Answer

LOGIN_REFUSED, LOGIN_FAILED, LOGIN_THROTTLED = "login_refused", "login_failed", "login_throttled"
PROBLEM_BY_STATUS = {UNAUTHORIZED: LOGIN_REFUSED, TOO_MANY_REQUESTS: LOGIN_THROTTLED}


def login_problem(answer: Answer) -> str | None:
    """The reason why there is no token; None if there is one."""
    return None if answer.token is not None else PROBLEM_BY_STATUS.get(answer.status, LOGIN_FAILED)


def advice(answer: Answer) -> str:
    """The problem in words, with what to do."""
    if login_problem(answer) == LOGIN_REFUSED:
        return "IMP_KEY and IMP_SECRET are refused: compare them with i'mport's console"
    if not answer.was_sent:
        return "IMP_API_URL cannot be reached: is the way out open, or IMP_PROXY_URL needed?"
    return f"answers HTTP {answer.status}" if answer.status else "does not answer"
