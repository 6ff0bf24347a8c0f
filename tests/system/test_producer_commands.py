"""``python -m producer`` as people and scripts run it: real processes, pipes, terminals and signals."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from producer import BillingQueue, Card
from producer.contract.names import job_id_of
from producer.settings import ProducerSettings
from tests.fake_iamport.cards import CARDS, SampleCard
from tests.servers import ROOT, Stack, free_port, wait_until

VISA, MISTYPED = CARDS["visa"].card_number, "4242424242424241"
ISSUE = ("issue", "--customer-uid", "gildong")
PASSWORD = "hunter2"
TIMEOUT_S = 40


@pytest.fixture(scope="module")
def idle() -> Iterator[Stack]:
    """Stores and keys, and no worker: jobs stay open."""
    with Stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def busy() -> Iterator[Stack]:
    """The same with a worker and the fake i'mport."""
    with Stack() as stack:
        stack.worker()
        yield stack


def environ(stack: Stack, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Settings of a producer and nothing inherited that could be one; an empty value unsets."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    every = {**inherited, "PYTHONPATH": str(ROOT), **stack.producer_env, **(changes or {})}
    return {name: value for name, value in every.items() if value}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "producer", *arguments]


def run(
    stack: Stack,
    *arguments: str,
    given: bytes | SampleCard = CARDS["visa"],
    changes: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command, with a sample card on its stdin unless other bytes are given."""
    data = given if isinstance(given, bytes) else json.dumps(given.fields()).encode()
    done = subprocess.run(
        command(*arguments),
        input=data,
        env=environ(stack, changes),
        cwd=folder or stack.folder / "queue",  # where neither keys nor an .env.producer lie
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def assert_one_line(done: subprocess.CompletedProcess[str], begins: str, *, code: int | None = None) -> None:
    """It failed with one line on stderr that begins so, nothing on stdout, and nobody's secret on either."""
    assert done.stderr.startswith(f"producer: {begins}"), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
    assert PASSWORD not in done.stderr
    assert done.returncode != 0 if code is None else done.returncode == code


def test_mistyped_number_is_refused_by_field_name_and_shown_nowhere(idle: Stack) -> None:
    card = json.dumps(CARDS["visa"].fields() | {"card_number": MISTYPED}).encode()

    done = run(idle, *ISSUE, given=card)

    assert_one_line(done, "card_number: the check digit does not hold", code=2)
    assert MISTYPED not in done.stdout + done.stderr
    assert MISTYPED[-4:] not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("given", "begins"),
    [
        (b"", "card: is expected as JSON on stdin"),
        (b'{"card_number": "4242424242424242", ', "card: is not JSON"),
        (b"4242424242424242", "card: must be a JSON object"),
        (b'{"card_number": "4242424242424242", "expiry": "2031-07", "colour": "blue"}', "colour: is not a field"),
        (b"\x00\xff4242424242424242", "card: is not JSON"),
        (b'{"a":' * 3000, "card: "),
    ],
    ids=["empty", "broken", "a number", "unknown member", "bytes", "deep"],
)
def test_input_that_is_no_card_is_one_line_and_exit_code_2(idle: Stack, given: bytes, begins: str) -> None:
    done = run(idle, *ISSUE, given=given)

    assert_one_line(done, begins, code=2)
    assert VISA not in done.stderr


def test_onetime_refuses_a_mistyped_number_too(idle: Stack) -> None:
    card = json.dumps(CARDS["visa"].fields() | {"card_number": MISTYPED}).encode()

    done = run(idle, "onetime", "--merchant-uid", "order-1", "--amount", "100", "--name", "tea", given=card)

    assert_one_line(done, "card_number: the check digit does not hold", code=2)
    assert MISTYPED not in done.stderr


@pytest.mark.parametrize("name", ["IMP_SECRET", "IMP_SECRET_FILE", "OPENING_KEYS_FILE"])
def test_workers_secret_in_its_environment_stops_a_producer(idle: Stack, name: str) -> None:
    done = run(idle, *ISSUE, changes={name: PASSWORD})

    assert_one_line(done, f"{name}: ")


@pytest.mark.parametrize("name", ["SEALING_KEYS_FILE", "SIGNING_KEY_FILE"])
def test_missing_key_file_is_named_by_its_setting(idle: Stack, name: str) -> None:
    done = run(idle, *ISSUE, changes={name: f"{idle.folder}/{PASSWORD}.json"})

    assert_one_line(done, f"{name}: the file cannot be read")


