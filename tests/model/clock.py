"""One clock for everything: the scripts' ``TIME`` is replaced by a list in Redis that the model moves on."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1

import pytest

from producer import stores
from producer.runtime.redis_store import Script
from tests.servers import RedisServer
from worker import ledger, open_jobs, rate_limit

KEY = "model:time"
SCRIPTS = (
    stores.ACCEPT,
    ledger.CLAIM,
    ledger.SENT,
    ledger.HOLD,
    ledger.WAIT,
    ledger.FINISH,
    open_jobs.ALIVE,
    open_jobs.ASKED,
    open_jobs.DUE,
    rate_limit.PERMIT_SCRIPT,
    rate_limit.REPORT_SCRIPT,
)


@contextmanager
def scripts_on_model_time() -> Iterator[None]:
    """The scripts of both halves read the model's clock."""
    with pytest.MonkeyPatch.context() as patch:
        for script in SCRIPTS:
            _retime(patch, script)
        yield


def _retime(patch: pytest.MonkeyPatch, script: Script) -> None:
    assert script.source.count(b"redis.call('TIME')") == 1
    source = script.source.replace(b"redis.call('TIME')", b"redis.call('LRANGE', '%s', 0, 1)" % KEY.encode())
    patch.setattr(script, "source", source)
    patch.setattr(script, "sha", sha1(source).hexdigest())


class Clock:
    """Unix seconds that pass only when told; the stores see the same.

    Args:
        server: whose databases 1 (ledger) and 2 (vault) read it.
        now: where it begins.
    """

    def __init__(self, server: RedisServer, now: float) -> None:
        self.now = now
        self._stores = {"ledger": server.client(1), "vault": server.client(2)}
        self.ahead_s = dict.fromkeys(self._stores, 0.0)
        self.set(now)

    def set(self, now: float) -> None:
        """Go to an instant, in the stores as well."""
        self.now = now
        for name, store in self._stores.items():
            at = now + self.ahead_s[name]
            with store.pipeline() as pipe:
                pipe.delete(KEY)
                pipe.rpush(KEY, str(int(at)), str(int(at % 1 * 1e6)))
                pipe.execute()

    def step(self, store: str, seconds: float) -> None:
        """The clock of one store goes on from another instant; all others notice nothing."""
        self.ahead_s[store] += seconds
        self.set(self.now)
