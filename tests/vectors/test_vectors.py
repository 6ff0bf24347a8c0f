"""The golden vectors against the code that opens cards, every one through :meth:`Opener.open`."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from producer.contract.card import Card
from producer.contract.envelope import ENVELOPE_LIMIT, Envelope
from producer.contract.errors import Refused
from producer.contract.identifiers import Operation
from producer.contract.job import Job
from producer.runtime.key_file import WatchedFile
from producer.sealing import SigningKey
from tests.vectors import HERE, Json, label, read_keys, read_vectors
from tests.vectors.make import files
from tests.worker.leases import lease
from worker.errors import UnknownKid
from worker.keys.opening import Opener, OpeningKeys, ProducerKeys
from worker.model import Lease

ACCEPT, REFUSE = read_vectors("accept.jsonl"), read_vectors("refuse.jsonl")
DIGIT_RUN = re.compile(r"[0-9]{5,}")
TOKEN = re.compile(r"[A-Za-z0-9_-]{40,}")


@pytest.fixture(scope="module")
def opener() -> Opener:
    opening, producers = (read_keys(f"{name}.jwks.json") for name in ("opening.private", "producers.public"))
    return Opener(
        WatchedFile(HERE / "keyring", lambda _: OpeningKeys(opening)),
        WatchedFile(HERE / "keyring", lambda _: ProducerKeys(producers)),
    )


def lease_of(vector: Json) -> Lease:
    record = vector["record"] | {"operation": Operation(vector["record"]["operation"])}
    return lease(**record, claimed_at=record["accepted_at"] + 1)


def signed(vector: Json) -> str:
    """The vector's job; an envelope is put into a good one."""
    if vector["kind"] == "job":
        return str(vector["text"])
    payment = {"amount": 9900, "name": "책 한 권"} if vector["record"]["operation"] == "onetime" else {}
    job = Job(**vector["record"], **payment, envelope=vector["text"])
    return SigningKey(read_keys("signing.private.jwk.json")).sign(job)


def open_vector(opener: Opener, vector: Json) -> tuple[Job, Card]:
    if vector["kind"] == "envelope" and len(vector["text"]) > ENVELOPE_LIMIT:
        Envelope.parse(vector["text"])  # a Job of ours cannot hold it
    request = opener.verify(signed(vector).encode(), lease_of(vector))
    return request.job, opener.open(request)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("vector", ACCEPT, ids=label)
def test_golden_vectors_open_to_their_card(opener: Opener, vector: Json) -> None:
    job, card = open_vector(opener, vector)

    assert vector["plaintext"] == card.reveal()
    assert vector["kind"] == "envelope" or vector["job"] == job.fields()  # tests/contract reads the headers


@pytest.mark.parametrize("vector", REFUSE, ids=label)
def test_golden_refusals_are_refused_for_their_reason_and_show_no_card(opener: Opener, vector: Json) -> None:
    with pytest.raises((Refused, UnknownKid)) as caught:
        open_vector(opener, vector)

    code = caught.value.code if isinstance(caught.value, Refused) else "unknown_kid"
    assert vector["expected"] == code
    shown = " ".join(f"{error} {error!r} {error.args} {vars(error)}" for error in chain(caught.value))
    assert not DIGIT_RUN.search(shown)
    assert not TOKEN.search(shown)


def test_committed_vectors_are_those_that_make_writes() -> None:
    written = files()

    assert written == {name: (HERE / name).read_text() for name in written}


def test_names_of_vectors_are_unique() -> None:
    names = [label(vector) for vector in ACCEPT + REFUSE]

    assert sorted(set(names)) == sorted(names)


def test_golden_key_files_load_once_they_are_private(tmp_path: Path) -> None:
    copy = tmp_path / "opening.private.jwks.json"
    copy.write_bytes((HERE / "keyring" / copy.name).read_bytes())
    copy.chmod(0o600)

    kids = OpeningKeys.load(copy).kids

    assert kids == ("test-x25519-older", "test-p-256", "test-x25519-newer")
