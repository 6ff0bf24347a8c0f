"""The commands of README.md and docs/, as a reader would type them, and the variants that their words describe."""

import re
from pathlib import Path

from tests.servers import ROOT

README, QUICKSTART, CARD_PAGE = ROOT / "README.md", ROOT / "docs/quickstart.md", ROOT / "docs/card-page.md"


class Unclear(Exception):
    """A document does not say what the proof looks for there."""


def section(document: Path, title: str) -> str:
    """A section of a document: the text after its heading, up to the next one (a line with one ``#`` may be code)."""
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", document.read_text(), re.DOTALL | re.MULTILINE)
    if found is None:
        raise Unclear(f"{document.name} has no section {title!r}")
    return found[1]


def first_block(document: Path, title: str, language: str) -> str:
    """The first code block of a language in a section."""
    found = re.search(rf"^```{language}\n(.*?)^```", section(document, title), re.DOTALL | re.MULTILINE)
    if found is None:
        raise Unclear(f"{document.name} has no {language} block under {title!r}")
    return found[1]


def blocks(text: str) -> list[list[str]]:
    """The commands of each ``sh`` block; one that goes on after a pipe or a backslash is one command."""
    found = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [re.split(r"(?<![|\\])\n", block.rstrip("\n")) for block in found]


def inline(text: str, beginning: str) -> str:
    """A command in the midst of words."""
    found = re.search(rf"`({re.escape(beginning)}[^`]*)`", text)
    if found is None:
        raise Unclear(f"no document says `{beginning} …`")
    return " ".join(found[1].split())


class Demo:
    """The quickstart's words that put other commands in place of its own, for the fake i'mport.

    Attributes:
        variable: the one that the commands need, and its value.
    """

    def __init__(self, text: str) -> None:
        words = r"With the fake[^`]+`(cp \S+ (\S+))`,\s+`(\w+)=(\S+)`,\s+and\s+`([^`]+)`\s+in\s+place\s+of\s+`([^`]+)`"
        found = re.search(words, text)
        if found is None:
            raise Unclear("the quickstart does not say how to run with the fake i'mport")
        copy, target, name, value, command, usual = found.groups()
        self.variable = (name, value)
        self._instead = {f"cp {target}.example {target}": copy, usual: command}

    def __call__(self, command: str) -> str:
        """A command as it is typed with the fake i'mport."""
        for usual, other in self._instead.items():
            command = command.replace(usual, other)
        return command


def without_locked_memory(text: str) -> str:
    """The ``.env`` file of a host that does not let containers lock memory."""
    return "".join(f"{line}\n" for line in inline(text, "MEMLOCK=").split())