@pytest.mark.parametrize("name", ["SEALING_KEYS_FILE", "SIGNING_KEY_FILE"])
def test_default_key_file_that_is_not_there_is_named_by_its_setting(idle: Stack, name: str) -> None:
    done = run(idle, *ISSUE, changes={name: ""})  # so that keys/producer/… is looked for

    assert_one_line(done, f"{name}: the file cannot be read")


def test_signing_key_that_others_can_read_is_refused(idle: Stack, tmp_path: Path) -> None:
    key = tmp_path / "signing.json"
    key.write_bytes(Path(idle.producer_env["SIGNING_KEY_FILE"]).read_bytes())
    key.chmod(0o644)

    done = run(idle, *ISSUE, changes={"SIGNING_KEY_FILE": str(key)})

    assert_one_line(done, "SIGNING_KEY_FILE: the file can be read by others")


@pytest.mark.parametrize("content", ["no json", '{"keys": []}', '{"kty": "OKP", "d": "hunter2"}'])
@pytest.mark.parametrize("name", ["SEALING_KEYS_FILE", "SIGNING_KEY_FILE"])
def test_key_file_that_holds_no_key_is_refused_without_its_content(
    idle: Stack, tmp_path: Path, name: str, content: str
) -> None:
    key = tmp_path / "key.json"
    key.write_text(content)
    key.chmod(0o600)

    done = run(idle, *ISSUE, changes={name: str(key)})

    assert_one_line(done, f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BROKER_URL", PASSWORD),
        ("LEDGER_URL", f"http://:{PASSWORD}@host/"),
        ("VAULT_URL", f"redis://:{PASSWORD}@host:99999/"),
    ],
)
def test_url_that_is_none_is_named_by_its_setting(idle: Stack, name: str, value: str) -> None:
    done = run(idle, *ISSUE, changes={name: value})

    assert_one_line(done, f"{name}: must be a URL")


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_unreachable_queue_is_named_and_its_password_is_not(idle: Stack, scheme: str) -> None:
    url = f"{scheme}://user:{PASSWORD}@127.0.0.1:{free_port()}/0"

    done = run(idle, *ISSUE, "--idempotency-key", "try-again", changes={"BROKER_URL": url})

    assert_one_line(done, "BROKER_URL: the store cannot be reached", code=1)
    assert "try-again" in done.stderr


