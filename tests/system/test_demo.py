"""The demo, as a newcomer runs it, and what it leaves running for who develops."""

from pathlib import Path

from tests.servers import ROOT, run_python, running, stores_are, wait_until

EMBEDDED = "The stores are the embedded Valkey: for demo and tests only, no production (docs/quickstart.md)."


def test_every_card_of_the_demo_comes_out_as_it_should() -> None:
    done = run_python("-m", "tests.demo", timeout_s=500)

    assert done.returncode == 0, done.stdout + done.stderr
    assert stores_are() in done.stdout.splitlines()


def test_servers_for_development_say_that_they_are_for_nothing_else(tmp_path: Path) -> None:
    log = tmp_path / "log"

    with running(["-m", "tests.dev"], tmp_path, log, PYTHONPATH=str(ROOT)):
        wait_until(lambda: "Ctrl-C ends everything." in log.read_text(), 240, "everything of the demo")

    assert stores_are() in log.read_text().splitlines()
    assert stores_are() == EMBEDDED
