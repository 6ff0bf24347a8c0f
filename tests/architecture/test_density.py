"""Length and density of the product's code: decisions that share a line count like any others."""

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from tests.servers import ROOT

MODULE_LINES, FUNCTION_LINES, DECISIONS, DECISIONS_P95 = 300, 40, 10, 6
MODULES = sorted(chain((ROOT / "producer").rglob("*.py"), (ROOT / "worker").rglob("*.py")))
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function):
            yield node


def decisions(function: Function) -> int:
    """McCabe's number, with booleans, conditional expressions, comprehensions and cases counted, too."""
    return 1 + sum(_weight(node) for node in chain(*map(_own, function.body)))


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it, but for functions in it, which are counted by themselves."""
    if not isinstance(node, Function):
        yield node
        for child in ast.iter_child_nodes(node):
            yield from _own(child)


def _weight(node: ast.AST) -> int:
    match node:
        case ast.BoolOp():
            return len(node.values) - 1
        case ast.comprehension():
            return 1 + len(node.ifs)
        case ast.If() | ast.IfExp() | ast.For() | ast.AsyncFor() | ast.While() | ast.ExceptHandler() | ast.match_case():
            return 1
        case _:
            return 0


def named(path: Path, function: Function) -> str:
    return f"{path.relative_to(ROOT)}:{function.lineno} {function.name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_not_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MODULE_LINES


def test_no_function_is_too_long_or_too_dense() -> None:
    found = [(path, one) for path in MODULES for one in functions(path)]
    lines = {named(path, one): (one.end_lineno or 0) - one.body[0].lineno + 1 for path, one in found}
    counts = {named(path, one): decisions(one) for path, one in found}

    assert {name: count for name, count in lines.items() if count > FUNCTION_LINES} == {}
    assert {name: count for name, count in counts.items() if count > DECISIONS} == {}
    assert sorted(counts.values())[len(counts) * 95 // 100] <= DECISIONS_P95


def test_no_docstring_begins_with_what_whether_or_how() -> None:
    begins = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function | ast.ClassDef | ast.Module):
                first = (ast.get_docstring(node) or "").split(" ", 1)[0].rstrip(":,")
                if first in {"What", "Whether", "How"}:
                    begins[f"{path.relative_to(ROOT)} {getattr(node, 'name', '')}"] = first

    assert begins == {}