@pytest.mark.parametrize("name", ["LEDGER_URL", "VAULT_URL"])
def test_unreachable_store_is_named_and_its_password_is_not(idle: Stack, name: str) -> None:
    done = run(idle, *ISSUE, changes={name: f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/1"})

    assert_one_line(done, f"{name}: the store cannot be reached", code=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BROKER_URL", "unix:///nowhere/redis.sock"),
        ("BROKER_URL", f"redis://:{PASSWORD}@127.0.0.1:1/notadb"),
        ("BROKER_URL", f"redis://127.0.0.1:1/0?foo={PASSWORD}"),
        ("BROKER_URL", f"sentinel://:{PASSWORD}@127.0.0.1:1/0"),
        ("LEDGER_URL", "unix:///nowhere/redis.sock"),
        ("LEDGER_URL", f"redis://127.0.0.1:1/1?socket_timeout={PASSWORD}"),
        ("LEDGER_URL", f"redis://127.0.0.1:1/1?foo={PASSWORD}"),
        ("VAULT_URL", f"redis:/{PASSWORD}"),
    ],
)
def test_url_that_no_client_can_use_is_one_line_too(idle: Stack, name: str, value: str) -> None:
    done = run(idle, *ISSUE, changes={name: value})

    assert_one_line(done, f"{name}: ")


def test_wrong_deadline_setting_is_named(idle: Stack) -> None:
    done = run(idle, *ISSUE, changes={"JOB_DEADLINE_S": PASSWORD})

    assert_one_line(done, "JOB_DEADLINE_S: ")


def test_urls_may_come_from_files(idle: Stack, tmp_path: Path) -> None:
    changes: dict[str, str] = {}
    for name in ("BROKER_URL", "LEDGER_URL", "VAULT_URL"):
        (tmp_path / name).write_text(idle.stores[name] + "\n")
        changes |= {name: "", f"{name}_FILE": str(tmp_path / name)}

    done = run(idle, *ISSUE, "--idempotency-key", "from-files", changes=changes)

    assert (done.returncode, done.stderr) == (0, "")
    ledger: Any = idle.queue.client(1)
    assert ledger.exists(f"billing:job:{json.loads(done.stdout)['job_id']}") == 1


def test_url_given_twice_or_as_a_missing_file_is_named(idle: Stack, tmp_path: Path) -> None:
    missing = str(tmp_path / PASSWORD)

    twice = run(idle, *ISSUE, changes={"VAULT_URL_FILE": missing})
    nowhere = run(idle, *ISSUE, changes={"VAULT_URL": "", "VAULT_URL_FILE": missing})

    assert_one_line(twice, "VAULT_URL: is set together with VAULT_URL_FILE")
    assert_one_line(nowhere, "VAULT_URL_FILE: the file cannot be read")


def test_workers_secret_in_the_env_file_stops_a_producer(idle: Stack, tmp_path: Path) -> None:
    (tmp_path / ".env.producer").write_text(f"IMP_SECRET={PASSWORD}\n")

    done = run(idle, "outcome", job_id_of("nobody's"), folder=tmp_path)

    assert_one_line(done, "IMP_SECRET: ")


def test_card_company_that_needs_no_check_digit_is_a_warning_only(idle: Stack) -> None:
    done = run(idle, *ISSUE, given=CARDS["domestic"])

    assert done.returncode == 0
    assert done.stderr.startswith("producer: warning: card_number: the check digit does not hold")
    assert CARDS["domestic"].card_number not in done.stdout + done.stderr


def test_unknown_job_is_exit_code_5(idle: Stack) -> None:
    done = run(idle, "outcome", job_id_of("nobody's"))

    assert_one_line(done, "no job of that id is known", code=5)


def test_open_job_is_exit_code_3(idle: Stack) -> None:
    job = json.loads(run(idle, *ISSUE).stdout)

    now = run(idle, "outcome", job["job_id"])
    later = run(idle, "outcome", job["job_id"], "--wait", "0.2")

    assert_one_line(now, "the job is still open", code=3)
    assert_one_line(later, "the job is still open", code=3)


def test_issued_card_is_exit_code_0_and_the_outcome_as_json(busy: Stack) -> None:
    enqueued = run(busy, "issue", "--customer-uid", "issued", "--pg", "nice")
    job = json.loads(enqueued.stdout)

    done = run(busy, "outcome", job["job_id"], "--wait", "30")

    assert (enqueued.returncode, enqueued.stderr) == (0, "")
    assert (done.returncode, done.stderr) == (0, "")
    outcome = json.loads(done.stdout)
    assert (outcome["status"], outcome["customer_uid"], outcome["next_step"]) == ("issued", "issued", "none")
    assert VISA not in done.stdout


def test_issue_that_waits_prints_job_and_outcome(busy: Stack) -> None:
    done = run(busy, "issue", "--customer-uid", "waits", "--wait", "30")

    job, outcome = map(json.loads, done.stdout.splitlines())
    assert done.returncode == 0
    assert outcome["status"] == "issued"
    assert outcome["job_id"] == job["job_id"]


def test_declined_card_is_exit_code_4(busy: Stack) -> None:
    done = run(busy, "issue", "--customer-uid", "declined", "--wait", "30", given=CARDS["wrong_password"])
    again = run(busy, "outcome", json.loads(done.stdout.splitlines()[0])["job_id"])

    assert (done.returncode, again.returncode) == (4, 4)
    assert json.loads(again.stdout) == json.loads(done.stdout.splitlines()[1])
    assert json.loads(again.stdout)["next_step"] == "ask_customer"


def test_payment_is_paid_and_exit_code_0(busy: Stack) -> None:
    done = run(busy, "onetime", "--merchant-uid", "order-7", "--amount", "9900", "--name", "차 한 잔", "--wait", "30")

    outcome = json.loads(done.stdout.splitlines()[1])
    assert done.returncode == 0
    assert (outcome["status"], outcome["merchant_uid"]) == ("paid", "order-7")
    assert outcome["imp_uid"]


def test_same_key_from_the_shell_is_the_same_job(busy: Stack) -> None:
    first, second = (
        run(busy, "issue", "--customer-uid", "twice", "--idempotency-key", "twice", "--wait", "30") for _ in range(2)
    )

    assert second.stdout == first.stdout
    assert busy.fake.count("POST", "/subscribe/customers/twice") == 1


class Terminal:
    """A command on a terminal of its own, as a person would see it."""

    def __init__(self, arguments: list[str], environ: dict[str, str], folder: Path) -> None:
        self.seen, self._status, self._has_ended = "", -1, False
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:  # pragma: no cover — the child becomes the command
            os.chdir(folder)
            os.execve(arguments[0], arguments, environ)

    def expect(self, text: str) -> None:
        """Read until the text is there."""
        wait_until(lambda: text in self._read(), what=f"{text!r} on the terminal")

    def type(self, text: str) -> None:
        """Type a line; the prompt that was expected before comes when the echo is off already."""
        os.write(self._terminal, text.encode() + b"\n")

    def end(self) -> int:
        """Read to the end; the exit code."""
        wait_until(lambda: self._read() and self._has_ended, what="the end of the command")
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(self._status)

    def _read(self) -> str:
        while select.select([self._terminal], [], [], 0)[0]:
            try:
                data = os.read(self._terminal, 4096)
            except OSError:  # Linux: the other end is closed
                data = b""
            if not data:
                break
            self.seen += data.decode(errors="replace")
        if not self._has_ended:
            pid, self._status = os.waitpid(self.pid, os.WNOHANG)
            self._has_ended = pid != 0
        return self.seen


def test_terminal_asks_for_the_card_and_shows_nothing_of_it(idle: Stack) -> None:
    terminal = Terminal(command(*ISSUE, "--idempotency-key", "terminal"), environ(idle), idle.folder)
    answers = CARDS["visa"].fields()

    for name in ("card_number", "expiry", "birth", "pwd_2digit"):
        terminal.expect(f"{name}: ")
        terminal.type(answers[name])
    code = terminal.end()

    assert code == 0, terminal.seen
    assert job_id_of("terminal") in terminal.seen
    shown = terminal.seen.replace(job_id_of("terminal"), "").split("{", maxsplit=1)[0]
    assert not [value for value in answers.values() if value in shown]


def test_mistyped_number_on_a_terminal_is_not_shown_either(idle: Stack) -> None:
    terminal = Terminal(command(*ISSUE), environ(idle), idle.folder)

    for name, answer in (("card_number", MISTYPED), ("expiry", "2031-07"), ("birth", ""), ("pwd_2digit", "")):
        terminal.expect(f"{name}: ")
        terminal.type(answer)
    code = terminal.end()

    assert code == 2
    assert "producer: card_number: the check digit does not hold" in terminal.seen
    assert MISTYPED not in terminal.seen


def test_interrupt_while_asking_ends_without_a_traceback(idle: Stack) -> None:
    terminal = Terminal(command(*ISSUE), environ(idle), idle.folder)
    terminal.expect("card_number: ")

    terminal.type("\x03")
    code = terminal.end()

    assert code == 1
    assert "Traceback" not in terminal.seen


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM], ids=lambda which: which.name)
def test_signal_while_waiting_ends_without_a_traceback(idle: Stack, which: signal.Signals) -> None:
    with subprocess.Popen(
        command(*ISSUE, "--wait", "60"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ(idle),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(CARDS["visa"].fields()).encode())
        process.stdin.close()
        process.stdin = None
        job = json.loads(process.stdout.readline())
        began = time.monotonic()
        process.send_signal(which)
        out, err = process.communicate(timeout=TIMEOUT_S)
        took = time.monotonic() - began

    assert job["job_id"]
    assert process.returncode != 0
    assert out == b""
    assert b"Traceback" not in err
    assert took < 5


def test_closed_stdin_is_a_missing_card(idle: Stack) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "{sys.executable}" -m producer issue --customer-uid gildong <&-'],
        env=environ(idle),
        capture_output=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.decode() == "producer: card: is expected as JSON on stdin\n"


def test_job_from_the_shell_is_the_one_that_python_sees(idle: Stack) -> None:
    done = run(idle, *ISSUE, "--idempotency-key", "both-ways")
    settings: dict[str, Any] = {name.lower(): value for name, value in idle.producer_env.items()}

    with BillingQueue(ProducerSettings(_env_file=None, **settings)) as queue:
        job = queue.issue(customer_uid="gildong", card=Card(**CARDS["visa"].fields()), idempotency_key="both-ways")

    printed = json.loads(done.stdout)
    assert (printed["job_id"], printed["sequence"]) == (job.job_id, job.sequence)
    assert printed["expires_at"] == round(job.expires_at, 3)
