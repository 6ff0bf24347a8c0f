"""Labels: the code of an outcome, as far as a metric may show it. A record that was tampered with adds no series."""

from producer.contract.outcome import Outcome
from worker.iamport import gateways

NONE, OTHER = "none", "other"
OUR_WORDS = frozenset(
    (
        *("newer_card", "key_not_stored", "deadline", "turn", "order", "unsent", "throttled", "token_refused"),
        *("token_awaited", "login_refused", "login_failed", "login_throttled", "vault_silent", "unknown_kid", "paused"),
        *("send_again", "no_clock", "vault_lost", "shutdown", "edge_page", "gateway_trouble", "look_up", "no_answer"),
        *("cancelled", "order_in_doubt", "replaced_elsewhere", "quarantined", "operator", "duplicate_merchant_uid"),
        *("unknown_producer", "unknown_operation", "birth_required", "pwd_2digit_required"),
        *("bad_base64", "bad_epk", "bad_json", "bad_member", "bad_segment", "bad_signature", "duplicate_member"),
        *("header_too_long", "not_allowed", "not_compact", "too_long", "too_long_life", "envelope_expired"),
        *("not_yet_valid", "wrong_alg", "wrong_curve", "wrong_enc", "wrong_members", "wrong_typ", "does_not_open"),
        *("invalid_card", "card_in_open_field", "other_customer_uid", "other_job_id", "other_merchant_uid"),
        *("other_operation", "other_purpose", "wrong_purpose", "other_request", "other_sequence"),
        *("other_accepted_at", "other_expires_at", "other_as_of", "newer_unknown"),
    )
)
PG_CODES = gateways.OF_ISSUES.keys() | gateways.OF_PAYMENTS.keys()


def code_of(outcome: Outcome) -> str:
    """Our own word, else the gateway's code if a table has it; ``other`` for all else, ``none`` where there is none."""
    if isinstance(outcome.code, str):
        return outcome.code if outcome.code in OUR_WORDS else OTHER
    if outcome.pg_code is not None:
        return outcome.pg_code if outcome.pg_code in PG_CODES else OTHER
    return OTHER if outcome.code else NONE
