"""Ways to damage a token's segments, and to spell its JSON as no one should."""

from collections.abc import Callable

from tests.vectors.jose import Json, Segments, b64, to_json, unb64

Tamper = Callable[[Segments], Segments]

BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def on(index: int, change: Callable[[str], str]) -> Tamper:
    """Change the text of one segment."""

    def tamper(segments: Segments) -> Segments:
        return [change(text) if i == index else text for i, text in enumerate(segments)]

    return tamper


def bytes_of(index: int, change: Callable[[bytes], bytes]) -> Tamper:
    """Change the bytes in one segment."""
    return on(index, lambda text: b64(change(unb64(text))))


def cut(index: int) -> Tamper:
    """Leave out the last byte in one segment."""
    return bytes_of(index, lambda data: data[:-1])


def put(index: int, text: str) -> Tamper:
    """Put another text in the place of one segment."""
    return on(index, lambda _: text)


def flip(index: int) -> Tamper:
    """Change the last bit of the middle byte in one segment."""

    def change(data: bytes) -> bytes:
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]

    return bytes_of(index, change)


def non_canonical(text: str) -> str:
    """The same bytes in another text: the unused bits of the last character are set."""
    assert len(text) % 4, "all bits of this segment are used"
    return text[:-1] + BASE64URL[BASE64URL.index(text[-1]) + 1]


def joined(change: Callable[[str], str]) -> Tamper:
    """Change the text as a whole."""
    return lambda segments: change(".".join(segments)).split(".")


def with_tab(members: Json) -> bytes:
    """JSON with a tab in it, which one flipped bit turns into another white space: the same header to a parser."""
    return b"{\t" + to_json(dict(members))[1:]


def tab_to_return(data: bytes) -> bytes:
    """See :func:`with_tab`: a single bit differs."""
    assert data[1] == 0x09
    return data[:1] + b"\x0d" + data[2:]


def twice(member: str, value: object) -> Callable[[Json], bytes]:
    """JSON that names a member a second time, first with another value."""
    return lambda members: b"{" + to_json({member: value})[1:-1] + b"," + to_json(dict(members))[1:]


def also(**members: object) -> Callable[[Json], bytes]:
    """JSON with other values for these members."""
    return lambda read: to_json(dict(read) | members)


def exactly(data: bytes) -> Callable[[object], bytes]:
    """This, whatever was to be spelled."""
    return lambda _members: data
