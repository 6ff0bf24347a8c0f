"""What docker-compose.yml promises of its containers, as far as it can be read off."""

import re
import shlex
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.servers import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
USERS = {"ledger": "999:999", "vault": "999:999", "prometheus": "65534:65534", "grafana": "472:0"}  # of the images
SEE_CARDS = ("worker", "producer", "migrate", "web", "vault")


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"]["core"] == 0
    assert "privileged" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_runs_as_root(name: str) -> None:
    service = SERVICES[name]
    if "image" in service:
        assert service["user"] == USERS[name]
    else:
        stages = (ROOT / "Dockerfile").read_text().split("FROM ")
        stage = next(one for one in stages if one.splitlines()[0].endswith(f" AS {service['build']['target']}"))
        base = next(one for one in stages if one.splitlines()[0] == "python AS base")
        assert stage.startswith("base AS ")
        assert "\nUSER billing\n" in base
        assert "USER" not in stage


@pytest.mark.parametrize("name", SEE_CARDS)
def test_what_holds_cards_is_not_swapped(name: str) -> None:
    assert SERVICES[name]["memswap_limit"] == SERVICES[name]["mem_limit"]


def test_only_the_worker_reaches_imp_and_the_stores_reach_nobody() -> None:
    reach = {name for name, service in SERVICES.items() if "imp" in service.get("networks", ())}

    assert reach == {"worker", "doctor", "look-up"}
    assert SERVICES["fake-iamport"]["networks"] == ["demo"]
    assert SERVICES["ledger"]["networks"] == ["queue"]
    assert SERVICES["vault"]["networks"] == ["vault"]
    assert {name for name, network in COMPOSE["networks"].items() if network == {"internal": True}} == {
        *("queue", "vault", "demo")
    }
    assert "vault" not in SERVICES["flower"]["networks"]
    masquerade = COMPOSE["networks"]["monitoring"]["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"]
    assert masquerade == "false"


def test_only_what_people_look_at_has_a_port_and_only_on_this_machine() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert ports == {
        "flower": ["127.0.0.1:5555:5555"],
        "web": ["127.0.0.1:8000:8000"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_prometheus_and_grafana_reach_metrics_and_nothing_else() -> None:
    assert SERVICES["prometheus"]["networks"] == SERVICES["grafana"]["networks"] == ["monitoring"]
    mounted = [volume for name in ("prometheus", "grafana") for volume in SERVICES[name]["volumes"]]
    files = [ROOT / volume.split(":")[0] for volume in mounted if volume.endswith(":ro")]
    assert [file for file in files if not file.exists() or "deploy" not in file.parts] == []


def test_the_card_page_has_no_way_out_and_webhooks_see_no_card() -> None:
    assert set(SERVICES["web"]["networks"]) == {"queue", "vault", "front", "monitoring"}
    assert COMPOSE["networks"]["front"] == COMPOSE["networks"]["monitoring"]
    assert SERVICES["webhooks"]["networks"] == ["queue", "out", "monitoring"]
    assert SERVICES["webhooks"]["volumes"] == ["./keys/webhooks:/keys:ro"]


def test_metrics_are_on_one_port_of_a_network_without_a_way_out() -> None:
    ports = {name: one["environment"]["METRICS_PORT"] for name, one in SERVICES.items() if "METRICS_PORT" in str(one)}

    assert ports == dict.fromkeys(("worker", "retire", "migrate", "web", "webhooks"), "9464")
    assert {name for name in ports if "monitoring" not in SERVICES[name]["networks"]} == {"retire"}  # it serves nothing


def test_nobody_asks_a_name_server_but_who_has_a_way_out() -> None:
    asks = {name for name, service in SERVICES.items() if service["dns"] != ["127.0.0.1"]}

    assert asks == {name for name, service in SERVICES.items() if {"imp", "out"} & set(service.get("networks", ()))}


def test_an_operator_sees_the_ledger_only_and_whoever_asks_imp_no_key_that_opens_a_card() -> None:
    operator, look_up = SERVICES["operator"], SERVICES["look-up"]

    assert operator["networks"] == ["queue"]
    assert operator["volumes"] == ["./keys/operator:/keys:ro"]
    assert "env_file" not in operator
    keys = [volume for volume in look_up["volumes"] if volume.startswith("./keys")]
    assert keys == ["./keys/operator:/keys:ro", "./keys/worker/imp_secret:/imp_secret:ro"]


def test_keys_can_be_written_only_by_the_commands_that_make_and_retire_them() -> None:
    writable = {
        name
        for name, service in SERVICES.items()
        for volume in service.get("volumes", ())
        if volume.startswith("./keys") and not volume.endswith(":ro")
    }

    assert writable == {"keys", "retire"}


def test_no_service_reads_a_file_that_is_not_mounted() -> None:
    for name, service in SERVICES.items():
        mounts = [volume.split(":")[1] + "/" for volume in service.get("volumes", ())]
        files = [value for key, value in service.get("environment", {}).items() if key.endswith("_FILE") and value]
        assert [file for file in files if not f"{file}/".startswith(tuple(mounts))] == [], name
        if service.get("env_file") == [".env.producer"]:
            assert {f"{store}_URL_FILE" for store in ("BROKER", "LEDGER", "VAULT")} <= set(service["environment"]), name


def test_the_vault_writes_nothing() -> None:
    command = SERVICES["vault"]["command"]

    assert '--save "" --appendonly no' in command
    assert "--repl-diskless-sync yes --repl-diskless-load swapdb" in command
    assert all("/data" not in volume for volume in SERVICES["vault"]["volumes"])


def test_the_ledger_has_on_the_disk_what_it_answered_and_room_to_rewrite_its_file() -> None:
    options = shlex.split(SERVICES["ledger"]["command"])
    most = options[options.index("--maxmemory") + 1]

    assert options[options.index("--appendonly") :][:4] == ["--appendonly", "yes", "--appendfsync", "always"]
    assert options[options.index("--maxmemory-policy") + 1] == "noeviction"
    assert in_bytes(SERVICES["ledger"]["mem_limit"]) >= 2 * in_bytes(most)


def in_bytes(size: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([mg])b?", size).groups()  # type: ignore[union-attr]
    return int(number) << {"m": 20, "g": 30}[unit]


def test_no_secret_is_in_a_containers_environment() -> None:
    for service in SERVICES.values():
        names = service.get("environment", {})
        assert not [name for name in names if re.search(r"(SECRETS?|PASSWORD|_URL)$", name)]


@pytest.mark.parametrize("name", ["ledger", "vault"])
def test_a_server_knows_its_users(name: str) -> None:
    assert f"--aclfile /acl/{name}.acl" in SERVICES[name]["command"]
