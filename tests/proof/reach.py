"""Who reaches whom: from the network of each container every address of every other one is tried.

``outside`` is a machine beyond this one: the name server that the engine gives its containers, unless another is named.
``names`` is whether a name server answers. A container on the engine's ordinary network must reach both, or nothing
would be shown by others that do not.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tests.proof.containers import Broken, Project, labelled
from tests.servers import ROOT

PORTS = {"ledger": 6379, "vault": 6379, "worker": 9464, "web": 8000, "flower": 5555, "fake-iamport": 8443}
DNS = "127.0.0.11"  # the engine's, in every container
ONE_SHOTS = ("producer", "migrate", "doctor", "operator", "look-up", "keys")

PEERS = {"worker", "web", "flower"}  # what shares a network reaches the figures, the card page and Flower
AWAY = {"outside", "names"}
EXPECTED: dict[str, set[str]] = {
    "ledger": PEERS,
    "vault": {"worker", "web"},
    "worker": {"ledger", "vault", "web", "flower", "fake-iamport"} | AWAY,
    "doctor": {"ledger", "vault", "fake-iamport"} | PEERS | AWAY,
    "operator": {"ledger"} | PEERS,
    "look-up": {"ledger", "vault", "fake-iamport"} | PEERS | AWAY,
    "producer": {"ledger", "vault"} | PEERS,
    "migrate": {"ledger", "vault"} | PEERS,
    "web": {"ledger", "vault", "worker", "flower"},
    "webhooks": {"ledger"} | PEERS | AWAY,
    "flower": {"ledger", "worker", "web"},
    "fake-iamport": {"worker"},
    "keys": set(),
}


class Reach(NamedTuple):
    """What one service reaches, and what it should."""

    service: str
    found: set[str]
    expected: set[str]

    @property
    def wrong(self) -> list[str]:
        """What differs, in words."""
        words = {True: "is reached", False: "is not reached"}
        return [f"{self.service}: {one} {words[one in self.found]}" for one in sorted(self.found ^ self.expected)]


def reaches(project: Project, outside: str | None, tell: Callable[[str], None]) -> list[Reach]:
    """Try every way."""
    beyond = [("outside", *_outside(project, outside))]
    found = _try(project, "bridge", beyond)
    if found != {"outside"}:
        raise Broken("no outside to try: give --outside HOST:PORT of another machine that containers reach")
    for service in ONE_SHOTS:
        project.compose("run", "--detach", "--entrypoint", "sleep", service, "900")
    running = [one for one in project.everything() if one["State"]["Running"]]
    all_of_it = []
    for service, expected in EXPECTED.items():
        container = next(one for one in running if labelled(one) == service)
        others = (one for one in running if labelled(one) != service)
        targets = [*_addresses(others), *beyond, ("names", DNS, 53)]
        one = Reach(service, _try(project, f"container:{container['Id']}", targets), expected)
        tell(f"  {service:13} reaches {', '.join(sorted(one.found)) or 'nobody'}")
        all_of_it.append(one)
    project.docker("rm", "--force", *(one["Id"] for one in running if labelled(one) in ONE_SHOTS))
    return all_of_it


def _outside(project: Project, given: str | None) -> tuple[str, int]:
    if given is not None:
        host, _, port = given.rpartition(":")
        return host, int(port)
    made = project.docker("run", "--rm", "--entrypoint", "cat", project.base, "/etc/resolv.conf").stdout
    server = re.search(r"^nameserver ([0-9.]+)$", made, re.MULTILINE)
    return (server[1] if server else DNS), 53


def _addresses(containers: Iterable[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [
        (labelled(one), network["IPAddress"], PORTS[labelled(one)])
        for one in containers
        if labelled(one) in PORTS
        for network in one["NetworkSettings"]["Networks"].values()
    ]


def _try(project: Project, network: str, targets: list[tuple[str, str, int]]) -> set[str]:
    """The names of the targets that can be reached from a network."""
    script = (ROOT / "tests" / "proof" / "probe.py").read_text()
    how = ("run", "--rm", "--network", network, "--entrypoint", "python", project.base, "-ISc", script)
    return set(json.loads(project.docker(*how, json.dumps(targets)).stdout))
