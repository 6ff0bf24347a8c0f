"""The access token: one for the account at any time."""

import secrets
from collections.abc import Callable

from tests.fake_iamport.answers import BAD_LOGIN, LOGIN_INCOMPLETE, UNAUTHORIZED, Answer, refusal
from tests.fake_iamport.call import Call

LIFETIME_S = 30 * 60
EXTENDS_BELOW_S = 60
EXTENSION_S = 5 * 60


class TokenDesk:
    """Gives out and checks the token.

    Asked again while the token lives, i'mport answers the same token and the same expiry; in
    its last minute the same token with the expiry pushed by 5 minutes; afterwards a new one.
    """

    def __init__(self, imp_key: str, imp_secret: str, now: Callable[[], float]) -> None:
        self._login = (imp_key, imp_secret)
        self._now = now
        self._token = ""
        self._expired_at = 0

    def get_token(self, call: Call) -> Answer:
        """Answer POST /users/getToken."""
        if call.missing("imp_key", "imp_secret"):
            return refusal(LOGIN_INCOMPLETE, status=400)
        if (call.text("imp_key"), call.text("imp_secret")) != self._login:
            return refusal(BAD_LOGIN, status=401)
        now = int(self._now())
        left_s = self._expired_at - now
        if not self._token or left_s <= 0:
            self._token = secrets.token_hex(20)
            self._expired_at = now + LIFETIME_S
        elif left_s < EXTENDS_BELOW_S:
            self._expired_at += EXTENSION_S
        return Answer(response={"access_token": self._token, "now": now, "expired_at": self._expired_at})

    def refuse(self, call: Call) -> Answer | None:
        """Refuse a call without a living token; None lets it pass.

        ``Authorization`` (``Bearer`` or the bare token) wins over the old ``X-ImpTokenHeader``.
        """
        sent = call.header("Authorization") or call.header("X-ImpTokenHeader")
        scheme, _, token = sent.partition(" ")
        if scheme.lower() != "bearer":
            token = sent
        if self._token and token == self._token and self._now() < self._expired_at:
            return None
        return refusal(UNAUTHORIZED, status=401)

    def expire(self) -> None:
        """End the life of the token now."""
        self._token = ""
