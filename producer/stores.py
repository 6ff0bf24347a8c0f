"""Acceptance: the producer's part of ledger and vault. Accept a job, lay its sealed request down, read its outcome.

Knows Redis; knows no key and no card. Every call is one round trip, and says of a failure whether anything happened.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import redis

from .contract import redis_keys
from .contract.envelope import Envelope
from .contract.errors import Refused
from .contract.job import Request
from .contract.outcome import Outcome
from .errors import BrokerUnavailable, IdempotencyConflict, UnknownJob
from .runtime.redis_store import Script
from .runtime.store_errors import place
from .store import CLIENT_FAILURES, Store

ACCEPT = Script(__package__, "accept")

FULL_WORDS = "is nearly full: jobs are accepted again when workers have made room (see maxmemory)"

Reply = list[Any] | redis.RedisError


class NewJob(NamedTuple):
    """One request on its way in."""

    job_id: str
    idempotency_key: str
    request: Request
    queue: str
    deadline_s: float
    kid: str
    envelope: Envelope | None
    traceparent: str = ""


class Accepted(NamedTuple):
    """An accepted job's place and times.

    Args:
        open: False once the job is finished.
    """

    open: bool
    sequence: int
    accepted_at: float
    expires_at: float
    now: float


class Acceptance:
    """The ledger and the vault, as a producer may use them.

    Args:
        ledger_url, vault_url: the stores' URLs.
    """

    def __init__(self, ledger_url: str, vault_url: str) -> None:
        self._ledger, self._vault = Store("ledger", ledger_url), Store("vault", vault_url)

    def accept(self, asked: Sequence[NewJob]) -> list[Accepted | Exception]:
        """Accept jobs in order, in one round trip.

        Returns:
            For each either its place or why it was refused: IdempotencyConflict or Refused.

        Raises:
            BrokerUnavailable: with ``accepted`` False or None.
        """
        key = asked[0].idempotency_key
        commands = [("EVALSHA", ACCEPT.sha, 9, *_accept_arguments(one)) for one in asked]
        replies = self._exchange(self._ledger, "accept", key, commands)
        if any(isinstance(reply, redis.exceptions.NoScriptError) for reply in replies):
            self._exchange(self._ledger, "accept", key, [("SCRIPT", "LOAD", ACCEPT.source)])
            replies = self._exchange(self._ledger, "accept", key, commands)  # recognises those that it accepted
        return [self._read_acceptance(one, reply) for one, reply in zip(asked, replies, strict=True)]

    def store_sealed(self, sealed: Sequence[tuple[NewJob, Accepted, str]]) -> list[bool]:
        """Put signed requests into the vault; one that lies there already stays as it is.

        With SETNX and not SET, which can answer with the old value: a producer need not be able to read.

        Returns:
            For each whether it lies there now, and not an earlier one.

        Raises:
            BrokerUnavailable: with ``accepted`` None.
        """
        commands: list[tuple[Any, ...]] = [("MULTI",)]
        for asked, accepted, text in sealed:
            life = max(accepted.expires_at - accepted.now, 0) + redis_keys.SEALED_GRACE_S
            commands.append(("SETNX", redis_keys.SEALED + asked.job_id, text))
            commands.append(("PEXPIRE", redis_keys.SEALED + asked.job_id, int(life * 1000)))
        commands.append(("EXEC",))
        key = sealed[0][0].idempotency_key
        replies = self._exchange(self._vault, "vault", key, commands, accepted_unsent=None)
        done = replies[-1] if isinstance(replies[-1], list) else []  # of EXEC: all or nothing
        for reply in (*replies, *done):
            if isinstance(reply, redis.RedisError):
                raise self._vault.unavailable(reply, "vault", accepted=None, key=key)
        return [bool(is_new) for is_new in done[::2]]

    def outcome(self, job_id: str) -> Outcome | None:
        """The outcome of a job, None while it is open.

        Raises:
            UnknownJob: it was never accepted, or finished more than 7 days ago.
            BrokerUnavailable: the ledger cannot be read.
        """
        found = outcomes_of(self._ledger, [job_id])
        if job_id not in found:
            raise UnknownJob("no job of that id is known")
        return found[job_id]

    def close(self) -> None:
        """Give the connections back."""
        self._ledger.close()
        self._vault.close()

    @staticmethod
    def _exchange(
        store: Store,
        step: str,
        key: str,
        commands: Sequence[tuple[Any, ...]],
        *,
        accepted_unsent: bool | None = False,
    ) -> list[Reply]:
        """Send commands and read the replies; nothing happened if there was no connection to send them on."""
        pool = store.client.connection_pool
        try:
            connection = pool.get_connection()
        except CLIENT_FAILURES as error:
            raise store.unavailable(error, step, accepted=accepted_unsent, key=key) from None
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            return [_read_reply(connection) for _ in commands]
        except CLIENT_FAILURES as error:
            connection.disconnect()
            raise store.unavailable(error, step, accepted=None, key=key) from None
        finally:
            pool.release(connection)

    def _read_acceptance(self, asked: NewJob, reply: Reply) -> Accepted | Exception:
        key = asked.idempotency_key
        if isinstance(reply, redis.RedisError):  # an error reply (OOM, READONLY, NOPERM): the script did not run
            return self._ledger.unavailable(reply, "accept", accepted=False, key=key)
        word, *rest = (item.decode() for item in reply)
        if word == "conflict":
            return IdempotencyConflict(key)
        if word == "full":
            store = self._vault if rest == ["vault"] else self._ledger
            full = f"{place(store.name, store.url)}: {FULL_WORDS}"
            return BrokerUnavailable("accept", accepted=False, idempotency_key=key, trouble=full)
        if not rest:
            return Refused(word)
        sequence, accepted_at, expires_at, now = rest
        times = float(accepted_at), float(expires_at), float(now)
        return Accepted(word != "finished", int(sequence), *times)


def outcomes_of(ledger: Store, job_ids: Sequence[str]) -> dict[str, Outcome | None]:
    """The outcomes of those jobs that are known, None while one is open.

    Raises:
        BrokerUnavailable: the ledger cannot be read.
    """
    with ledger.reading() as client, client.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.exists(redis_keys.REQUEST + job_id)  # first: it goes once there is a record
            pipe.exists(redis_keys.JOB + job_id)
            pipe.get(redis_keys.OUTCOME + job_id)
        found = iter(pipe.execute())
    return {
        job_id: None if outcome is None else Outcome.from_json(outcome)
        for job_id, is_asked, is_recorded, outcome in zip(job_ids, found, found, found, strict=True)
        if is_asked or is_recorded
    }


def _read_reply(connection: Any) -> Reply:  # noqa: ANN401 — redis-py's connection has no public type
    try:
        return connection.read_response()  # type: ignore[no-any-return]
    except redis.ResponseError as error:
        return error


def _accept_arguments(asked: NewJob) -> tuple[Any, ...]:
    request, envelope = asked.request, asked.envelope
    uid, order = request.customer_uid or "", request.merchant_uid or ""
    digest, *times = (envelope.digest, envelope.iat, envelope.exp) if envelope else ("", "", "")
    return (
        redis_keys.REQUEST + asked.job_id,
        redis_keys.OPEN,
        redis_keys.FRESH + asked.queue,
        redis_keys.CUSTOMER_OPEN + uid,  # never an empty text: Redis users may be given rights to prefixes only
        redis_keys.ENVELOPE + digest,
        redis_keys.ORDER_OPEN + order,
        redis_keys.ACCEPTED + asked.queue,
        redis_keys.CUSTOMER_SEQUENCE + uid,
        redis_keys.ORDER_SEQUENCE + order,
        asked.job_id,
        request.digest(),
        repr(asked.deadline_s),
        asked.queue,
        asked.kid,
        str(request.operation),
        uid,
        order,
        *times,
        redis_keys.OUTCOME + asked.job_id,
        redis_keys.FULL,
        redis_keys.JOB + asked.job_id,
        request.as_of or "",
        asked.traceparent,
        redis_keys.CUSTOMER + uid,
        redis_keys.ORDER + order,
    )
