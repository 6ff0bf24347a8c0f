"""Enqueue billing-key requests and read their outcomes, from inside a merchant's process.

The steps of a request on this side are in :mod:`producer.enqueue`.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal, Self

from .contract.card import Card
from .contract.identifiers import Operation
from .contract.job import INTERACTIVE, MIGRATION, Job, Request
from .contract.outcome import Outcome
from .enqueue import Enqueue, IssueRequest, Prepared
from .sealing import SigningKey
from .settings import ProducerSettings

CHUNK = 200
POLL_FIRST_S, POLL_MOST_S = 0.02, 0.5


class BillingQueue:
    """The producer, safe to share between threads. Make one per process with :meth:`from_env`.

    Args:
        settings: where the stores and keys are.

    Raises:
        SettingsError: a key file is missing or unusable.
    """

    def __init__(self, settings: ProducerSettings) -> None:
        self._settings, self._enqueue = settings, Enqueue(settings)

    @classmethod
    def from_env(cls) -> Self:
        """A queue as the environment and ``.env.producer`` say.

        Raises:
            SettingsError: one line that names the variable.
        """
        return cls(ProducerSettings.from_env())

    def issue(
        self,
        *,
        customer_uid: str,
        card: Card,
        pg: str | None = None,
        channel_key: str | None = None,
        customer_id: str | None = None,
        idempotency_key: str | None = None,
        deadline_s: float | None = None,
    ) -> Job:
        """Ask for a billing key.

        Args:
            customer_uid: the merchant's handle of the key, 1 to 80 of ``[A-Za-z0-9_.@:+=~-]``.
            card: the customer's card.
            pg: ``{provider}`` or ``{provider}.{MID}``.
            channel_key: the channel's key from i'mport's console.
            customer_id: the gateway's customer id (Toss Payments).
            idempotency_key: 1 to 200 characters; until 7 days after its end the same key is the same job, whatever
                card comes with it: another card needs another key.
            deadline_s: seconds until it is given up, 1 to 604800; ``JOB_DEADLINE_S`` by default.

        Returns:
            The accepted job: ``.job_id``, ``.sequence``, ``.expires_at``, and ``.repeated``: True if the key was known,
            so nothing new was accepted and the first card counts.

        Raises:
            InvalidRequest: a field breaks its rule.
            IdempotencyConflict: the key belongs to a request with other content.
            BrokerUnavailable: a store failed; ``.accepted`` says what is known.
        """
        one = IssueRequest(
            customer_uid=customer_uid,
            card=card,
            pg=pg,
            channel_key=channel_key,
            customer_id=customer_id,
            idempotency_key=idempotency_key,
            deadline_s=deadline_s,
        )
        return self._enqueue.one(self._issuance(one, INTERACTIVE))

    def issue_sealed(
        self,
        *,
        customer_uid: str,
        envelope: str,
        pg: str | None = None,
        channel_key: str | None = None,
        customer_id: str | None = None,
        idempotency_key: str | None = None,
        deadline_s: float | None = None,
    ) -> Job:
        """Ask for a billing key with a card that was sealed elsewhere, in the customer's browser for one.

        Args:
            envelope: a compact JWE for this customer_uid; it is accepted once.

        The other arguments, and the rest, are those of :meth:`issue`.

        Raises:
            Refused: the envelope is malformed, for something else, used before, or not within its times.
        """
        one = IssueRequest(
            customer_uid=customer_uid,
            envelope=envelope,
            pg=pg,
            channel_key=channel_key,
            customer_id=customer_id,
            idempotency_key=idempotency_key,
            deadline_s=deadline_s,
        )
        return self._enqueue.one(self._issuance(one, INTERACTIVE))

    def onetime(
        self,
        *,
        merchant_uid: str,
        amount: int,
        name: str,
        card: Card | None = None,
        envelope: str | None = None,
        customer_uid: str | None = None,
        pg: str | None = None,
        channel_key: str | None = None,
        channel_group_id: str | None = None,
        card_quota: int = 0,
        vat_amount: int | None = None,
        tax_free: int | None = None,
        product_type: Literal["real", "digital"] | None = None,
        idempotency_key: str | None = None,
        deadline_s: float | None = None,
    ) -> Job:
        """Pay with a card, and store it if a customer_uid is given.

        Args:
            merchant_uid: the merchant's order, 1 to 40 characters as for customer_uid, new for each payment.
            amount: KRW.
            name: the order's name, 1 to 40 characters.
            card: the customer's card, or
            envelope: the card sealed elsewhere for this merchant_uid.
            customer_uid: store a billing key under it.
            channel_key: refused: i'mport's onetime has none, and might pay through another gateway.
            channel_group_id: the group of channels from i'mport's console, instead of ``pg``.
            card_quota: months of instalments, 0 for none.
            vat_amount, tax_free: KRW.
            product_type: ``real`` or ``digital``.

        The other arguments, and the rest, are those of :meth:`issue` and :meth:`issue_sealed`.
        """
        request = Request(
            operation=Operation.ONETIME,
            customer_uid=customer_uid,
            merchant_uid=merchant_uid,
            amount=amount,
            name=name,
            pg=pg,
            channel_key=channel_key,
            channel_group_id=channel_group_id,
            card_quota=card_quota,
            vat_amount=vat_amount,
            tax_free=tax_free,
            product_type=product_type,
        )
        return self._enqueue.one(
            self._enqueue.prepare(request, card, envelope, idempotency_key, deadline_s, INTERACTIVE)
        )

    def issue_many(
        self, requests: Iterable[IssueRequest | Mapping[str, Any]], *, queue: str = MIGRATION
    ) -> Iterator[Job]:
        """Ask for many billing keys, pipelined; jobs come out in the order of the requests.

        Args:
            requests: an iterable, read in chunks of 200, of :class:`IssueRequest` or of mappings with its arguments.
            queue: ``migration`` unless they cannot wait behind customers who do.

        Raises:
            InvalidRequest: a request breaks a rule; nothing of its chunk was accepted.
            IdempotencyConflict: at the first request of which it is true; those before it are yielded first. Requests
                in the same chunk after it were accepted too.
            BrokerUnavailable: for a whole chunk; repeat it with the same keys, so give keys of your own.
        """
        pending = iter(requests)
        while chunk := list(islice(pending, CHUNK)):
            requested = (one if isinstance(one, IssueRequest) else IssueRequest(**one) for one in chunk)
            for result in self._enqueue.many([self._issuance(one, queue) for one in requested]):
                if isinstance(result, Exception):
                    raise result
                yield result

    def outcome(self, job_id: str) -> Outcome | None:
        """The outcome of a job, None while it is open.

        Raises:
            UnknownJob: it was never accepted, or finished more than 7 days ago.
            BrokerUnavailable: the ledger cannot be read.
        """
        return self._enqueue.stores.outcome(job_id)

    def wait(
        self,
        job_id: str,
        timeout_s: float = 10,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Outcome:
        """The outcome of a job, as soon as it has one.

        Raises:
            TimeoutError: it is still open after ``timeout_s`` seconds.
            UnknownJob, BrokerUnavailable: as for :meth:`outcome`.
        """
        pauses = _pauses(timeout_s, clock)
        while (outcome := self.outcome(job_id)) is None:
            sleep(next(pauses))
        return outcome

    async def aissue(self, **arguments: Any) -> Job:  # noqa: ANN401 — those of issue
        """:meth:`issue` for asyncio; the work is done in a thread."""
        return await asyncio.to_thread(lambda: self.issue(**arguments))

    async def aissue_sealed(self, **arguments: Any) -> Job:  # noqa: ANN401 — those of issue_sealed
        """:meth:`issue_sealed` for asyncio."""
        return await asyncio.to_thread(lambda: self.issue_sealed(**arguments))

    async def aonetime(self, **arguments: Any) -> Job:  # noqa: ANN401 — those of onetime
        """:meth:`onetime` for asyncio."""
        return await asyncio.to_thread(lambda: self.onetime(**arguments))

    async def aoutcome(self, job_id: str) -> Outcome | None:
        """:meth:`outcome` for asyncio."""
        return await asyncio.to_thread(self.outcome, job_id)

    async def await_outcome(self, job_id: str, timeout_s: float = 10) -> Outcome:
        """:meth:`wait` for asyncio; no thread is held while it waits."""
        pauses = _pauses(timeout_s, time.monotonic)
        while (outcome := await self.aoutcome(job_id)) is None:  # noqa: ASYNC110 — it asks a server
            await asyncio.sleep(next(pauses))
        return outcome

    def sealing_keys(self) -> dict[str, Any]:
        """The public key set that cards are sealed to, for whoever seals elsewhere: a browser, another backend."""
        return self._enqueue.sealing.get().jwks

    @property
    def settings(self) -> ProducerSettings:
        """Where the stores and keys are."""
        return self._settings

    def signing_key(self) -> SigningKey:
        """This producer's signing key, as it is now."""
        return self._enqueue.signing.get()

    def close(self) -> None:
        """Give all connections back."""
        self._enqueue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _issuance(self, one: IssueRequest, queue: str) -> Prepared:
        request = Request(
            operation=Operation.ISSUE,
            customer_uid=one.customer_uid,
            pg=one.pg,
            channel_key=one.channel_key,
            customer_id=one.customer_id,
            as_of=one.as_of,
        )
        return self._enqueue.prepare(request, one.card, one.envelope, one.idempotency_key, one.deadline_s, queue)


def _pauses(timeout_s: float, clock: Callable[[], float]) -> Iterator[float]:
    """Seconds between one look at a job and the next, longer and longer; at the end of the time TimeoutError."""
    end, pause_s = clock() + timeout_s, POLL_FIRST_S
    while (left := end - clock()) > 0:
        yield min(pause_s, left)
        pause_s = min(pause_s * 1.5, POLL_MOST_S)
    raise TimeoutError(f"the job is still open after {timeout_s:g} s")
