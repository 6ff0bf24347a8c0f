"""The commands, as click runs them; real processes and terminals are the system tests' part."""

import json

import pytest

from producer import BillingQueue, Card, Status
from producer.contract import redis_keys
from producer.contract.card import PLAINTEXT_LIMIT
from producer.contract.identifiers import job_id_of
from tests.fake_iamport.cards import CARDS
from tests.producer.stage import Run, Stage

VISA = CARDS["visa"].fields()


def test_issue_prints_the_job_as_json(stage: Stage, run: Run) -> None:
    result = run(
        *("issue", "--customer-uid", "gildong", "--pg", "nice", "--channel-key", "channel-1"),
        *("--customer-id", "toss-1", "--idempotency-key", "k", "--deadline", "60"),
    )

    assert (result.exit_code, result.stderr) == (0, "")
    printed = json.loads(result.stdout)
    assert printed.keys() == {"job_id", "sequence", "expires_at"}
    assert (printed["job_id"], printed["sequence"]) == (job_id_of("k"), 1)
    signed = stage.keys.verified(stage.sealed(printed["job_id"]))
    assert (signed.customer_uid, signed.pg, signed.channel_key, signed.customer_id) == (
        *("gildong", "nice", "channel-1", "toss-1"),
    )
    assert stage.keys.open_card(signed.envelope) == VISA
    assert signed.expires_at - signed.accepted_at == pytest.approx(60)


def test_onetime_prints_the_job_as_json(stage: Stage, run: Run) -> None:
    result = run(
        *("onetime", "--merchant-uid", "order-1", "--amount", "60000", "--name", "tea", "--customer-uid", "gildong"),
        *("--card-quota", "2", "--vat-amount", "100", "--tax-free", "10", "--product-type", "real"),
    )

    assert (result.exit_code, result.stderr) == (0, "")
    signed = stage.keys.verified(stage.sealed(json.loads(result.stdout)["job_id"]))
    assert (signed.merchant_uid, signed.amount, signed.name, signed.customer_uid) == (
        *("order-1", 60_000, "tea", "gildong"),
    )
    assert (signed.card_quota, signed.vat_amount, signed.tax_free, signed.product_type) == (2, 100, 10, "real")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (VISA | {"card_number": "4242424242424241"}, "card_number: the check digit does not hold (mistyped?)"),
        (VISA | {"card_number": "42424242"}, "card_number: must be 14 to 16 digits"),
        (VISA | {"expiry": "07/31"}, "expiry: must be YYYY-MM"),
        (VISA | {"colour": "blue"}, "colour: is not a field of this"),
        (VISA | {"birth": 900101}, "birth: must be text"),
        ({"expiry": "2031-07"}, "card_number: is required"),
        ([VISA], "card: must be a JSON object"),
        (b"", "card: is expected as JSON on stdin"),
        (b"  \n", "card: is expected as JSON on stdin"),
        (b'{"card_number": "4242424242424242"', "card: is not JSON"),
        (b"4242424242424242 2031-07", "card: is not JSON"),
        (b"\xff\xfe4242", "card: is not JSON"),
        (b"\x00\xff4242424242424242", "card: is not JSON"),
        (b'{"a":' * 400, "card: is not JSON"),
        (b'{"expiry": "2031-07", "expiry": "2032-07"}', "card: names a member twice"),
        (b'{"card_number": "' + b"4" * 20_000 + b'"}', f"card: is longer than {PLAINTEXT_LIMIT} bytes"),
    ],
)
def test_wrong_input_is_one_line_without_a_value_and_exit_code_2(
    stage: Stage, run: Run, given: object, line: str
) -> None:
    result = run("issue", "--customer-uid", "gildong", given=given)

    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"producer: {line}\n")
    assert stage.ledger.keys() == []


def test_onetime_refuses_a_mistyped_number_too(run: Run) -> None:
    result = run(
        *("onetime", "--merchant-uid", "order-1", "--amount", "100", "--name", "tea"),
        given=VISA | {"card_number": "4242424242424241"},
    )

    assert result.exit_code == 2
    assert result.stderr == "producer: card_number: the check digit does not hold (mistyped?)\n"


def test_card_number_given_as_a_members_name_is_not_repeated(run: Run) -> None:
    result = run("issue", "--customer-uid", "gildong", given=VISA | {"5555555555554444": "x"})

    assert result.exit_code == 2
    assert "5555555555554444" not in result.output


