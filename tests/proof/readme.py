"""The commands of README.md, as a reader would type them, and the variants that its words describe."""

import re

from tests.servers import ROOT


class Unclear(Exception):
    """README does not say what the proof looked for there."""


def section(title: str) -> str:
    """A section of README.md: what follows its heading, up to the next one."""
    text = (ROOT / "README.md").read_text()
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ )", text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise Unclear(f"README has no section {title!r}")
    return found[1]


def blocks(text: str) -> list[list[str]]:
    """The commands of each ``sh`` block; one that goes on after a pipe or a backslash is one command."""
    found = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [re.split(r"(?<![|\\])\n", block.rstrip("\n")) for block in found]


def inline(text: str, beginning: str) -> str:
    """A command in the midst of words."""
    found = re.search(rf"`({re.escape(beginning)}[^`]*)`", text)
    if found is None:
        raise Unclear(f"README does not say `{beginning} …`")
    return " ".join(found[1].split())


class Demo:
    """What README's words put in place of its commands, for the fake i'mport.

    Attributes:
        variable: the one that the commands need, and its value.
    """

    def __init__(self, text: str) -> None:
        words = r"With the fake[^`]+`(cp \S+ (\S+))`,\s+`(\w+)=(\S+)`,\s+and\s+`([^`]+)`\s+in\s+place\s+of\s+`([^`]+)`"
        found = re.search(words, text)
        if found is None:
            raise Unclear("README does not say how to run with the fake i'mport")
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
