"""What is written, whoever logs, and whatever goes wrong."""

import json
import re
import textwrap

import pytest

from tests.servers import run_python

TIMESTAMP = re.compile(r'(?<="timestamp": ")[0-9T:.-]+Z(?=")')  # in which any two digits come by chance


def written(code: str) -> list[str]:
    """The lines of a process that sets up logs as workers do, and then runs this; without their timestamps."""
    begin = "import logging, threading\nfrom producer.runtime.logs import set_up_logs\nset_up_logs(logging.DEBUG)\n"
    return TIMESTAMP.sub("", run_python("-c", begin + textwrap.dedent(code)).stderr).splitlines()


def test_others_lines_are_redacted_before_they_are_escaped() -> None:
    (line,) = written(r"""
        logging.getLogger("other").debug("form:\nbirth=900101\npwd_2digit=77\n4242\t4242\t4242\t4242")
    """)

    assert json.loads(line)["event"].startswith("form:\nbirth=***")
    assert not any(secret in line for secret in ("900101", "77", "4242"))


@pytest.mark.parametrize("name", ["urllib3.connection", "requests", "http.client", "kombu.transport.redis", "amqp"])
def test_libraries_that_could_quote_an_answer_say_nothing_at_any_level(name: str) -> None:
    lines = written(f"""
        logging.getLogger("{name}").setLevel(logging.DEBUG)
        for level in (logging.DEBUG, logging.WARNING, logging.CRITICAL):
            logging.getLogger("{name}").log(level, "quoted")
        logging.getLogger("worker").debug("still heard")
    """)

    assert [json.loads(line)["event"] for line in lines] == ["still heard"]


def test_a_line_that_cannot_be_made_is_not_printed_with_its_arguments() -> None:
    lines = written("""logging.getLogger("other").info("count %d", "birth=900101")""")

    assert "900101" not in "\n".join(lines)


def test_what_nobody_caught_is_a_redacted_line() -> None:
    lines = written("""
        def fail():
            raise ValueError("card_number=4242424242424242")
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        fail()
    """)

    assert len(lines) == 2
    assert all(json.loads(line)["event"] == "uncaught" for line in lines)
    assert all("card_number=***" in line for line in lines)
    assert "4242" not in "\n".join(lines)


def test_lines_go_on_after_some_could_not_be_written() -> None:
    code = """
        import os, time
        kept, full = os.dup(2), os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, 2)
        logging.getLogger("other").info("lost")
        time.sleep(0.5)
        os.dup2(kept, 2)
        logging.getLogger("other").info("kept")
    """

    lines = written(code)

    assert [json.loads(line)["event"] for line in lines if line.startswith("{")] == ["kept"]
    assert lines[-1] == "1 lines were lost: nobody read them"
