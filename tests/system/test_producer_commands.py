"""``python -m producer`` as people and scripts run it: real processes, pipes, terminals and signals.

What needs no process, of input and settings, is in ``tests/producer/test_main*.py``.
"""

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from producer.contract.identifiers import job_id_of
from tests.fake_iamport.cards import CARDS, SampleCard
from tests.ports import dead_port
from tests.servers import ROOT, wait_until
from tests.stack import Stack
from tests.stopwatch import Stopwatch

VISA, MISTYPED = CARDS["visa"].card_number, "4242424242424241"
ISSUE = ("issue", "--customer-uid", "gildong")
PASSWORD = "hunter2"
TIMEOUT_S = 240


@pytest.fixture(autouse=True)
def _a_shell_in_the_foreground() -> None:
    """A runner in the background ignores SIGINT, and what it starts inherits that; a person's shell does not."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


def assert_one_line(done: subprocess.CompletedProcess[str], begins: str, *, code: int) -> None:
    """It failed with one line on stderr that begins so, nothing on stdout, and nobody's secret on either."""
    assert done.stderr.startswith(f"producer: {begins}"), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
    assert PASSWORD not in done.stderr
    assert done.returncode == code


def test_mistyped_number_is_refused_by_field_name_and_shown_nowhere(idle: Stack) -> None:
    card = json.dumps(CARDS["visa"].fields() | {"card_number": MISTYPED}).encode()

    done = run(idle, *ISSUE, given=card)

    assert_one_line(done, "card_number: the check digit does not hold", code=2)
    assert MISTYPED not in done.stdout + done.stderr
    assert MISTYPED[-4:] not in done.stdout + done.stderr


def test_bytes_that_are_no_text_are_one_line_and_exit_code_2(idle: Stack) -> None:
    done = run(idle, *ISSUE, given=b"\x00\xff4242424242424242")

    assert_one_line(done, "card: is not JSON", code=2)


def test_workers_secret_in_the_env_file_stops_a_producer(idle: Stack, tmp_path: Path) -> None:
    (tmp_path / ".env.producer").write_text(f"IMP_SECRET={PASSWORD}\n")

    done = run(idle, "outcome", job_id_of("nobody's"), folder=tmp_path)

    assert_one_line(done, "IMP_SECRET: ", code=1)


def test_unreachable_queue_is_named_and_its_password_is_not(idle: Stack) -> None:
    def enqueue(scheme: str) -> subprocess.CompletedProcess[str]:
        url = f"{scheme}://user:{PASSWORD}@127.0.0.1:{dead_port()}/0"
        return run(idle, *ISSUE, "--idempotency-key", f"by-{scheme}", changes={"BROKER_URL": url})

    with ThreadPoolExecutor() as both:
        by_redis, by_amqp = both.map(enqueue, ["redis", "amqp"])

    for done in (by_redis, by_amqp):
        assert_one_line(done, "BROKER_URL: queue at 127.0.0.1:", code=1)
        assert ", user user: refuses the connection: nobody listens there; the job was accepted" in done.stderr
    assert ("by-redis" in by_redis.stderr, "by-amqp" in by_amqp.stderr) == (True, True)


def test_unknown_job_is_exit_code_5(idle: Stack) -> None:
    done = run(idle, "outcome", job_id_of("nobody's"))

    assert_one_line(done, "no job of that id is known", code=5)


def test_open_job_is_exit_code_3(idle: Stack) -> None:
    done = run(idle, *ISSUE, "--idempotency-key", "open", "--wait", "0.2")

    assert json.loads(done.stdout)["job_id"] == job_id_of("open")
    assert (done.returncode, done.stderr) == (3, "producer: the job is still open\n")


def test_issued_card_is_exit_code_0_and_the_outcome_as_json(busy: Stack) -> None:
    enqueued = run(busy, "issue", "--customer-uid", "issued", "--pg", "nice")
    job = json.loads(enqueued.stdout)

    done = run(busy, "outcome", job["job_id"], "--wait", "120")

    assert (enqueued.returncode, enqueued.stderr) == (0, "")
    assert (done.returncode, done.stderr) == (0, "")
    outcome = json.loads(done.stdout)
    assert (outcome["status"], outcome["customer_uid"], outcome["next_step"]) == ("issued", "issued", "none")
    assert VISA not in done.stdout


def test_same_key_from_the_shell_is_the_same_job_and_outcome(busy: Stack) -> None:
    first, second = (
        run(busy, "issue", "--customer-uid", "twice", "--idempotency-key", "twice", "--wait", "120") for _ in range(2)
    )

    job, outcome = map(json.loads, first.stdout.splitlines())
    assert (first.returncode, outcome["status"], outcome["job_id"]) == (0, "issued", job["job_id"])
    assert (second.returncode, second.stdout) == (0, first.stdout)
    assert busy.fake.count("POST", "/subscribe/customers/twice") == 1


def test_declined_card_is_exit_code_4(busy: Stack) -> None:
    done = run(busy, "issue", "--customer-uid", "declined", "--wait", "120", given=CARDS["wrong_password"])

    assert done.returncode == 4
    assert json.loads(done.stdout.splitlines()[1])["next_step"] == "ask_customer"


def test_payment_is_paid_and_exit_code_0(busy: Stack) -> None:
    done = run(busy, "onetime", "--merchant-uid", "order-7", "--amount", "9900", "--name", "차 한 잔", "--wait", "120")

    outcome = json.loads(done.stdout.splitlines()[1])
    assert done.returncode == 0
    assert (outcome["status"], outcome["merchant_uid"]) == ("paid", "order-7")
    assert outcome["imp_uid"]


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
        wait_until(lambda: text in self._read(), TIMEOUT_S, f"{text!r} on the terminal")

    def type(self, text: str) -> None:
        """Type a line; the prompt that was expected before comes when the echo is off already."""
        os.write(self._terminal, text.encode() + b"\n")

    def end(self) -> int:
        """Read to the end; the exit code."""
        wait_until(lambda: self._read() and self._has_ended, TIMEOUT_S, "the end of the command")
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
        command(*ISSUE, "--wait", str(2 * TIMEOUT_S)),
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
        with Stopwatch() as watch:
            process.send_signal(which)
            out, err = process.communicate(timeout=TIMEOUT_S)

    assert job["job_id"]
    assert process.returncode != 0
    assert out == b""
    assert b"Traceback" not in err
    assert watch.own_s < 5


def test_closed_stdin_is_a_missing_card(idle: Stack) -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "{sys.executable}" -m producer issue --customer-uid gildong <&-'],
        env=environ(idle),
        capture_output=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.decode() == "producer: card: is expected as JSON on stdin\n"
