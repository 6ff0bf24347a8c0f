"""A short run, attacks that no vector can hold, and proof that what is planted is found."""

import re
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws

from producer.contract import envelope, jose
from tests.fuzz.__main__ import keep, read
from tests.fuzz.cost import least_cpu_ms, peak_mb
from tests.fuzz.damage import DAMAGES
from tests.fuzz.doors import ENVELOPE, JOB, Doors, Input
from tests.fuzz.forging import FORGERIES
from tests.fuzz.genuine import ENVELOPES, JOBS, Envelope, Job
from tests.fuzz.mutants import LARGE_EVERY, LARGEST, mutant
from tests.fuzz.numbers import NAMES
from tests.fuzz.ordinary import KINDS
from tests.fuzz.redacting import redacted
from tests.fuzz.tally import CPU_LIMIT_MS, MEMORY_LIMIT_MB, run
from tests.vectors import label, read_vectors
from tests.vectors.attacks import BOMB

NAMED = {
    "alg confusion": "job: alg HS256 with the public key as secret",
    "alg none": "job: alg none",
    "invalid-curve points": "envelope: epk that is not on P-256",
    "a point of order 2 on another curve": "envelope: epk of order 2 on another curve",
    "an all-zero shared secret": "envelope: epk of zeros",
    "a zip bomb": "envelope: a zip bomb",
    "deep JSON": "job: a deep payload",
    "b64 false": "job: a payload that is not encoded",
    "kid as a path": "job: kid that is a path",
    "kid as a path, sealed": "envelope: kid that is an absolute path",
    "psychic signatures": "job: a signature of zeros",
    "PBES2 rounds": "envelope: alg PBES2 of 2^31 rounds",
}
REFUSE = read_vectors("refuse.jsonl")
GENUINE = [Input("genuine", JOB, one.text.encode(), one.record) for one in JOBS]
GENUINE += [Input("genuine", ENVELOPE, one.text, one.record) for one in ENVELOPES]


@pytest.fixture(scope="module")
def doors() -> Doors:
    return Doors()


@pytest.mark.parametrize("one", GENUINE, ids=lambda one: one.door)
def test_what_mutants_descend_from_is_accepted(doors: Doors, one: Input) -> None:
    assert doors.refusal(one) == ""


def test_20000_hostile_inputs_are_refused_at_little_cost(doors: Doors) -> None:
    tally = run(doors, seed=20270115, numbers=range(20_000))

    assert tally.findings == []
    assert tally.count == 20_000
    assert {*DAMAGES, *FORGERIES} <= {kind.partition(": ")[2] for kind in tally.kinds}
    assert {vector["expected"] for vector in REFUSE} == set(tally.refusals)  # every way to refuse is reached


def test_the_same_seed_and_number_make_the_same_input() -> None:
    inputs = [mutant(7, number) for number in range(500)]

    assert inputs == [mutant(7, number) for number in range(500)]
    assert len({one.data for one in inputs}) > 450


@pytest.mark.parametrize("name", NAMED.values(), ids=NAMED)
def test_attack_on_jose_has_its_vector(name: str) -> None:
    assert name in {label(vector) for vector in REFUSE}


def test_vector_of_a_zip_bomb_is_one() -> None:
    assert len(zlib.decompressobj(wbits=-15).decompress(BOMB)) > 1_900_000


@pytest.mark.parametrize("filling", ["A", "가"])
@pytest.mark.parametrize("one", [JOBS[0], ENVELOPES[0]], ids=["job", "envelope"])
@pytest.mark.parametrize("segment", [0, -1])
def test_segment_of_10_mb_is_refused_without_being_read(
    doors: Doors, one: Job | Envelope, segment: int, filling: str
) -> None:
    segments = one.text.split(".")
    segments[segment] += filling * (LARGEST // len(filling.encode()))
    text = ".".join(segments)
    hostile = Input("", JOB, text.encode(), one.record) if one in JOBS else Input("", ENVELOPE, text, one.record)

    assert doors.refusal(hostile) == "too_long"
    assert peak_mb(lambda: doors.refusal(hostile)) < MEMORY_LIMIT_MB
    assert least_cpu_ms(lambda: doors.refusal(hostile)) < CPU_LIMIT_MS


def surprised_by_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise LookupError
    return dict(pairs)


LOADS = jose.loads


def slow_on_lists(data: bytes) -> Any:
    if b"[[" in data:
        end = time.thread_time() + 2 * CPU_LIMIT_MS / 1000
        while time.thread_time() < end:
            pass
    return LOADS(data)


PLANTED: dict[str, tuple[object, str, object, str]] = {
    "members that nobody expects": (envelope, "_check_header", lambda *_: None, "accepted"),
    "members named twice": (jose, "_members", dict, "accepted"),
    "a signature that is not looked at": (jws, "deserialize_compact", lambda *_, **__: None, "accepted"),
    "an envelope that need not be bound": (envelope.Envelope, "check_bound", lambda *_: None, "accepted"),
    "times that do not count": (envelope.Envelope, "check_time", lambda *_: None, "accepted"),
    "an exception of somebody else's": (jose, "_members", surprised_by_duplicates, "foreign_exception"),
    "a slow reader": (jose, "loads", slow_on_lists, "slow"),
    "a reader without limit": (envelope, "ENVELOPE_LIMIT", LARGEST * 2, "large"),
}


@pytest.mark.parametrize(("where", "name", "weakness", "what"), PLANTED.values(), ids=PLANTED)
def test_planted_weakness_is_found(
    monkeypatch: pytest.MonkeyPatch, doors: Doors, where: object, name: str, weakness: object, what: str
) -> None:
    monkeypatch.setattr(where, name, weakness)

    large = range(LARGE_EVERY - 1, 20 * LARGE_EVERY, LARGE_EVERY)
    tally = run(doors, seed=1, numbers=[*range(3000), *large])

    assert what in {finding.what for finding in tally.findings}


def test_8000_card_numbers_in_running_text_are_redacted_and_ordinary_text_is_not() -> None:
    tally = redacted(seed=20270115, numbers=range(8_000))

    assert (tally.missed.total(), tally.failed) == (0, False)
    assert len(NAMES) >= 30
    assert set(tally.ordinary) == set(KINDS)


@pytest.mark.parametrize(
    "weakness", [lambda text: text, lambda text: re.sub("[0-9]{4}", "*", text)], ids=["misses all", "eats all"]
)
def test_redaction_that_misses_numbers_or_eats_ordinary_text_fails(weakness: Callable[[str], str]) -> None:
    assert redacted(1, range(500), weakness).failed


def test_finding_is_kept_so_that_it_can_be_handed_in_again(tmp_path: Path) -> None:
    inputs = [mutant(1, number) for number in range(200)]

    for number, one in enumerate(inputs):
        keep(tmp_path / str(number), one)

    assert inputs == [read(tmp_path / str(number)) for number in range(200)]
