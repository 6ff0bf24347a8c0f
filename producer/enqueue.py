"""The steps of a request on the producer's side, in the order that makes a crash in between harmless.

1. *accept*: the ledger gives it a place, once for each idempotency key;
2. *seal* the card to the workers' public key, *sign* the whole as this producer;
3. store it in the *vault*;
4. *publish* its id.

A repeat with the same idempotency key completes whatever step is missing.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from .contract.card import Card
from .contract.envelope import Envelope
from .contract.errors import InvalidRequest
from .contract.identifiers import job_id_of, new_idempotency_key
from .contract.job import DEADLINE_LIMIT_S, INTERACTIVE, MIGRATION, Job, Request
from .contract.open_fields import check_open_fields
from .errors import SettingsError
from .publisher import Publisher
from .runtime import tracing
from .runtime.key_file import KeyFileError, WatchedFile
from .runtime.span import Span
from .sealing import SealingKeys, SigningKey
from .settings import ProducerSettings
from .stores import Acceptance, Accepted, NewJob

LATE_S = 3.0  # after this, publishing is left to the sweeper
KEY_LIMIT = 200


@dataclass(frozen=True, kw_only=True)
class IssueRequest:
    """One issuance: the arguments of :meth:`BillingQueue.issue`, or with an envelope of ``issue_sealed``.

    Args:
        as_of: of a row of an export, when that was made; Unix seconds. A card that was applied since wins.
    """

    customer_uid: str
    card: Card | None = None
    envelope: str | None = None
    pg: str | None = None
    channel_key: str | None = None
    customer_id: str | None = None
    as_of: int | None = None
    idempotency_key: str | None = None
    deadline_s: float | None = None


@dataclass(frozen=True)
class Prepared:
    """A checked request; the card goes no further than the seal, and is None if it was sealed elsewhere."""

    new: NewJob
    card: Card | None


class Enqueue:
    """The four steps, with the keys and stores that they need.

    Args:
        settings: where the stores and keys are.

    Raises:
        SettingsError: a key file is missing or unusable.
    """

    def __init__(self, settings: ProducerSettings) -> None:
        try:
            self.sealing = WatchedFile(settings.sealing_keys_file, SealingKeys.load)
            self.signing = WatchedFile(settings.signing_key_file, SigningKey.load)
        except KeyFileError as error:
            raise SettingsError(str(error)) from None
        self.stores = Acceptance(settings.ledger_url, settings.vault_url)
        self._publisher, self._deadline_s = Publisher(settings.broker_url), settings.job_deadline_s

    def prepare(
        self,
        request: Request,
        card: Card | None,
        sealed: str | None,
        idempotency_key: str | None,
        deadline_s: float | None,
        queue: str,
    ) -> Prepared:
        """Check a request before anything happens.

        Raises:
            InvalidRequest, Refused: an argument, or the envelope, breaks its rule.
        """
        _check_kinds(card, sealed, queue)
        check_open_fields(dict(request), card)
        envelope = _envelope(sealed, request)
        key = new_idempotency_key() if idempotency_key is None else _checked_key(idempotency_key)
        life_s = self._deadline_s if deadline_s is None else _checked_life(deadline_s)
        kid = envelope.kid if envelope else self.sealing.get().kid
        return Prepared(NewJob(job_id_of(key), key, request, queue, float(life_s), kid, envelope), card)

    def one(self, prepared: Prepared) -> Job:
        """Take one request through the steps.

        Raises:
            IdempotencyConflict, Refused: it is not accepted.
            BrokerUnavailable: a store failed.
        """
        (result,) = self.many([prepared])
        if isinstance(result, Exception):
            raise result
        return result

    def many(self, prepared: Sequence[Prepared]) -> list[Job | Exception]:
        """Take a chunk of requests through the steps; refusals stand in their places.

        Raises:
            BrokerUnavailable: a store failed, for the whole chunk.
        """
        with ExitStack() as all_spans:
            spans = [all_spans.enter_context(_span(one.new)) for one in prepared]
            return self._take(prepared, spans)

    def _take(self, prepared: Sequence[Prepared], spans: Sequence[Span]) -> list[Job | Exception]:
        results: list[Job | Exception] = []
        to_store, places = [], []
        began = time.monotonic()
        asked = [one.new._replace(traceparent=span.traceparent) for one, span in zip(prepared, spans, strict=True)]
        for one, span, accepted in zip(prepared, spans, self.stores.accept(asked), strict=True):
            if isinstance(accepted, Exception):
                span.tell(is_failed=True, error=type(accepted).__name__)
                results.append(accepted)
                continue
            span.reach("accepted")
            job = self._job(one, accepted)
            if accepted.open:
                to_store.append((one.new, accepted, self.signing.get().sign(job)))
                places.append((len(results), job))
            results.append(job.again())  # but for those whose card is laid down now
        if to_store:
            are_first = self.stores.store_sealed(to_store)
            for (at, job), is_first in zip(places, are_first, strict=True):
                results[at] = job if is_first else results[at]
            names = [(new.job_id, new.queue) for new, _, _ in to_store]
            self._publisher.publish(names, to_store[0][0].idempotency_key, is_late=time.monotonic() - began > LATE_S)
        return results

    def close(self) -> None:
        """Give all connections back."""
        self.stores.close()
        self._publisher.close()

    def _job(self, prepared: Prepared, accepted: Accepted) -> Job:
        new = prepared.new
        return Job(
            **new.request.fields(),
            job_id=new.job_id,
            sequence=accepted.sequence,
            accepted_at=accepted.accepted_at,
            expires_at=accepted.expires_at,
            envelope=new.envelope.text if new.envelope else self._sealed(prepared, accepted),
        )

    def _sealed(self, prepared: Prepared, accepted: Accepted) -> str:
        assert prepared.card is not None  # noqa: S101 — prepare is given a card or an envelope
        request = prepared.new.request
        # Good for the very second of acceptance: a copy of it cannot be handed in again as sealed elsewhere.
        iat = int(accepted.accepted_at)
        return self.sealing.get().seal(
            prepared.card,
            purpose=request.operation,
            customer_uid=request.customer_uid,
            merchant_uid=request.merchant_uid,
            iat=iat,
            exp=iat + 1,
        )


def _span(new: NewJob) -> Span:
    return tracing.enqueuing(new.job_id, str(new.request.operation), new.queue)


def _check_kinds(card: object, sealed: object, queue: object) -> None:
    """Refuse arguments that would fail after the job was accepted."""
    for field, holds, rule in (
        ("card", (card is None) != (sealed is None), "give a card or an envelope, one of the two"),
        ("card", isinstance(card, Card | None), "must be a Card"),
        ("envelope", isinstance(sealed, str | None), "must be text"),
        ("queue", queue in (INTERACTIVE, MIGRATION), f"must be {INTERACTIVE} or {MIGRATION}"),
    ):
        if not holds:
            raise InvalidRequest([(field, rule)])


def _envelope(sealed: str | None, request: Request) -> Envelope | None:
    if sealed is None:
        return None
    envelope = Envelope.parse(sealed)
    envelope.check_bound(request.operation, request.customer_uid, request.merchant_uid)
    return envelope


def _checked_key(key: object) -> str:
    if isinstance(key, str) and 0 < len(key) <= KEY_LIMIT and key.isprintable():
        return key
    raise InvalidRequest([("idempotency_key", f"must be 1 to {KEY_LIMIT} printable characters")])


def _checked_life(seconds: object) -> float:
    if isinstance(seconds, int | float) and 1 <= seconds <= DEADLINE_LIMIT_S:
        return seconds
    raise InvalidRequest([("deadline_s", f"must be 1 to {DEADLINE_LIMIT_S} seconds")])
