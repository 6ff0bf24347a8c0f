import pytest

from producer.contract.job import QUEUES
from producer.runtime.celery_transport import transport


@pytest.mark.parametrize("url", ["redis://localhost:6379/0", "amqp://localhost//"])
def test_nothing_but_json_is_taken(url: str) -> None:
    settings = transport(url)

    assert settings["accept_content"] == ["json"]
    assert {settings["task_serializer"], settings["result_serializer"]} == {"json"}


def test_queues_are_those_of_the_contract_and_no_others_come_to_be() -> None:
    settings = transport("redis://localhost:6379/0")

    assert tuple(settings["task_queues"]) == QUEUES
    assert settings["task_create_missing_queues"] is False


def test_recovery_is_taken_first() -> None:
    options = transport("redis://localhost:6379/0")["broker_transport_options"]

    assert next(iter(QUEUES)) == "recovery"
    assert options["queue_order_strategy"] == "priority"


@pytest.mark.parametrize("url", ["redis://h", "rediss://h"])
def test_redis_brokers_never_wait_for_ever(url: str) -> None:
    options = transport(url)["broker_transport_options"]

    assert options["socket_timeout"] <= 5
    assert options["socket_connect_timeout"] <= 2


def test_other_brokers_get_no_redis_options() -> None:
    assert "broker_transport_options" not in transport("amqp://localhost//")


def test_settings_are_made_afresh() -> None:
    transport("redis://h")["task_queues"].clear()

    assert tuple(transport("redis://h")["task_queues"]) == QUEUES
