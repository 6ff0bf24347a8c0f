"""Mutated: files of every kind, damaged, through a dry run and through the checks of a run."""

import csv
import io
import os
import random
import re
import tempfile
import time
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from click.testing import CliRunner, Result

from producer.cli.main import main
from producer.cli.migrate import migrate_source
from producer.cli.migrate_options import options_of
from producer.migrate.checker import Row
from producer.migrate.lines import SourceError
from producer.migrate.options import Options, read
from tests.fake_iamport import numbered
from tests.migration.stage import Figures

HEADER = ["customer_uid", "card_number", "expiry", "birth", "pwd_2digit", "customer_name", "pg"]
ROWS = 8
BITS = [
    *(b'"', b",", b";", b"\t", b"|", b"\n", b"\r\n", b"\r", b"\0", b"\x1a", b"'", b"=", b" ", b"\xef\xbb\xbf", b"\xff"),
    *(b".0", b"E+15", b"e5", b"0", b"9", b"sep=;\n", b"{", b"}", b"[", b"{}", b":", "\u200b".encode(), b"\xa0"),
    *(
        "\uff10\uff11\uff12".encode(),
        "홍".encode("cp949"),
        "홍".encode(),
        b"900101-1234567",
        b"4242424242424242",
        b"-",
        b"/",
    ),
]
OPTIONS = [
    *([], [], ["--pad-zeros"], ["--expiry-format", "MM/YY"], ["--expiry-format", "MMYY"], ["--format", "jsonl"]),
    *(["--format", "csv"], ["--encoding", "cp949"], ["--strict"], ["--require", "birth,pwd_2digit"]),
    *(["--uid", "{customer_uid}_{pg}"], ["--default", "pg=nice"], ["--accept-unterminated"]),
]
NUMBER = re.compile(r"[0-9]{13,}")


def _spoilt(text: str, chance: random.Random) -> str:
    """A cell as a spreadsheet, an input method or a database may leave it."""
    ways: list[Callable[[str], str]] = [
        *([str] * 12),
        *(lambda one: f" {one} ", lambda one: f"'{one}", lambda one: one[1:], lambda one: "", lambda one: f"{one}.0"),
        *(
            lambda one: one[:-1] + "0",
            lambda one: one.replace("-", "/"),
            lambda one: f"{one}\u00a0",
            lambda one: one * 2,
        ),
        lambda one: "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in one),
    ]
    return chance.choice(ways)(text)


def made(chance: random.Random) -> bytes:
    """A file, perhaps damaged."""
    rows = [HEADER]
    for index in range(ROWS):
        number = numbered(chance.randrange(10**6))
        expiry = chance.choice(["2031-07", "2031-12", "07/31", "731", "2020-01", "2031/07"])
        birth = chance.choice(["900101", "19900101", "10203", "1990-01-01", "900101-1234567", ""])
        row = [
            f"u{chance.choice([index, 1])}",
            number,
            expiry,
            birth,
            chance.choice(["12", "05", "5", ""]),
            "홍길동",
            "nice",
        ]
        rows.append([_spoilt(cell, chance) for cell in row])
    file = io.StringIO()
    dialect = chance.choice([csv.excel, csv.unix_dialect])  # which quotes everything
    csv.writer(file, dialect, delimiter=chance.choice(",;\t|"), lineterminator="\r\n").writerows(rows)
    data = file.getvalue().encode(chance.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "cp949"]), "replace")
    for _ in range(chance.choice([0, 0, 1, 1, 2, 5])):
        at, length = chance.randrange(len(data) + 1), chance.choice([0, 0, 1, 3, 40])
        data = data[:at] + chance.choice([*BITS, data[at : at + 60]]) + data[at + length :]
    return data


def _piped(data: bytes, command: Callable[[], Result]) -> Result:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    before = os.dup(0)
    os.dup2(reading, 0)
    os.close(reading)
    try:
        return command()
    finally:
        os.dup2(before, 0)
        os.close(before)


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, unicodedata.normalize("NFKC", text)))


def says_the_same(row: Row, text: str) -> bool:
    """True if a request has nothing that its place in the file has not."""
    assert row.request is not None
    assert row.card is not None
    card = row.card.reveal()
    groups = {_digits(cell) for sign in ",;\t|" for line in text.split("\n") for cell in line.split(sign)}
    month = f"{card['expiry'][2:4]}{card['expiry'][5:]}", f"{card['expiry'][5:].lstrip('0')}{card['expiry'][2:4]}"
    is_there = {
        "uid": row.customer_uid.partition("_")[0] in text,
        "number": card["card_number"] in groups,
        "expiry": any(all(part in group for part in (month[0][:2], month[1][:-2])) for group in groups),
        "birth": any(group.endswith(card.get("birth", "").lstrip("0")) for group in groups),
        "pwd": card.get("pwd_2digit", "").lstrip("0") in {group.lstrip("0") for group in groups} | {""},
    }
    return all(is_there.values())


def broken_by(data: bytes, options: list[str], folder: Path) -> Iterator[str]:
    """What is wrong with how a file was taken."""
    report = folder / "dry.csv"
    report.unlink(missing_ok=True)
    arguments = ["migrate", "-", "--dry-run", "--report", str(report), *options]
    done = _piped(data, lambda: CliRunner().invoke(main, arguments))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        yield "".join(traceback.format_exception(done.exception)[-2:])
    if done.exit_code not in {0, 1, 2} or (done.exit_code == 2) != bool(done.stderr):
        yield f"exit code {done.exit_code}: {done.stderr}"
    if done.stderr and not re.fullmatch(r"producer: [^\n]+\n", done.stderr):
        yield f"stderr: {done.stderr}"
    shown = NUMBER.findall(_plain(done.output + _without_uids(report)))
    yield from (f"shows {number[:4]}…" for number in shown if number in _plain(data.decode("utf-8", "replace")))
    yield from _changed(data, options)


def _without_uids(report: Path) -> str:
    """A report without the customer_uids that the contract takes: they are kept in clear."""
    rows = list(csv.reader(report.read_text().splitlines())) if report.exists() else []
    return "\n".join(str([cell for at, cell in enumerate(row) if at != 1 or row[-1] != "send"]) for row in rows)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _changed(data: bytes, options: list[str]) -> Iterator[str]:
    """Rows that would be sent and say something else than the file."""
    checks = _options(options)
    kind = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else None
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    with os.fdopen(reading, "rb", 0) as file:
        try:
            source = read(file, checks)
            checker = checks.checker("k:", 900.0)
            rows = [row for row in map(checker.check, source) if row.request is not None]
        except SourceError:
            return
        lines = data.decode(kind or source.encoding, "replace").split("\n")
    for row in rows:
        if not says_the_same(row, "\n".join(lines[row.line - 1 : row.line + 19])):
            yield f"line {row.line} is not what the file says"


def _options(words: list[str]) -> Options:
    given = migrate_source.make_context("run", ["-", *words]).params
    return options_of(**{name: given[name] for name in given.keys() - {"source", "name", "is_dry", "is_plain_allowed"}})


def mutated(count: int, seed: int) -> Figures:
    """So many files."""
    began, broken = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            chance = random.Random(f"{seed}:{number}")
            data, options = made(chance), chance.choice(OPTIONS)
            broken += [f"{number} {options}: {words}" for words in broken_by(data, options, Path(folder))]
    return {"files": count, "seed": seed, "seconds": round(time.monotonic() - began), "broken": broken[:20]}