def test_doubtful_check_digit_is_a_warning(stage: Stage, run: Run) -> None:
    result = run("issue", "--customer-uid", "gildong", given=CARDS["domestic"].fields())

    assert result.exit_code == 0
    assert result.stderr == (
        "producer: warning: card_number: the check digit does not hold (not assured for domestic cards)\n"
    )


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("issue", "--customer-uid", "a/b"), "customer_uid"),
        (("issue", "--customer-uid", "a", "--deadline", "0"), "deadline_s"),
        (("issue", "--customer-uid", "a", "--idempotency-key", ""), "idempotency_key"),
        (("onetime", "--merchant-uid", "..", "--amount", "1", "--name", "tea"), "merchant_uid"),
        (("onetime", "--merchant-uid", "m", "--amount", "0", "--name", "tea"), "amount"),
        (("onetime", "--merchant-uid", "m", "--amount", "1", "--name", ""), "name"),
        (("onetime", "--merchant-uid", "m", "--amount", "1", "--name", "tea", "--card-quota", "2"), "card_quota"),
    ],
)
def test_wrong_option_is_one_line_that_names_it_and_exit_code_2(
    run: Run, arguments: tuple[str, ...], field: str
) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert result.stderr.startswith(f"producer: {field}: ")
    assert result.stderr.count("\n") == 1


def test_card_is_no_option(run: Run) -> None:
    result = run("issue", "--customer-uid", "a", "--card-number", "4242424242424242")

    assert result.exit_code == 2
    assert "4242424242424242" not in result.output


def test_job_from_the_shell_is_the_one_that_python_sees(queue: BillingQueue, card: Card, run: Run) -> None:
    result = run("issue", "--customer-uid", "gildong", "--idempotency-key", "k")

    job = queue.issue(customer_uid="gildong", card=card, idempotency_key="k")

    printed = json.loads(result.stdout)
    assert (printed["job_id"], printed["sequence"]) == (job.job_id, job.sequence)
    assert printed["expires_at"] == round(job.expires_at, 3)


def test_idempotency_conflict_is_one_line(run: Run) -> None:
    run("issue", "--customer-uid", "a", "--idempotency-key", "k")

    result = run("issue", "--customer-uid", "b", "--idempotency-key", "k")

    assert result.exit_code == 1
    assert result.stderr == "producer: idempotency_key: another request has it already, with other content\n"


@pytest.mark.parametrize(
    ("status", "code"), [(status, 0 if status in {Status.ISSUED, Status.PAID} else 4) for status in Status]
)
def test_exit_code_of_outcome_tells_success(
    stage: Stage, queue: BillingQueue, card: Card, run: Run, status: Status, code: int
) -> None:
    job = queue.issue(customer_uid="gildong", card=card)
    written = stage.finish(job, status)

    result = run("outcome", job.job_id)

    assert (result.exit_code, result.stderr) == (code, "")
    assert json.loads(result.stdout) == written.to_dict()


def test_open_job_is_exit_code_3(queue: BillingQueue, card: Card, run: Run) -> None:
    job = queue.issue(customer_uid="gildong", card=card)

    for wait in ((), ("--wait", "0"), ("--wait", "0.01")):
        result = run("outcome", job.job_id, *wait)

        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr == "producer: the job is still open\n"


def test_unknown_job_is_exit_code_5(run: Run) -> None:
    result = run("outcome", job_id_of("never asked for"), "--wait", "1")

    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr == "producer: no job of that id is known\n"


def test_issue_that_waits_prints_the_outcome_too(stage: Stage, queue: BillingQueue, card: Card, run: Run) -> None:
    written = stage.finish(queue.issue(customer_uid="gildong", card=card, idempotency_key="k"), Status.DECLINED)

    result = run("issue", "--customer-uid", "gildong", "--idempotency-key", "k", "--wait", "5")

    job, outcome = result.stdout.splitlines()
    assert result.exit_code == 4
    assert json.loads(job)["job_id"] == job_id_of("k")
    assert json.loads(outcome) == written.to_dict()


def test_help_names_every_command(run: Run) -> None:
    result = run("--help")

    assert result.exit_code == 0
    assert [name for name in ("issue", "onetime", "outcome") if name not in result.stdout] == []


def test_no_word_of_an_outcome_steers_the_terminal_that_it_is_printed_on(
    stage: Stage, queue: BillingQueue, card: Card, run: Run
) -> None:
    unruly = "a\x1b[2J\x9b2J\u202e\u2028홍"
    job = queue.issue(customer_uid="gildong", card=card)
    written = stage.finish(job, Status.ISSUED).model_copy(update={"pg_provider": unruly})
    stage.ledger.set(redis_keys.OUTCOME + job.job_id, written.model_dump_json())

    result = run("outcome", job.job_id)

    assert (result.stdout.removesuffix("\n").isprintable(), "홍" in result.stdout) == (True, True)
    assert json.loads(result.stdout)["pg_provider"] == unruly
