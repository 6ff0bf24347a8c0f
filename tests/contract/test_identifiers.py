from typing import Any
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from producer.contract.identifiers import (
    CustomerUid,
    JobId,
    Kid,
    MerchantUid,
    Operation,
    job_id_of,
    new_idempotency_key,
    printable,
)

KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200)


@given(KEYS)
def test_job_id_is_a_uuid_of_version_8(key: str) -> None:
    job_id = UUID(job_id_of(key))

    assert (job_id.version, job_id.variant) == (8, RFC_4122)


@given(KEYS)
def test_job_id_is_one_that_the_contract_reads(key: str) -> None:
    job_id = job_id_of(key)

    assert job_id == TypeAdapter(JobId).validate_python(job_id)


def test_job_id_of_a_key_is_the_same_in_every_release() -> None:
    assert job_id_of("signup-8471") == "be247e29-b532-8186-8f99-2e916cc634bd"


@given(st.lists(KEYS, unique=True, min_size=2, max_size=2))
def test_other_keys_are_other_jobs(keys: list[str]) -> None:
    assert len({job_id_of(key) for key in keys}) == 2


def test_new_keys_differ() -> None:
    assert new_idempotency_key() != new_idempotency_key()


def test_operations_are_issue_and_onetime() -> None:
    assert list(map(str, Operation)) == ["issue", "onetime"]


@pytest.mark.parametrize(
    ("kind", "length"), [(CustomerUid, 80), (MerchantUid, 40), (Kid, 64)], ids=["customer_uid", "merchant_uid", "kid"]
)
def test_names_have_their_lengths(kind: Any, length: int) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(kind)

    assert "a" * length == adapter.validate_python("a" * length)
    with pytest.raises(ValidationError):
        adapter.validate_python("a" * (length + 1))


@pytest.mark.parametrize("kind", [CustomerUid, MerchantUid], ids=["customer_uid", "merchant_uid"])
@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a b", "a%b", "a\n", "\0", "홍", "\uff41"])
def test_uids_are_safe_in_a_path(kind: Any, name: str) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(kind)

    with pytest.raises(ValidationError):
        adapter.validate_python(name)


@given(st.text(min_size=1, max_size=3))
def test_uids_hold_nothing_but_the_promised_characters(name: str) -> None:
    adapter: TypeAdapter[str] = TypeAdapter(CustomerUid)
    promised = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@:+=~-")

    try:
        is_taken = bool(adapter.validate_python(name))
    except ValidationError:
        is_taken = False

    assert (set(name) <= promised and name not in {".", ".."}) is is_taken


@given(st.text())
def test_printable_text_is_what_it_was_and_one_line_of_utf8(text: str) -> None:
    try:
        taken = printable(text)
    except ValueError:
        taken = ""

    assert taken in {text, ""}
    assert taken.encode().decode() == taken
    assert len(f"a{taken}b".splitlines()) == 1


@pytest.mark.parametrize("text", ["홍길동", "O'Brien (역삼동) #2", "😀", "", " "])
def test_letters_signs_and_blanks_are_printable(text: str) -> None:
    assert text == printable(text)


@pytest.mark.parametrize("text", ["a\nb", "\0", "\x1b", "\x85", "\u2028", "\u202e", "\ud800"])
def test_what_breaks_a_line_or_cannot_travel_is_not_printable(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be printable text in one line$"):
        printable(text)
