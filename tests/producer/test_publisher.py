from concurrent.futures import ThreadPoolExecutor

import pytest

from producer import BrokerUnavailable
from producer.contract.identifiers import job_id_of
from producer.publisher import Publisher
from tests.producer.stage import Stage

FIRST, SECOND = job_id_of("first"), job_id_of("second")


def test_one_job_is_one_message_on_its_queue(stage: Stage) -> None:
    Publisher(stage.url(0)).publish([(FIRST, "interactive")], "k")

    assert stage.published("interactive") == [FIRST]
    assert stage.published("migration") == []


def test_several_jobs_keep_their_order(stage: Stage) -> None:
    ids = [job_id_of(str(i)) for i in range(300)]

    Publisher(stage.url(0)).publish([(one, "migration") for one in ids], "k")

    assert stage.published("migration") == ids


def test_jobs_of_a_batch_go_to_queues_of_their_own(stage: Stage) -> None:
    Publisher(stage.url(0)).publish([(FIRST, "interactive"), (SECOND, "migration")], "k")

    assert stage.published("interactive") == [FIRST]
    assert stage.published("migration") == [SECOND]


def test_publishing_subscribes_to_nothing_and_expects_no_result(stage: Stage) -> None:
    Publisher(stage.url(0)).publish([(FIRST, "interactive")], "k")

    (message,) = stage.messages()
    clients = [*stage.broker.client_list(), *stage.vault.client_list()]
    assert message["headers"]["ignore_result"] is True
    assert not [client for client in clients if int(client["sub"]) or int(client["psub"])]
    assert not [key for key in stage.broker.keys() + stage.ledger.keys() if "celery-task-meta" in key]


def test_merchants_broker_variables_are_not_ours(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_WRITE_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.setenv(name, stage.vault_url(3))

    Publisher(stage.url(0)).publish([(FIRST, "interactive")], "k")

    assert stage.published() == [FIRST]
    assert stage.vault.info("keyspace") == {}


def test_publisher_is_shared_between_threads(stage: Stage) -> None:
    publisher = Publisher(stage.url(0))
    ids = [job_id_of(str(i)) for i in range(100)]

    with ThreadPoolExecutor(40) as threads:
        list(threads.map(lambda one: publisher.publish([(one, "interactive")], "k"), ids))

    assert sorted(stage.published()) == sorted(ids)


def test_connection_that_was_cut_is_made_anew(stage: Stage) -> None:
    publisher = Publisher(stage.url(0))
    publisher.publish([(FIRST, "interactive")], "k")
    stage.broker.client_kill_filter(_type="normal", skipme=True)

    try:
        publisher.publish([(SECOND, "interactive")], "k")
    except BrokerUnavailable:  # a cut that is noticed only when writing is reported, and repeated with the same key
        publisher.publish([(SECOND, "interactive")], "k")

    assert stage.published() == [FIRST, SECOND]


def test_refusing_queue_is_unavailable_with_the_job_accepted(stage: Stage) -> None:
    publisher = Publisher(stage.url(0))
    stage.broker.config_set("maxmemory", "1")

    with pytest.raises(BrokerUnavailable) as caught:
        publisher.publish([(FIRST, "interactive")], "k")

    assert (caught.value.step, caught.value.accepted, caught.value.idempotency_key) == ("publish", True, "k")
    assert str(caught.value).startswith("BROKER_URL: ")


def test_late_jobs_are_left_to_the_sweeper(stage: Stage) -> None:
    with pytest.raises(BrokerUnavailable) as caught:
        Publisher(stage.url(0)).publish([(FIRST, "interactive")], "k", is_late=True)

    assert (caught.value.step, caught.value.accepted, caught.value.idempotency_key) == ("publish", True, "k")
    assert stage.published() == []
