import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.contract.errors import Refused
from producer.contract.jose import HEADER_LIMIT, b64url, header_of, json_object, split, unb64url

JSON = st.dictionaries(
    st.text(st.characters(codec="utf-8")),
    st.none() | st.booleans() | st.integers() | st.lists(st.text(st.characters(codec="utf-8"))),
)


NO_JSON = (
    *(b"", b"[]", b"1", b"{}x", b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":"\xff"}', b"\xef\xbb\xbf{}"),
    *("{}".encode("utf-16"), b'{"a":' * 50_000, b'{"a":' + b"9" * 5000 + b"}"),
)


@given(st.binary())
def test_base64url_is_read_as_it_was_written(data: bytes) -> None:
    assert data == unb64url(b64url(data))


@given(st.text("ABCYZabcyz019-_=+/ \n"))
def test_no_two_texts_stand_for_the_same_bytes(text: str) -> None:
    try:
        data = unb64url(text)
    except Refused:
        return

    assert text == b64url(data)


@pytest.mark.parametrize("text", ["A", "AB", "AAA=", "AA==", "AA+A", "AA/A", "AA A", "AAAA\n", "가가가가", "A\0AA"])
def test_text_that_is_not_canonical_base64url_is_refused(text: str) -> None:
    with pytest.raises(Refused, match=r"^bad_base64$"):
        unb64url(text)


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c.d", "...."])
def test_token_has_its_number_of_segments(token: str) -> None:
    with pytest.raises(Refused, match=r"^not_compact$"):
        split(token, 3, 100)


def test_token_beyond_its_limit_is_refused() -> None:
    with pytest.raises(Refused, match=r"^too_long$"):
        split("a.b." + "c" * 97, 3, 100)


def test_token_at_its_limit_is_split() -> None:
    assert split("a.b." + "c" * 96, 3, 100) == ["a", "b", "c" * 96]


@given(JSON)
def test_json_object_is_read_as_it_was_written(members: dict[str, object]) -> None:
    assert members == json_object(json.dumps(members).encode())


@pytest.mark.parametrize(
    ("data", "code"),
    [(data, "bad_json") for data in NO_JSON]
    + [(data, "duplicate_member") for data in (b'{"a":1,"a":1}', b'{"a":{"b":1,"b":2}}', b'{"a":1,"\\u0061":2}')],
)
def test_json_that_could_mean_two_things_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(Refused, match=rf"^{code}$"):
        json_object(data)


@given(st.binary())
def test_no_bytes_raise_anything_but_refused(data: bytes) -> None:
    try:
        members = json_object(data)
    except Refused:
        members = {}

    assert isinstance(members, dict)


def test_header_beyond_its_limit_is_refused_unread() -> None:
    with pytest.raises(Refused, match=r"^header_too_long$"):
        header_of("?" * (HEADER_LIMIT + 1))
