"""The audit of what is pinned, against an advisory service on this machine."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from threading import Thread
from typing import Any

import pytest

from tests.audit import EXPLAINED, LOCKS, explanations
from tests.ports import free_port
from tests.servers import run_python

ADVISORY = {
    "id": "GHSA-aaaa-bbbb-cccc",
    "aliases": ["CVE-2026-0001"],
    "summary": "sesame",
    "affected": [
        {
            "package": {"name": "celery", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}],
        }
    ],
}


class Service(ThreadingHTTPServer):
    """An advisory service with OSV's way of answering: a POST for each package."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.status, self.advisories, self.asked = 200, dict[str, Any](), list[str]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/query"


class Answers(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = query["package"]["name"]
        self.server.asked.append(f"{name} {query['version']}")
        found = {"vulns": [self.server.advisories[name]]} if name in self.server.advisories else {}
        body = json.dumps(found).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as one:
        thread = Thread(target=one.serve_forever)
        thread.start()
        yield one
        one.shutdown()
        thread.join()


class Audit:
    """The audit of a lock of two packages."""

    def __init__(self, folder: Path) -> None:
        self.lock, self.explained = folder / "lock.txt", folder / "audit.toml"
        self.lock.write_text(
            "".join(f"{name} --hash=sha256:{'0' * 64}\n" for name in ("celery==5.7.0", "click==8.5.1"))
        )
        self.explained.write_text("")

    def explain(self, name: str, *, days: int, package: str = "celery") -> None:
        until = datetime.now(UTC).date() + timedelta(days=days)
        self.explained.write_text(
            f'[[finding]]\nid = "{name}"\npackage = "{package}"\nreason = "not reached"\nuntil = {until}\n'
        )

    def run(self, url: str) -> CompletedProcess[str]:
        return run_python("-m", "tests.audit", "--osv-url", url, "--explained", str(self.explained), str(self.lock))


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return Audit(tmp_path)


def test_every_pinned_package_is_asked_about(audit: Audit, service: Service) -> None:
    done = audit.run(service.url)

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Asked about 2 pinned packages; 0 findings.")
    assert sorted(service.asked) == ["celery 5.7.0", "click 8.5.1"]


def test_finding_without_an_explanation_fails(audit: Audit, service: Service) -> None:
    service.advisories["celery"] = ADVISORY
    audit.explain("CVE-2026-0001", days=30, package="click")

    done = audit.run(service.url)

    line = "celery 5.7.0: CVE-2026-0001, GHSA-aaaa-bbbb-cccc (fixed in 9.9): NOT EXPLAINED in .ci/audit.toml"
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, line)


@pytest.mark.parametrize("name", ["CVE-2026-0001", "GHSA-aaaa-bbbb-cccc"])
def test_finding_that_is_explained_by_any_of_its_names_passes_and_is_told(
    audit: Audit, service: Service, name: str
) -> None:
    service.advisories["celery"] = ADVISORY
    audit.explain(name, days=1)

    done = audit.run(service.url)

    assert done.returncode == 0
    assert done.stdout.splitlines()[0].endswith(": not reached")


def test_explanation_counts_until_its_day(audit: Audit, service: Service) -> None:
    service.advisories["celery"] = ADVISORY
    audit.explain("CVE-2026-0001", days=-1)

    done = audit.run(service.url)

    assert done.returncode == 1
    assert "its explanation has run out" in done.stdout


@pytest.mark.parametrize("status", [None, 500, 403])
def test_service_that_cannot_be_asked_is_no_failure_and_no_all_clear(
    audit: Audit, service: Service, status: int | None
) -> None:
    service.status = status or 200
    url = f"http://127.0.0.1:{free_port()}/v1/query" if status is None else service.url

    done = audit.run(url)

    (line,) = done.stdout.splitlines()
    assert done.returncode == 0
    assert line.startswith("NOT AUDITED: the advisory service cannot be asked from here (")


def test_lock_that_cannot_be_read_fails(audit: Audit, service: Service) -> None:
    audit.lock.write_text("celery>=5\n")

    done = audit.run(service.url)

    assert done.returncode == 1
    assert service.asked == []


def test_what_is_explained_is_pinned() -> None:
    pins = "\n" + "".join(lock.read_text() for lock in LOCKS)

    assert [one for one in explanations(EXPLAINED) if f"\n{one.package}==" not in pins or not one.reason] == []
