"""Which customers of a migration i'mport has already: by the dry run's report, as the Redis user ``operator``."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from producer import BillingQueue, Card
from tests.fake_iamport import CARDS, Fault
from tests.servers import run_python
from tests.stack import Stack

NUMBER, OTHER_NUMBER = CARDS["visa"].card_number, "5555555555554444"


def report_of(rows: Iterable[tuple[str, str]], path: Path) -> Path:
    """What the dry run makes of an export of these customers and numbers."""
    lines = "".join(f"{uid},{number},2031-07,900101,12\n" for uid, number in rows)
    done = run_python(
        *("-m", "producer", "migrate", "-", "--dry-run", "--report", str(path)),
        given="customer_uid,card_number,expiry,birth,pwd_2digit\n" + lines,
    )
    assert done.returncode in {0, 1}, done.stderr
    return path


def ask(stack: Stack, report: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    settings = {name: value for name, value in stack.worker_env.items() if name.startswith("IMP_")}
    settings |= {"VAULT_URL": stack.stores("operator")["VAULT_URL"], **environ}
    done = run_python("-m", "worker", "exists", str(report), *arguments, environ=settings)
    said = done.stdout + done.stderr
    assert ("Traceback" in said, NUMBER in said, OTHER_NUMBER in said) == (False, False, False)
    return done


@pytest.fixture(scope="module")
def stored(busy: Stack, merchant: BillingQueue) -> Stack:
    """With the same Visa for three customers."""
    jobs = [merchant.issue(customer_uid=uid, card=Card(**CARDS["visa"].fields())) for uid in ("=same", "other", "bad")]
    assert {merchant.wait(job.job_id, 60).status for job in jobs} == {"issued"}
    return busy


def test_who_is_stored_and_with_which_card_is_told_with_many_a_call(stored: Stack, tmp_path: Path) -> None:
    new = [(f"new-{count}", NUMBER) for count in range(78)]
    twice = [("bad", NUMBER), ("bad", OTHER_NUMBER)]  # refused, and so not asked about
    report = report_of([("=same", NUMBER), ("other", OTHER_NUMBER), *new, *twice], tmp_path / "dry.csv")
    before = stored.fake.count("GET", "/subscribe/customers")

    done = ask(stored, report, "--json")
    said: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]

    assert (done.returncode, len(said), done.stderr) == (1, 80, "")
    assert [(one["line"], one["customer_uid"], one["state"]) for one in said[:2]] == [
        ("2", "=same", "same_card"),
        ("3", "other", "other_card"),
    ]
    assert said[0]["imp"]["card_number"] == said[0]["card_number"] == f"{NUMBER[:6]}******{NUMBER[-4:]}"
    assert {(one["state"], one["imp"]) for one in said[2:]} == {("absent", None)}
    assert stored.fake.count("GET", "/subscribe/customers") - before == 2
    shown = ask(stored, report).stdout.splitlines()
    assert [line.split("  ")[0].strip() or line.split()[0] for line in shown[:4]] == ["78", "1", "1", "0"]
    assert shown[4] == "line 3: other, here 555555******4444, stored 424242******4242"
    refused: Any = [*stored.queue.client().acl_log(), *stored.vault.client().acl_log()]
    assert {one["object"] for one in refused if one["username"] == "operator"} <= {"client|setinfo"}


def test_nobody_with_another_card_is_exit_0_and_a_silent_moment_is_outlived(stored: Stack, tmp_path: Path) -> None:
    report = report_of([("=same", NUMBER), ("new", NUMBER)], tmp_path / "dry.csv")
    stored.fake.add_fault(Fault("server_error", "GET /subscribe/customers", times=1))

    assert ask(stored, report).returncode == 0
    assert ask(stored, report_of([("new", NUMBER)], tmp_path / "new.csv")).returncode == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("customer_uid,card_number\n", ": is no report of a dry run"),
        (f"{{report}}2,{NUMBER},,,,send\n", "customer_uid: reads as a card number or a resident number"),
        ("{report}2,a b,,,,send\n", "customer_uid: "),
    ],
)
def test_what_no_dry_run_would_send_is_not_asked_about(stored: Stack, tmp_path: Path, content: str, says: str) -> None:
    report = tmp_path / "dry.csv"
    report.write_text(content.replace("{report}", "line,customer_uid,problem,warning,card_number,verdict\n"))
    before = len(stored.fake.requests)

    done = ask(stored, report)

    assert (done.returncode, len(done.stderr.splitlines()), says in done.stderr) == (2, 1, True)
    assert len(stored.fake.requests) == before


def test_what_cannot_be_asked_is_one_line_and_exit_2(stored: Stack, tmp_path: Path) -> None:
    report = report_of([("new", NUMBER)], tmp_path / "dry.csv")

    done = ask(stored, report, IMP_KEY="wrong")

    assert (done.returncode, done.stderr) == (2, "worker: i'mport cannot be asked now: login_refused\n")
    assert ask(stored, report, IMP_KEY="").stderr.startswith("worker: IMP_KEY: ")
    assert ask(stored, tmp_path / "none.csv").stderr == f"worker: {tmp_path}/none.csv: No such file or directory\n"
