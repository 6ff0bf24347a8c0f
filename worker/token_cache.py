"""Token cache: one i'mport token for all workers.

1. This process remembers the token for as long as it lives.
2. Otherwise it lies in the vault, encrypted under a key derived from ``IMP_SECRET``, expiring with the token.
3. Otherwise one process fetches it, under a lock that names its owner, and the others wait for that.

A token's life is ``expired_at - now``, both i'mport's clock, from when the answer came; no other clock counts. Asked
again before its end i'mport gives the *same* token, so nothing here expects a new one to differ. A token that was
refused is dropped only if it is still the one in force, so a hundred refusals cost one fetch.

Keys: ``billing:token:{account}`` and its ``:lock`` and ``:refused``; see :mod:`producer.contract.redis_keys`.
"""

import contextlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import SecretStr

from producer.contract import redis_keys
from producer.runtime.errors import StoreUnavailable
from producer.runtime.redis_store import Script, Stores
from worker import metrics
from worker.errors import LoginRefused, TokenUnavailable
from worker.iamport.answer import LIFE_MOST_S, Answer, Token
from worker.iamport.login import LOGIN_FAILED, LOGIN_REFUSED, login_problem
from worker.model import SharedToken
from worker.retry import TOKEN_AWAITED, VAULT_SILENT

MARGIN_S = 30.0  # fetched again this long before its end: inside the last minute, in which i'mport extends it
SHORTEST_LIFE_S = 5.0  # however near its end i'mport says it is, it is not asked for more often than this
LOCK_S = 20  # outlives any login call
TOKEN_WAIT_S, POLL_S = 10.0, 0.05
FAILURE_S = 1.0  # a failed login is not tried again sooner by this process
REFUSED_S = 30

RELEASE = b"if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
LOCK, KEEP = Script("worker", "lock"), Script("worker", "keep")
NONCE_LENGTH = 12


class TokenCache:
    """The shared token. Safe to share between threads.

    Args:
        key, secret: ``IMP_KEY`` and ``IMP_SECRET``.
        login: asks i'mport for a token.
        vault: connections to ``VAULT_URL``.
        clock, sleep: monotonic seconds, and waiting.
    """

    def __init__(
        self,
        key: str,
        secret: SecretStr,
        *,
        login: Callable[[], Answer],
        vault: Stores,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        material = secret.get_secret_value().encode()
        self._cipher = AESGCM(HKDF(hashes.SHA256(), 32, None, b"billing token").derive(material))
        account = hmac.new(material, key.encode(), sha256).hexdigest()[:16]
        self._name = redis_keys.TOKEN + account
        self._login, self._vault, self._clock, self._sleep = login, vault, clock, sleep
        self._held: SharedToken | None = None
        self._failure: TokenUnavailable | None = None
        self._failed_at = 0.0
        self._one_at_a_time = threading.Lock()

    def get(self) -> SharedToken:
        """A token that is good for a while.

        Raises:
            LoginRefused: i'mport refuses the merchant's keys.
            TokenUnavailable: i'mport does not answer the login, the vault is silent, or nobody got one in time.
        """
        held = self._held
        if held is not None and self._clock() < held.until:
            return held
        if not self._one_at_a_time.acquire(timeout=TOKEN_WAIT_S):
            raise TokenUnavailable(TOKEN_AWAITED)
        try:
            held = self._held
            if held is None or self._clock() >= held.until:
                held = self._held = self._shared()
            return held
        finally:
            self._one_at_a_time.release()

    def drop(self, refused: SharedToken) -> None:
        """Forget a token that i'mport refused, if it is still the one in force."""
        with self._one_at_a_time:
            if self._held is not None and self._held.sealed == refused.sealed:
                self._held = None
        with contextlib.suppress(StoreUnavailable):  # then it is refused again, to no harm
            self._vault.local.call("EVAL", RELEASE, 1, self._name, refused.sealed)

    def _shared(self) -> SharedToken:
        if self._failure is not None and self._clock() - self._failed_at < FAILURE_S:
            raise self._failure.again()
        try:
            return self._stored() or self._awaited()
        except StoreUnavailable:
            raise TokenUnavailable(VAULT_SILENT) from None
        except TokenUnavailable as failure:
            self._failure, self._failed_at = failure.again(), self._clock()
            raise

    def _awaited(self) -> SharedToken:
        """The token that this process fetches, or another one does meanwhile."""
        owner, end = secrets.token_hex(8), self._clock() + TOKEN_WAIT_S
        while True:
            if 0 < self._vault.local.call("PTTL", self._name + ":refused") <= REFUSED_S * 1000:
                raise LoginRefused(LOGIN_REFUSED, REFUSED_S)
            if self._vault.local.run(LOCK, [self._name + ":lock"], owner, LOCK_S):
                try:
                    return self._stored() or self._fetched()
                finally:
                    self._vault.local.call("EVAL", RELEASE, 1, self._name + ":lock", owner)
            if self._clock() >= end:
                raise TokenUnavailable(TOKEN_AWAITED)
            self._sleep(POLL_S)
            if held := self._stored():
                return held

    def _stored(self) -> SharedToken | None:
        """The token in the vault, if it is ours and good for long enough."""
        asked_at = self._clock()
        sealed = self._vault.local.call("GET", self._name)
        life_ms = self._vault.local.call("PTTL", self._name)
        if not sealed or life_ms <= 0:
            return None
        try:
            text = self._cipher.decrypt(sealed[:NONCE_LENGTH], sealed[NONCE_LENGTH:], self._name.encode())
        except (InvalidTag, ValueError):
            return None
        return SharedToken(text.decode(), sealed, asked_at + min(life_ms / 1000, LIFE_MOST_S))

    def _fetched(self) -> SharedToken:
        asked_at = self._clock()
        answer = self._login()
        problem = login_problem(answer)
        metrics.TOKEN_FETCHES.labels(problem or "fetched").inc()
        if answer.token is not None:
            metrics.TOKEN_FETCHED_AT.set_to_current_time()
            return self._kept(answer.token, asked_at)
        if problem == LOGIN_REFUSED:
            self._vault.local.run(KEEP, [self._name + ":refused"], 1, REFUSED_S * 1000)
            raise LoginRefused(LOGIN_REFUSED, REFUSED_S)
        raise TokenUnavailable(problem or LOGIN_FAILED, answer.retry_after_s, is_first=True)

    def _kept(self, token: Token, asked_at: float) -> SharedToken:
        life_s = max(token.life_s - MARGIN_S, SHORTEST_LIFE_S)
        nonce = secrets.token_bytes(NONCE_LENGTH)
        sealed = nonce + self._cipher.encrypt(nonce, token.text.encode(), self._name.encode())
        self._vault.local.run(KEEP, [self._name], sealed, int(life_s * 1000))
        return SharedToken(token.text, sealed, asked_at + life_s)
