"""BillingQueue: enqueue billing-key requests and read their outcomes, from inside a merchant's process.

The life of a request on this side, in the order that makes a crash in between harmless:

1. *accept*: the ledger gives it a place, once for each idempotency key;
2. *seal* the card to the workers' public key, *sign* the whole as this producer;
3. lay it in the *vault*;
4. *publish* its id.

A repeat with the same idempotency key completes whatever step is missing.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal, Self

from producer.contract.card import Card
from producer.contract.envelope import Envelope
from producer.contract.errors import InvalidRequest
from producer.contract.identifiers import Operation, job_id_of, new_idempotency_key
from producer.contract.job import DEADLINE_LIMIT_S, INTERACTIVE, MIGRATION, Job, Request
from producer.contract.outcome import Outcome
from producer.errors import SettingsError
from producer.order import IssueRequest, Order
from producer.publisher import Publisher
from producer.runtime.key_file import KeyFileError, WatchedFile
from producer.sealing import SealingKeys, SigningKey
from producer.settings import ProducerSettings
from producer.stores import Acceptance, Accepted, NewJob

CHUNK = 200
POLL_FIRST_S, POLL_MOST_S = 0.02, 0.5
LATE_S = 3.0  # after this, publishing is left to the sweeper


class BillingQueue:
    """The producer, safe to share between threads. Make one per process with :meth:`from_env`.

    Args:
        settings: where the stores and keys are.

    Raises:
        SettingsError: a key file is missing or unusable.
    """

    def __init__(self, settings: ProducerSettings) -> None:
        self._settings = settings
        try:
            self._sealing = WatchedFile(settings.sealing_keys_file, SealingKeys.load)
            self._signing = WatchedFile(settings.signing_key_file, SigningKey.load)
        except KeyFileError as error:
            raise SettingsError(str(error)) from None
        self._acceptance = Acceptance(settings.ledger_url, settings.vault_url)
        self._publisher = Publisher(settings.broker_url)

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
            idempotency_key: 1 to 200 characters; the same key is the same job, for 7 days after it is finished.
            deadline_s: seconds until it is given up, 1 to 604800; ``JOB_DEADLINE_S`` by default.

        Returns:
            The accepted job: ``.job_id``, ``.sequence``, ``.expires_at``.

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
        return self._one(self._issuance(one, INTERACTIVE))

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
        return self._one(self._issuance(one, INTERACTIVE))

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
            card_quota=card_quota,
            vat_amount=vat_amount,
            tax_free=tax_free,
            product_type=product_type,
        )
        return self._one(self._order(request, card, envelope, idempotency_key, deadline_s, INTERACTIVE))

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
            asked = (one if isinstance(one, IssueRequest) else IssueRequest(**one) for one in chunk)
            orders = [self._issuance(one, queue) for one in asked]
            for result in self._enqueue(orders):
                if isinstance(result, Exception):
                    raise result
                yield result

    def outcome(self, job_id: str) -> Outcome | None:
        """The outcome of a job, None while it is open.

        Raises:
            UnknownJob: it was never accepted, or finished more than 7 days ago.
            BrokerUnavailable: the ledger cannot be read.
        """
        return self._acceptance.outcome(job_id)

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
        end, pause = clock() + timeout_s, POLL_FIRST_S
        while (outcome := self.outcome(job_id)) is None:
            left = end - clock()
            if left <= 0:
                raise TimeoutError(f"the job is still open after {timeout_s:g} s")
            sleep(min(pause, left))
            pause = min(pause * 1.5, POLL_MOST_S)
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
        end, pause = time.monotonic() + timeout_s, POLL_FIRST_S
        while (outcome := await self.aoutcome(job_id)) is None:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"the job is still open after {timeout_s:g} s")
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, POLL_MOST_S)
        return outcome

    def sealing_keys(self) -> dict[str, Any]:
        """The public key set that cards are sealed to, for whoever seals elsewhere: a browser, another backend."""
        return self._sealing.get().jwks

    @property
    def settings(self) -> ProducerSettings:
        """Where the stores and keys are."""
        return self._settings

    def signing_key(self) -> SigningKey:
        """This producer's signing key, as it is now."""
        return self._signing.get()

    def close(self) -> None:
        """Give all connections back."""
        self._acceptance.close()
        self._publisher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _issuance(self, one: IssueRequest, queue: str) -> Order:
        request = Request(
            operation=Operation.ISSUE,
            customer_uid=one.customer_uid,
            pg=one.pg,
            channel_key=one.channel_key,
            customer_id=one.customer_id,
        )
        return self._order(request, one.card, one.envelope, one.idempotency_key, one.deadline_s, queue)

    def _order(
        self,
        request: Request,
        card: Card | None,
        sealed: str | None,
        idempotency_key: str | None,
        deadline_s: float | None,
        queue: str,
    ) -> Order:
        _check_kinds(card, sealed, queue)
        envelope = None if sealed is None else Envelope.parse(sealed)
        if envelope is not None:
            envelope.check_bound(request.operation, request.customer_uid, request.merchant_uid)
        key = new_idempotency_key() if idempotency_key is None else idempotency_key
        if not isinstance(key, str) or not 0 < len(key) <= 200 or not key.isprintable():
            raise InvalidRequest([("idempotency_key", "must be 1 to 200 printable characters")])
        life = self._settings.job_deadline_s if deadline_s is None else deadline_s
        if not isinstance(life, int | float) or not 1 <= life <= DEADLINE_LIMIT_S:
            raise InvalidRequest([("deadline_s", f"must be 1 to {DEADLINE_LIMIT_S} seconds")])
        kid = self._sealing.get().kid if envelope is None else envelope.kid
        return Order(NewJob(job_id_of(key), key, request, queue, float(life), kid, envelope), card)

    def _one(self, order: Order) -> Job:
        (result,) = self._enqueue([order])
        if isinstance(result, Exception):
            raise result
        return result

    def _enqueue(self, orders: list[Order]) -> list[Job | Exception]:
        """Steps 1 to 4 for a chunk of orders; refusals stand in their places."""
        results: list[Job | Exception] = []
        to_lay_down = []
        began = time.monotonic()
        for order, accepted in zip(orders, self._acceptance.accept([o.asked for o in orders]), strict=True):
            if isinstance(accepted, Exception):
                results.append(accepted)
                continue
            job = self._sealed(order, accepted)
            results.append(job)
            if accepted.open:
                to_lay_down.append((order.asked, accepted, self._signing.get().sign(job)))
        if to_lay_down:
            self._acceptance.store_sealed(to_lay_down)
            names = [(asked.job_id, asked.queue) for asked, _, _ in to_lay_down]
            self._publisher.publish(names, to_lay_down[0][0].idempotency_key, is_late=time.monotonic() - began > LATE_S)
        return results

    def _sealed(self, order: Order, accepted: Accepted) -> Job:
        asked, request = order.asked, order.asked.request
        if asked.envelope is not None:
            text = asked.envelope.text
        else:
            assert order.card is not None  # noqa: S101 — _order is given one or the other
            # Good for the very second of acceptance: a copy of it cannot be handed in again as sealed elsewhere.
            iat = int(accepted.accepted_at)
            text = self._sealing.get().seal(
                order.card,
                purpose=request.operation,
                customer_uid=request.customer_uid,
                merchant_uid=request.merchant_uid,
                iat=iat,
                exp=iat + 1,
            )
        return Job(
            **request.fields(),
            job_id=asked.job_id,
            sequence=accepted.sequence,
            accepted_at=accepted.accepted_at,
            expires_at=accepted.expires_at,
            envelope=text,
        )


def _check_kinds(card: object, sealed: object, queue: object) -> None:
    """Refuse arguments that would fail after the job was accepted."""
    for field, holds, rule in (
        ("card", (card is None) != (sealed is None), "give a card or an envelope, one of the two"),
        ("card", card is None or isinstance(card, Card), "must be a Card"),
        ("envelope", sealed is None or isinstance(sealed, str), "must be text"),
        ("queue", queue in (INTERACTIVE, MIGRATION), f"must be {INTERACTIVE} or {MIGRATION}"),
    ):
        if not holds:
            raise InvalidRequest([(field, rule)])
