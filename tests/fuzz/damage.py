"""Damage to the text of a token, without any key: whatever comes of it must be refused."""

import json
from collections.abc import Callable
from random import Random

from tests.fuzz.spelling import ANY, respelled
from tests.vectors.jose import b64, unb64
from tests.vectors.tampering import BASE64URL, non_canonical

Damage = Callable[[Random, str, str], str]
UNSECURED = b64(b'{"alg":"none"}')
ODD_TEXT = ("=", "==", "\n", "\r\n", " ", "\t", "\0", "+", "/", "%3D", "\x80", "\xff", "Ａ", "가", "\ufeff", "\ud800")  # noqa: RUF001 — a wide A


def bit_flipped(rng: Random, text: str, _donor: str) -> str:
    """One to three bits of the text."""
    characters = list(text)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(characters))
        characters[at] = chr(ord(characters[at]) ^ 1 << rng.randrange(8))
    return "".join(characters)


def truncated(rng: Random, text: str, _donor: str) -> str:
    at = rng.randrange(len(text))
    return rng.choice((text[:at], text[at + 1 :], text[:-1]))


def cut_and_repeated(rng: Random, text: str, donor: str) -> str:
    """A stretch left out, repeated, replaced by noise, or by the donor's."""
    start = rng.randrange(len(text))
    end = min(len(text), start + rng.choice((1, 2, 4, 16, 64)))
    noise = "".join(rng.choices(BASE64URL + ".", k=rng.randrange(1, 20)))
    return text[:start] + rng.choice(("", text[start:end] * 2, noise, donor[start:end])) + text[end:]


def spliced(rng: Random, text: str, donor: str) -> str:
    return text[: rng.randrange(len(text))] + donor[rng.randrange(len(donor)) :]


def segments_swapped(rng: Random, text: str, donor: str) -> str:
    """Segments of another genuine token, or in another order."""
    mine, other = text.split("."), donor.split(".")
    if rng.random() < 0.25:
        rng.shuffle(mine)
    else:
        for at in rng.sample(range(len(mine)), rng.randrange(1, len(mine))):
            mine[at] = other[at % len(other)]
    return ".".join(mine)


def segments_counted_wrong(rng: Random, text: str, donor: str) -> str:
    mine = text.split(".")
    at = rng.randrange(len(mine))
    change = rng.randrange(4)
    if change == 0:
        del mine[at]
    elif change == 1:
        mine.insert(at, rng.choice(("", "e30", donor.partition(".")[0])))
    else:
        mine[at] = "" if change == 2 else mine[at] + "." * rng.choice((1, 100, 1000))
    return ".".join(mine)


def bytes_damaged(rng: Random, text: str, _donor: str) -> str:
    """Bits, or the length, of what a segment encodes; the base64url itself stays canonical."""
    mine = text.split(".")
    at = rng.choice([at for at, segment in enumerate(mine) if segment])
    data = bytearray(unb64(mine[at]))
    change = rng.randrange(4)
    if change == 0:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif change == 1:
        del data[rng.randrange(len(data)) :]
    elif change == 2:
        data += rng.randbytes(rng.choice((1, 3, 12, 300)))
    else:
        data[:] = rng.choice((bytes(len(data)), b"\xff" * len(data), rng.randbytes(len(data))))
    mine[at] = b64(bytes(data))
    return ".".join(mine)


def base64_respelled(rng: Random, text: str, _donor: str) -> str:
    """The same bytes in another text: unused bits, padding, white space, other alphabets."""
    mine = text.split(".")
    at = rng.randrange(len(mine))
    segment = mine[at]
    if len(segment) % 4 and rng.random() < 0.4:
        mine[at] = non_canonical(segment)
    else:
        where = rng.choice((0, len(segment), rng.randrange(len(segment) + 1)))
        mine[at] = segment[:where] + rng.choice(ODD_TEXT) + segment[where:]
    return ".".join(mine)


def json_respelled(rng: Random, text: str, _donor: str) -> str:
    """The header, or a job's payload, in other words or in another order, under the old seal or signature."""
    mine = text.split(".")
    at = 0 if len(mine) == 5 else rng.randrange(2)
    mine[at] = b64(respelled(rng, json.loads(unb64(mine[at])), ANY, is_signed=False))
    return ".".join(mine)


def taken_for_another(rng: Random, text: str, donor: str) -> str:
    """The JSON serialisations, an unsecured token, a token in a token."""
    mine = text.split(".")
    return rng.choice((
        json.dumps(dict(zip(("protected", "payload", "signature", "ciphertext", "tag"), mine, strict=False))),
        f"{UNSECURED}.{mine[1]}.",
        f"{mine[0]}.{b64(donor.encode())}.{mine[-1]}",
        f"{mine[0]}..{mine[-1]}",
        f'"{text}"',
        b64(text.encode()),
        text + donor,
    ))  # fmt: skip


DAMAGES: dict[str, Damage] = {
    "bits flipped": bit_flipped,
    "truncated": truncated,
    "cut and repeated": cut_and_repeated,
    "spliced": spliced,
    "segments swapped": segments_swapped,
    "segments counted wrong": segments_counted_wrong,
    "bytes damaged": bytes_damaged,
    "base64 respelled": base64_respelled,
    "JSON respelled": json_respelled,
    "taken for another": taken_for_another,
}
