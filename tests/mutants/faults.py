"""The faults: a piece of the product, what stands there instead, and what must find it."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A fault.

    Args:
        name: what goes wrong.
        path: of the file.
        right, wrong: text that stands there once, and its replacement.
        test: what must fail; empty for the model.
    """

    name: str
    path: str
    right: str
    wrong: str
    test: str = ""


RETRY, MODEL, VERDICT = "worker/retry.py", "worker/model.py", "worker/iamport/verdict.py"
CLAIM, FINISH, WAIT, HOLD = (f"worker/lua/{name}.lua" for name in ("claim", "finish", "wait", "hold"))
ISSUANCE, ASKED, SENT = "worker/issuance.py", "worker/lua/asked.lua", "worker/lua/sent.lua"

OLD_FAULTS = (
    Mutant(
        "a refusal after an unanswered POST ends declined",
        RETRY,
        "    if is_first and verdict in FINAL:",
        "    if verdict in FINAL:",
    ),
    Mutant(
        "sent again and again after unanswered POSTs",
        RETRY,
        "    return is_unknown and not lease.is_doubtful",
        "    return is_unknown",
    ),
    Mutant(
        "a page of the edge is sent again without a look-up",
        RETRY,
        "NOT_DONE = {Verdict.UNSENT,",
        "NOT_DONE = {Verdict.EDGE_PAGE, Verdict.UNSENT,",
    ),
    Mutant(
        "a page of the edge says that a payment was not made",
        VERDICT,
        "    if judged.verdict is Verdict.EDGE_PAGE:",
        "    if False:",
    ),
    Mutant(
        "there is one already ends invalid without a look-up",
        RETRY,
        "    Verdict.INVALID: Status.INVALID,",
        "    Verdict.INVALID: Status.INVALID,\n    Verdict.THERE_IS_ONE: Status.INVALID,",
    ),
    Mutant(
        "any failed record proves a refusal",
        VERDICT,
        "    is_settled = len(near) >= ours.posts and all(_is_proof(found, ours) for found in near)",
        "    is_settled = True",
    ),
    Mutant(
        "a failed record with any reason proves a refusal",
        VERDICT,
        "    return is_ours and bool(found.fail_reason) and _failed(found).verdict is Verdict.DECLINED",
        "    return is_ours",
    ),
    Mutant(
        "one failed record proves that two POSTs were refused",
        VERDICT,
        "len(near) >= ours.posts and all(",
        "all(",
        "tests/worker/test_verdict.py",
    ),
    Mutant(
        "a payment that another card made counts as ours",
        VERDICT,
        "    is_foreign = ours.since is None or is_before or ours.is_other(found)",
        "    is_foreign = False",
    ),
    Mutant(
        "an older card of the customer_uid counts as ours",
        VERDICT,
        "    return self.since is None or at < self.since - TOLERANCE_S or at <= self.known_until",
        "    return False",
        "tests/worker/test_verdict.py",
    ),
    Mutant(
        "a ledger that forgot a POST is believed",
        MODEL,
        "        if mark is None or mark.attempts <= self.attempts:",
        "        if True:",
    ),
    Mutant(
        "a ledger that learned of a forgotten POST forgets that it is doubtful",
        HOLD,
        "  if ARGV[6] == '1' then redis.call('HSET', KEYS[1], 'doubtful', 1) end\n",
        "",
    ),
    Mutant(
        "a payment whose request is gone is lost without a look-up",
        RETRY,
        "    return None if lease.is_payment else End(Status.LOST, VAULT_LOST)",
        "    return End(Status.LOST, VAULT_LOST)",
        "tests/worker/test_issuance.py",
    ),
    Mutant(
        "two jobs of one order are sent at once",
        CLAIM,
        "  return not first or first == id",
        "  return true",
    ),
    Mutant(
        "an order that was paid, or may have been, is paid once more",
        RETRY,
        "    if lease.order_ended:",
        "    if False:",
    ),
    Mutant(
        "a POST is dated by the ledger's clock",
        ISSUANCE,
        "self._ledger.mark_sent(lease, imports_now)",
        "self._ledger.mark_sent(lease, lease.ledger_time(self._clock()))",
    ),
    Mutant(
        "a POST counts as not applied by the ledger's clock and not by look-ups",
        MODEL,
        "        return self.look_ups >= LOOK_UPS + early_look_ups(self.look_up_every_s)",
        "        return self.claimed_at - (self.sent_at or 0) > LOOK_UPS * self.look_up_every_s",
    ),
    Mutant(
        "a doubt that was looked up for long enough is forgotten",
        WAIT,
        "    redis.call('HSET', KEYS[1], 'doubtful', 1)\n",
        "",
    ),
    Mutant(
        "what a job in doubt sent may land after a newer card",
        FINISH,
        "    if left > 0 then\n",
        "    if false then\n",
    ),
    Mutant(
        "an older card does not wait for a newer one in doubt",
        CLAIM,
        "          if is_newer or not job.doubtful then wait_for(15) end",
        "",
    ),
    Mutant(
        "look-ups that an operator brings forward count",
        ASKED,
        "'look_ups', -1)",
        "'look_ups', 0)",
        "tests/worker/test_operator_actions.py",
    ),
    Mutant(
        "a row of an export goes over a card that was applied since",
        CLAIM,
        "(as_of and (tonumber(known[7]) or 0) > as_of)",
        "(as_of and false)",
    ),
    Mutant(
        "a row of an export that came later makes an open job of the page older",
        FINISH,
        "    is_newest = (tonumber(known[3]) or 0) <= as_of\n",
        "    is_newest, as_of, place = (tonumber(known[1]) or 0) < tonumber(job[3]), nil, tonumber(job[3])\n",
        "tests/worker/test_ledger_exports.py",
    ),
    Mutant(
        "a row from before the ledger's memory is sent without a question",
        ISSUANCE,
        "        if not lease.is_unsure and self._iamport.now() is not None:",
        "        if self._iamport.now() is not None:",
        "tests/worker/test_issuance.py",
    ),
    Mutant(
        "an operator ends a job that is in flight",
        ASKED,
        "  if not is_open or not (job[1] and within(job[2], job[3])) then",
        "  if true then",
        "tests/worker/test_operator_actions.py",
    ),
    Mutant(
        "a job that was in hand when a pause began is sent",
        SENT,
        "then return {3} end",
        "then end",
        "tests/worker/test_operator_actions.py",
    ),
    Mutant(
        "a late refusal overturns a later POST",
        FINISH,
        "(ARGV[6] == 'last' and is_last)",
        "ARGV[6] == 'last'",
        "tests/worker/test_ledger.py tests/worker/test_ledger_order.py tests/worker/test_ledger_clock.py",
    ),
)
