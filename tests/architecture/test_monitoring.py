"""Alert rules and dashboard: they ask for metrics that there are, and each alert says what to do."""

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from tests.architecture.test_documents import metric_names
from tests.servers import ROOT

DEPLOY = ROOT / "deploy"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
PANELS: list[dict[str, Any]] = [
    panel for panel in json.loads((DEPLOY / "grafana/billing.json").read_text())["panels"] if panel["type"] != "row"
]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [one["expr"] for panel in PANELS for one in panel["targets"]]
KINDS = ("_total", "_bucket", "_count", "_sum")


def asked() -> set[str]:
    """Every metric that an alert or a panel asks for, without what a counter's or histogram's samples are called."""
    names = {name for text in EXPRESSIONS for name in re.findall(r"\bbilling_\w+", text)}
    return {re.sub(f"({'|'.join(KINDS)})$", "", name) for name in names}


def test_alerts_and_panels_ask_only_for_metrics_that_there_are_and_panels_for_all_of_them() -> None:
    panels = {
        name for panel in PANELS for one in panel["targets"] for name in re.findall(r"\bbilling_\w+", one["expr"])
    }

    assert asked() - metric_names() == set()
    assert metric_names() - {re.sub(f"({'|'.join(KINDS)})$", "", name) for name in panels} == set()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_every_alert_has_a_row_in_the_runbook(rule: dict[str, Any]) -> None:
    document, _, anchor = rule["annotations"]["runbook"].partition("#")

    assert anchor == rule["alert"]
    (row,) = [line for line in (ROOT / document).read_text().splitlines() if f'<a id="{anchor}"></a>' in line]
    assert all(cell.strip() for cell in row.split("|")[1:-1])
    assert rule["labels"]["severity"] in {"critical", "warning"}


def test_panels_have_each_a_place_a_title_and_a_word_of_explanation() -> None:
    places = [tuple(panel["gridPos"][side] for side in "xywh") for panel in PANELS]

    assert [panel["id"] for panel in PANELS if not (panel["title"] and panel["description"])] == []
    assert [(a, b) for a in places for b in places if a < b and overlap(a, b)] == []


def overlap(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    (x, y, w, h), (u, v, s, t) = one, other
    return x < u + s and u < x + w and y < v + t and v < y + h


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)")
@pytest.mark.parametrize(("what", "name"), [("rules", "alerts.yml"), ("config", "prometheus.yml")])
def test_prometheus_can_read_its_files(what: str, name: str) -> None:
    done = subprocess.run(
        ["promtool", "check", what, DEPLOY / "prometheus" / name], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
