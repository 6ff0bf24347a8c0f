"""The search finds every form of a canary; the short form of the suite finds nothing but what was planted."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest

from producer import Card
from tests.canary.memory import memory_of
from tests.canary.needles import RESERVED, Canary, Needles, canary, circled, wide
from tests.canary.run import failures
from tests.servers import run_python

TAG = 4711
NEEDLES = Needles(TAG, range(100))
PRIVATE = canary(TAG, 33)  # with a birth date
COMPANY = canary(TAG, 36)  # with a business number


def ascii_json(one: Canary) -> str:
    return json.dumps(one.members())


def korean_json(one: Canary) -> str:
    return json.dumps(one.members(), ensure_ascii=False, separators=(",", ":"))


def quote_bytes(text: str) -> bytes:
    return quote(text).encode()


def json_bytes(text: str) -> bytes:
    return json.dumps(text).encode()


ENCODINGS: dict[str, Callable[[Canary], bytes]] = {
    "JSON": lambda one: ascii_json(one).encode(),
    "JSON with Korean": lambda one: korean_json(one).encode(),
    "JSON in JSON": lambda one: json.dumps(ascii_json(one)).encode(),
    "repr": lambda one: repr(one.members()).encode(),
    "a form": lambda one: urlencode(one.members()).encode(),
    "JSON in a URL": lambda one: quote(korean_json(one)).encode(),
    "HTML": lambda one: korean_json(one).replace('"', "&#34;").encode("ascii", "xmlcharrefreplace"),
    "CP949": lambda one: korean_json(one).encode("cp949"),
    "UTF-16": lambda one: korean_json(one).encode("utf-16-le"),
    "UTF-16, big-endian": lambda one: korean_json(one).encode("utf-16-be"),
    "UTF-32": lambda one: korean_json(one).encode("utf-32-le"),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
@pytest.mark.parametrize("one", [PRIVATE, COMPANY], ids=["private", "company"])
def test_every_value_is_found_in(encode: Callable[[Canary], bytes], one: Canary) -> None:
    found = NEEDLES.find(os.urandom(999) + encode(one) + os.urandom(999))

    assert {(hit.owner, hit.kind) for hit in found} == {
        *((one.place, kind) for kind in ("number", "birth", "name", "mail")),
        (-1, "password"),
    }


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("text", [ascii_json, korean_json])
@pytest.mark.parametrize("shift", range(3))
def test_base64_is_found_at_every_alignment(
    shift: int, text: Callable[[Canary], str], encode: Callable[[bytes], bytes]
) -> None:
    found = NEEDLES.find(encode(b"x" * shift + text(COMPANY).encode()))

    assert {(hit.owner, hit.kind) for hit in found} == {(36, kind) for kind in ("number", "business", "name", "mail")}


@pytest.mark.parametrize("separator", ["", "-", ":", " ", ".", "/", "\0", "\xa0", " - ", "%20", "%2D"])
def test_number_is_found_whatever_separates_its_digits(separator: str) -> None:
    digits = PRIVATE.number
    groups = separator.join(digits[at : at + 4] for at in range(0, 16, 4))

    assert {(33, "number", "digits")} == NEEDLES.find(f"99{groups}99".encode())
    assert {(33, "number", "digits")} == NEEDLES.find(separator.join(digits).encode())


@pytest.mark.parametrize("script", [wide, circled])
@pytest.mark.parametrize("encode", [str.encode, quote_bytes, json_bytes, lambda text: json_bytes(json.dumps(text))])
def test_number_is_found_in_other_digits(script: Callable[[str], str], encode: Callable[[str], bytes]) -> None:
    found = NEEDLES.find(b"%2f" + encode(script(PRIVATE.number)) + b"\x00")

    assert {(hit.owner, hit.kind) for hit in found} == {(33, "number")}


@pytest.mark.parametrize("separator", ["-", " "])
def test_grouped_number_is_found_in_base64(separator: str) -> None:
    groups = separator.join(PRIVATE.number[at : at + 4] for at in range(0, 16, 4))

    assert {hit.owner for hit in NEEDLES.find(base64.b64encode(groups.encode()))} == {33}


@pytest.mark.parametrize("form", ["({})", "a\\x00{}x", '\\u0022{}"', "%22{}%22", "사업자{}입니다", "\0P{}\0"])
def test_business_number_is_found_where_it_stands_apart(form: str) -> None:
    digits = COMPANY.birth

    for text in (digits, f"{digits[:3]}-{digits[3:5]}-{digits[5:]}"):
        assert {(36, "birth", "digits")} == NEEDLES.find(form.format(text).encode())


@pytest.mark.parametrize(
    "form", ["1{}:{}{}:{}{}.{}{}{}{}{}0Z", "176400{}{}{}{}.{}{}{}{}{}{}", "0.{}{}{}{}{}{}{}{}{}{}7"]
)
def test_digits_of_an_instant_or_a_measurement_are_no_business_number(form: str) -> None:
    assert NEEDLES.find(form.format(*COMPANY.birth).encode()) == set()


@pytest.mark.parametrize("form", ["c0{}d", "{}ff-8", "{}.25", "1{}"])
def test_digits_within_a_hash_or_a_greater_number_are_no_business_number(form: str) -> None:
    assert NEEDLES.find(form.format(COMPANY.birth).encode()) == set()


def test_what_outcomes_may_show_is_no_hit() -> None:
    shown = f"{PRIVATE.number[:6]}******{PRIVATE.number[-4:]} birth: wrong, at 0.{PRIVATE.birth}, pwd_2digit: no"

    assert NEEDLES.find(shown.encode()) == set()


def test_sealed_card_is_found_where_not_even_that_may_lie() -> None:
    segments = [b'{"alg":"ECDH-ES","enc":"A256GCM"}', b'{"alg":"Ed25519","kid":"k"}', b'{"epk":{"kty":"OKP"}}']

    assert all({hit.kind for hit in NEEDLES.find(base64.urlsafe_b64encode(one))} == {"sealed"} for one in segments)


def test_card_of_another_run_is_no_hit() -> None:
    assert {hit.kind for hit in NEEDLES.find(ascii_json(canary(TAG + 1, 33)).encode())} <= {"birth", "password"}


def test_canaries_are_cards_and_all_different() -> None:
    canaries = [canary(TAG, index) for index in (*range(1000), *range(RESERVED, RESERVED + 200))]

    for one in canaries:
        Card(**one.members())
        Card(**one.members("buyer"))
    assert all(len({getattr(one, name) for one in canaries}) == 1200 for name in ("number", "birth", "name", "mail"))


def test_memory_of_another_process_is_searched() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may read the memory of another process")
    holds = "import sys; text = sys.stdin.readline(); print(len(text), flush=True); sys.stdin.readline()"
    process = subprocess.Popen([sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(korean_json(PRIVATE).encode() + b"\n")
        process.stdin.flush()
        process.stdout.readline()

        found = set().union(*(NEEDLES.find(piece) for piece in memory_of(process.pid)))

        process.kill()
    assert {hit.owner for hit in found} >= {33}


def test_any_hit_and_any_missed_plant_fails_a_run() -> None:
    well: dict[str, object] = {
        "hits": {"logs": 0},
        "planted_missed": [],
        "exercised": {"crashes": 2},
        "core_files": 0,
        "control_memory_found": 100,
        "control_core_found": None,
    }

    assert failures(well) == []
    assert failures({**well, "hits": {"logs": 1}}) == ["card data in logs"]
    assert failures({**well, "planted_missed": ["vault"]}) == ["the planted leak in vault was not found"]
    assert failures({**well, "exercised": {"crashes": 0}}) == ["there was no crashes"]
    assert failures({**well, "core_files": 1}) != []
    assert failures({**well, "control_memory_found": 0}) != []
    assert failures({**well, "lock_down_cpu_percent": 12.0}) != []


@pytest.mark.timeout(1200)
def test_short_form_finds_no_card_data_but_what_was_planted() -> None:
    done = run_python("-m", "tests.canary", "--quick", timeout_s=1100)

    assert done.stdout, done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["failed"] == []
    assert done.returncode == 0
    assert len(figures["planted_found"]) >= 14
    assert set(figures["hits"].values()) == {0}
