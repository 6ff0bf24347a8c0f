"""Documents that name every setting, metric and status, and whose links lead somewhere."""

import inspect
import re
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from producer.contract.outcome import Status
from producer.migrate import metrics as of_migrations
from producer.runtime.span import NAMES
from producer.settings import ProducerMetrics, ProducerSettings
from producer.web import metrics as of_page
from producer.web.settings import WebSettings
from producer.webhooks import metrics as of_webhooks
from producer.webhooks.settings import WebhookSettings
from tests.servers import ROOT
from worker import metrics, metrics_server
from worker.settings import WorkerSettings

DOCS = ROOT / "docs"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])
LINK = re.compile(r"\]\(([^)#:]+)\)")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(path: Path) -> None:
    targets = LINK.findall(path.read_text())

    assert [target for target in targets if not (path.parent / target).exists()] == []


@pytest.mark.parametrize("settings", [ProducerSettings, ProducerMetrics, WorkerSettings, WebSettings, WebhookSettings])
def test_every_setting_is_described(settings: type[WorkerSettings]) -> None:
    text = (DOCS / "settings.md").read_text()

    assert [name for name in settings.model_fields if f"`{name.upper()}`" not in text] == []


def metric_names() -> set[str]:
    """Every metric of ours; counters without their ``_total``."""
    rooms = (metrics, of_page, of_webhooks)
    counted = [one for room in rooms for one in vars(room).values() if isinstance(one, MetricWrapperBase)]
    names = [family.name for one in counted for family in one.collect()]
    sources = "".join(map(inspect.getsource, (metrics_server, of_webhooks, of_migrations)))
    return {*names, *(name.removesuffix("_total") for name in re.findall(r'"(billing_\w+)"', sources))}


def test_every_metric_is_described() -> None:
    text = (DOCS / "operations.md").read_text()

    names = metric_names()

    assert len(names) >= 35
    assert [name for name in names if f"`{name}" not in text] == []


def test_every_fact_of_a_span_is_described() -> None:
    text = (DOCS / "operations.md").read_text()

    assert [name for name in NAMES.values() if f"`{name}`" not in text] == []


def test_every_status_is_described() -> None:
    text = (DOCS / "outcomes.md").read_text()

    assert [str(status) for status in Status if f"| `{status}` |" not in text] == []
