"""The label ``code``: every word of ours has a series of its own, and nothing that anybody else makes up has one."""

import ast
import re

import pytest

from producer.contract.outcome import Outcome, Status
from tests.servers import ROOT
from tests.vectors import read_vectors
from worker.labels import OUR_WORDS, PG_CODES, code_of

RAISED = {"Refused": 0, "End": 1, "_in_doubt": 1}  # where the code stands among the arguments


def outcome(**fields: object) -> Outcome:
    return Outcome.model_validate(
        {"job_id": "j", "status": "declined", "operation": "issue", "accepted_at": 1, "finished_at": 2, **fields}
    )


def words_in_the_source() -> set[str]:
    found = set()
    for path in [*(ROOT / "worker").rglob("*.py"), *(ROOT / "producer/contract").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and (place := RAISED.get(ast.unparse(node.func))) is not None:
                found |= {one.value for one in node.args[place : place + 1] if isinstance(one, ast.Constant)}
    return {word for word in found if isinstance(word, str)}


def test_every_code_of_ours_has_a_label() -> None:
    table = (ROOT / "docs/outcomes.md").read_text().partition("## Codes of our own")[2]
    told = set(re.findall(r"`([a-z][a-z0-9_]+)`", re.sub(r"(?m)^\| [^|]+\|", "", table)))
    refused = {vector["expected"] for vector in read_vectors("refuse.jsonl")}
    written = words_in_the_source()

    assert min(len(told), len(refused), len(written)) > 15
    theirs = {one for one in told | refused | written if one.startswith("ticket_")}
    assert (told | refused | written) - theirs - OUR_WORDS == {"code", *Status} & told


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"code": None}, "none"),
        ({"code": 0}, "none"),
        ({"code": "edge_page"}, "edge_page"),
        ({"code": "whatever a thief wrote into a record"}, "other"),
        ({"code": -1, "pg_code": "8108"}, "8108"),
        ({"code": -1, "pg_code": "4242424242424242"}, "other"),
        ({"code": -1}, "other"),
        ({"code": 1}, "other"),
    ],
)
def test_a_code_that_no_table_has_is_other(fields: dict[str, object], label: str) -> None:
    assert "8108" in PG_CODES
    assert code_of(outcome(**fields)) == label
