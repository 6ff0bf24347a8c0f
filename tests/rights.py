"""The rights table of docs/security.md: read from the ACL files that ``python -m worker acl`` writes.

::

    python -m tests.rights          # writes the table anew
"""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.servers import ROOT
from worker import redis_acl

DOCUMENT = ROOT / "docs/security.md"
BEGIN, END = "<!-- written by python -m tests.rights -->", "<!-- until here -->"
SCRIPTS = frozenset({"eval", "evalsha"})
SERVERS = {"ledger": "Queue and ledger", "vault": "Vault"}


class Granted(NamedTuple):
    """What a user of a server may do with keys of a pattern; without one: commands without keys, channels (``&…``)."""

    server: str
    user: str
    keys: str
    commands: frozenset[str]


def from_files() -> set[Granted]:
    """The rights of all users, as the ACL files have them."""
    with tempfile.TemporaryDirectory() as name:
        server = redis_acl.Server("127.0.0.1:6379")
        redis_acl.write_access(Path(name), server, server)
        return {
            granted
            for service in SERVERS
            for line in (Path(name) / f"redis/{service}.acl").read_text().splitlines()
            for granted in _read_line(service, line)
        }


def _read_line(server: str, line: str) -> Iterator[Granted]:
    outside, *selectors = line.replace(")", "").split("(")
    _, user, *rules = outside.split()
    if "off" in rules or "+@all" in rules:
        return
    yield Granted(server, user, "", frozenset(one.lstrip("+") for one in rules if one[0] in "+&") - SCRIPTS)
    for selector in selectors:
        commands = frozenset(rule[1:] for rule in selector.split() if rule[0] == "+")
        yield from (
            Granted(server, user, rule.removeprefix("~"), commands) for rule in selector.split() if rule[0] in "~%"
        )


def table(rights: set[Granted]) -> str:
    """The table of the document: users and keys with the same rights share a row."""
    lines = []
    for service, title in SERVERS.items():
        lines += [f"### {title}", "", "| users | keys | commands |", "|---|---|---|"]
        alike: dict[tuple[str, frozenset[str]], list[str]] = {}
        for one in sorted(rights):
            if one.server == service:
                alike.setdefault((one.user, one.commands), []).append(one.keys)
        rows: dict[tuple[str, frozenset[str]], list[str]] = {}
        for (user, commands), keys in alike.items():
            rows.setdefault((_words(keys), commands), []).append(user)
        lines += [f"| {', '.join(users)} | {keys} | {_words(commands)} |" for (keys, commands), users in rows.items()]
        lines.append("")
    return "\n".join(lines)


def _words(names: Iterable[str]) -> str:
    return " ".join(f"`{name}`" for name in sorted(names)).replace("|", "\\|") if any(names) else "none"


def from_document() -> set[Granted]:
    """The rights of all users, as the document has them."""
    found, server = set(), ""
    for line in DOCUMENT.read_text().partition(BEGIN)[2].partition(END)[0].splitlines():
        server = next((service for service, title in SERVERS.items() if line == f"### {title}"), server)
        cells = [cell.strip().replace("\\|", "|") for cell in line.strip("|").split(" | ")]
        if len(cells) == 3 and cells[0] != "users":
            commands = frozenset(cells[2].replace("`", "").split())
            keys = [""] if cells[1] == "none" else cells[1].replace("`", "").split()
            found |= {Granted(server, user, key, commands) for user in cells[0].split(", ") for key in keys}
    return found


def main() -> None:
    """Write the table anew."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table(from_files())}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
