"""Lines: the bytes of a source as lines of text, whatever wrote them.

A line that is too long, or no text, is a line with a problem, and the next one follows. No more than
:data:`RECORD_LIMIT` bytes are held at a time, and none that were read. Never quotes what it read.
"""

import codecs
import contextlib
import re
import select
from collections import deque
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

RECORD_LIMIT = 65_536  # bytes
PIECE = 65_536
SIGNS = '\n\r",{}:;\t|'  # they tell records and fields apart, and are looked for before the text is decoded
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
END_OF_FILE = b"\x1a"  # of DOS, which some programs still write
KOREAN = "cp949"
_HANGUL_ONLY = re.compile(r"[\x00-\x7f\uac00-\ud7a3\u3131-\u318e]*")

TOO_LONG = f"is longer than {RECORD_LIMIT} bytes"


class SourceError(Exception):
    """The source as a whole cannot be used; says why and at which line."""


class CutOff(SourceError):
    """The source ended in the middle of a record: what came before it holds."""


class Line(NamedTuple):
    """A line, or why it cannot be read; ``is_ended`` by a line end."""

    number: int
    text: str
    problem: str | None
    is_ended: bool


class Lines(Iterator[Line]):
    """The lines of a source.

    Args:
        source: its bytes; not buffered, so that whoever closes it waits for no reader.
        encoding: Python's name of it; None is UTF-8, or cp949 if the first line that is not ASCII (up to
            :meth:`settle`) is Korean in it and no UTF-8. UTF-16 is known by its byte order mark, whatever is asked.

    Raises:
        SourceError: the encoding is not known, or the source is empty or breaks.
    """

    def __init__(self, source: BinaryIO, encoding: str | None) -> None:
        self._source, self._is_settled = source, encoding is not None
        self.encoding = (encoding or "utf-8").removesuffix("-sig")
        self._buffer, self._at, self._number = bytearray(), 0, 0  # what was read of it is overwritten
        self._returned: deque[Line] = deque()
        self._decoder: codecs.IncrementalDecoder | None = None
        self._begin()
        _refuse_unlike_ascii("utf-8" if self._decoder else self.encoding)

    def _begin(self) -> None:
        """Take the byte order mark away."""
        while len(self._buffer) < 4 and self._fill():
            pass
        if not self._buffer:
            raise SourceError("line 1: the source is empty")
        if self._buffer.startswith(UTF_16):
            self._decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
            self.encoding, self._is_settled, read = "utf-16", True, bytes(self._buffer)
            self._buffer = bytearray(self._as_utf_8(read, is_end=False))
        self._buffer = self._buffer.removeprefix(codecs.BOM_UTF8)

    def peek(self) -> bytes:
        """The first bytes that are not blank, as far as 4 KiB have some: enough to tell their kind."""
        while not (found := self._buffer[:4096].strip()) and len(self._buffer) < 4096 and self._fill():
            pass
        return bytes(found)

    def settle(self) -> None:
        """The encoding is known now: another one in a later line is a problem of that line."""
        self._is_settled = True

    def give_back(self, lines: Iterable[Line]) -> None:
        """Put lines back, to be read next."""
        self._returned.extendleft(reversed(list(lines)))

    def __next__(self) -> Line:
        if self._returned:
            return self._returned.popleft()
        raw = self._next_raw()
        is_ended = raw.endswith(b"\n")
        if not is_ended and raw.endswith(END_OF_FILE):
            raw, is_ended = raw.rstrip(END_OF_FILE), True
        if not raw:
            raise StopIteration
        self._number += 1
        if len(raw) <= RECORD_LIMIT:
            return Line(self._number, *self._text(raw), is_ended=is_ended)
        while raw and not raw.endswith(b"\n"):
            raw = self._next_raw()
        return Line(self._number, "", TOO_LONG, is_ended=bool(raw))

    def _text(self, raw: bytes) -> tuple[str, str | None]:
        try:
            text = raw.decode("utf-8" if self._decoder else self.encoding)
        except UnicodeError:
            if not self._is_settled and _is_korean(raw):
                self.encoding, self._is_settled = KOREAN, True
                return self._text(raw)
            return "", f"is no {self.encoding}"
        return text, "has a NUL" if "\0" in text else None

    def _next_raw(self) -> bytes:
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            if len(self._buffer) - self._at > RECORD_LIMIT or not self._fill():
                end = min(len(self._buffer), self._at + RECORD_LIMIT + 1) - 1
                break
        raw = bytes(self._buffer[self._at : end + 1])
        self._buffer[self._at : end + 1] = bytes(len(raw))
        self._at = end + 1
        return raw

    def _fill(self) -> bool:
        try:
            while (piece := self._source.read(PIECE)) is None:  # whoever started us made it non-blocking
                select.select([self._source], [], [])
        except OSError as error:
            raise SourceError(f"line {self._number + 1}: the source broke ({error.strerror})") from None
        del self._buffer[: self._at]
        self._buffer += self._as_utf_8(piece, is_end=not piece) if self._decoder else piece
        self._at = 0
        return bool(piece)

    def _as_utf_8(self, piece: bytes, *, is_end: bool) -> bytes:
        """A piece of UTF-16; what is none of it becomes no UTF-8 either, and so a problem of its line."""
        assert self._decoder is not None  # noqa: S101 — for mypy
        try:
            return self._decoder.decode(piece, final=is_end).encode("utf-8", "surrogatepass")
        except UnicodeError:  # half a character at the end
            self._decoder.reset()
            return b"\xff"


def _is_korean(raw: bytes) -> bool:
    with contextlib.suppress(UnicodeError):
        return _HANGUL_ONLY.fullmatch(raw.decode(KOREAN)) is not None
    return False


def _refuse_unlike_ascii(encoding: str) -> None:
    with contextlib.suppress(LookupError, UnicodeError):
        if SIGNS.encode(encoding) == SIGNS.encode():
            return
    raise SourceError("--encoding: is not known, or its line ends and commas are not those of ASCII")
