"""JSON objects changed so that a strict reader must refuse them, member by member or as a whole.

A document is kept as pairs of raw JSON texts, so that values can be written that no JSON library would write.
"""

import json
from collections.abc import Mapping
from random import Random
from typing import Any

Pairs = list[tuple[str, str]]
ANY: frozenset[str] | None = None

ODD_IF_HELD = ("null", "0", '"../x"', "1800000000")
"""Another value only for a member whose value must hold."""
ODD = (
    "true", "false", "-1", "1.5", "1e400", "-1e400", "NaN", "-Infinity", "01", "0x10", "+1", ".5", "'x'",
    '""', '"\\u0000"', '"\\ud800"', '"\\udfff\\ud800"', '"a\\nb"', '"a\nb"', '"\\x41"', "[]", "{}", '{"a":1,"a":2}',
    "", "9" * 400, "9" * 4400, "1" + "0" * 400 + ".0", f'"{"x" * 300}"', '"' + "\u0301\u0323" * 500 + '"',
    "[" * 300 + "]" * 300, "[" * 1500, '{"a":' * 120 + "0" + "}" * 120, '"' + "\ufdfa" * 500 + '"',
)  # fmt: skip
UNKNOWN = (
    "zip", "crit", "b64", "apu", "apv", "jwk", "jku", "x5c", "x5u", "p2c", "cty", "iss", "Alg", "alg ",
    "priority", "__proto__", "constructor", "", "4242424242424242", "\\ud800", "\\u0000", "KID", "k\u0130d", "card",
)  # fmt: skip
MANY = b"{" + b",".join(f'"{chr(at)}":0'.encode() for at in range(0x7F, 0x7F + 800)) + b"}"


def pairs_of(members: Mapping[str, Any]) -> Pairs:
    return [(json.dumps(name), json.dumps(value, ensure_ascii=False)) for name, value in members.items()]


def text_of(pairs: Pairs) -> bytes:
    return ("{" + ",".join(f"{name}:{value}" for name, value in pairs) + "}").encode(errors="surrogatepass")


def respelled(rng: Random, members: Mapping[str, Any], held: frozenset[str] | None, *, is_signed: bool) -> bytes:
    """The object changed.

    Args:
        rng: chance.
        members: the object.
        held: the members that must be there with no value but this; None if all.
        is_signed: whether it will be signed or sealed, so that its meaning must change, and not only its text.
    """
    pairs = pairs_of(members)
    if rng.random() < 0.25:
        return _whole_document(rng, text_of(pairs))
    change = rng.choice((_odd, _odd, _added, _twice, _renamed, _removed, _removed if is_signed else _shuffled))
    change(rng, pairs, [at for at, name in enumerate(members) if held is None or name in held])
    return text_of(pairs)


def _odd(rng: Random, pairs: Pairs, held: list[int]) -> None:
    at = rng.randrange(len(pairs))
    value = rng.choice(ODD + ODD_IF_HELD if at in held else ODD)
    pairs[at] = pairs[at][0], value if value != pairs[at][1] else "[]"


def _added(rng: Random, pairs: Pairs, _held: list[int]) -> None:
    pairs.insert(rng.randrange(len(pairs) + 1), (f'"{rng.choice(UNKNOWN)}"', rng.choice(("1", '"DEF"', "null", *ODD))))


def _twice(rng: Random, pairs: Pairs, _held: list[int]) -> None:
    name, value = rng.choice(pairs)
    name = rng.choice((name, f'"\\u{ord(name[1]):04x}{name[2:]}'))
    pairs.insert(rng.randrange(len(pairs) + 1), (name, rng.choice((value, "null", '"x"', *ODD))))


def _renamed(rng: Random, pairs: Pairs, _held: list[int]) -> None:
    at = rng.randrange(len(pairs))
    name = pairs[at][0]
    pairs[at] = rng.choice((name.upper(), f'{name[:-1]} "', f'{name[:-1]}\\u0000"', name[1:-1], "1")), pairs[at][1]


def _removed(rng: Random, pairs: Pairs, held: list[int]) -> None:
    del pairs[rng.choice(held)]


def _shuffled(rng: Random, pairs: Pairs, _held: list[int]) -> None:
    pairs.reverse()
    at = rng.randrange(len(pairs))
    pairs[at] = pairs[at][0], rng.choice((" ", "\t", "\n")) + pairs[at][1]


def _whole_document(rng: Random, text: bytes) -> bytes:
    return rng.choice((
        b"\xef\xbb\xbf" + text, text + b"\0", text + b"{}", text + text, b"[" + text + b"]", b'"' + text,
        text[:-1] + b",}", text[:-1], text[1:], text.replace(b'"', b"'"), b"/**/" + text, b"\xff" + text,
        *(text.decode(errors="replace").encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-32")),
        text.replace(b"a", b"\xc1\xa1"), text.replace(b'":', b'"\xed\xa0\x80:'), text.replace(b'":', b'"='),
        b"", b"null", b"{}", b"[]", b"1", b"NaN", b"[" * 5900, b'{"a":' * 1180, MANY, b"9" * 4400, rng.randbytes(40),
    ))  # fmt: skip


def meaning(text: bytes) -> str | None:
    """What a lenient reader makes of it, equal for two texts that mean the same; None if it is no JSON of UTF-8."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError
        return dict(pairs)

    try:
        return json.dumps(json.loads(text.decode(), object_pairs_hook=once), sort_keys=True)
    except (ValueError, RecursionError):
        return None
