"""The demo, as a newcomer runs it."""

from tests.servers import run_python


def test_every_card_of_the_demo_comes_out_as_it_should() -> None:
    done = run_python("-m", "tests.demo", timeout_s=500)

    assert done.returncode == 0, done.stdout + done.stderr
