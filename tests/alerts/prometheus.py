"""A real Prometheus on loopback with our rules, every time in them divided by 60."""

import contextlib
import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Self

import yaml  # type: ignore[import-untyped]

from tests.ports import free_port
from tests.servers import ROOT, wait_until

DEPLOY = ROOT / "deploy"
FASTER = 60
UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SPAN = re.compile(r"\b(\d+)([smhd])\b")
AGE = re.compile(r"(_seconds\b[^>]*> )([1-9]\d+)")  # seconds that something is old, and not those that a call may take


def shorter(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule whose ``for``, windows and ages are divided by 60."""

    def span(found: re.Match[str]) -> str:
        return f"{max(int(found[1]) * UNIT_S[found[2]] // FASTER, 1)}s"

    times = {name: SPAN.sub(span, rule[name]) for name in ("expr", "for") if name in rule}
    times["expr"] = AGE.sub(lambda found: f"{found[1]}{int(found[2]) // FASTER}", times["expr"])
    return rule | times


class Prometheus:
    """The server.

    Args:
        folder: where its files go.
        ports: of metrics, by job.
    """

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self._folder, self._address = folder, f"127.0.0.1:{free_port()}"
        self._url = f"http://{self._address}"
        folder.mkdir(parents=True)
        groups = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
        self.alerts = [rule["alert"] for group in groups for rule in group["rules"]]
        groups = [group | {"rules": [*map(shorter, group["rules"])]} for group in groups]
        config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        targets = [{"targets": [f"127.0.0.1:{port}"], "labels": {"job": job}} for job, port in ports.items()]
        config["scrape_configs"] = [{"job_name": "billing", "static_configs": targets}]
        (folder / "alerts.yml").write_text(yaml.safe_dump({"groups": groups}))
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))

    def firing(self) -> set[str]:
        """Alerts that fire now."""
        found = self._ask("alerts")["alerts"]
        return {one["labels"]["alertname"] for one in found if one["state"] == "firing"}

    def series(self, expression: str, since: float) -> list[dict[str, Any]]:
        """A panel's series from an instant until now."""
        now = time.time()
        step = max((now - since) / 500, 1)
        found = self._ask("query_range", query=expression, start=since, end=now, step=step)
        return list(found["result"])

    def _ask(self, what: str, **asked: Any) -> dict[str, Any]:
        url = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return dict(json.load(answer)["data"])

    def __enter__(self) -> Self:
        options = [f"--config.file={self._folder}/prometheus.yml", f"--storage.tsdb.path={self._folder}/data"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["prometheus", *options, f"--web.listen-address={self._address}"], stdout=log, stderr=log
            )
        with contextlib.ExitStack() as undo:
            undo.callback(self._end)
            wait_until(self._is_ready, what="Prometheus")
            undo.pop_all()
        return self

    def _is_ready(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError((self._folder / "log").read_text()[-2000:])
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self._url}/-/ready", timeout=60):
            return True
        return False

    def _end(self) -> None:
        self._process.terminate()
        self._process.wait()

    def __exit__(self, *_: object) -> None:
        self._end()
