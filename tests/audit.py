"""The audit: pip-audit asks about every pinned package, and each finding is fixed or explained.

    python -m tests.audit [--osv-url URL] [--explained FILE] [REQUIREMENTS …]

Exit 1 if a finding is not explained in ``.ci/audit.toml``, or no longer. An advisory service that cannot be asked is no
failure of ours, and no all-clear either: one line says that nobody was asked, exit 0.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.servers import ROOT

LOCKS = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
EXPLAINED = ROOT / ".ci" / "audit.toml"
# pip-audit's last line then: an exception of its HTTP client or of its services, or its advice.
UNREACHABLE = ("requests.exceptions.", "pip_audit._service.interface.", "network may be blocking")
WITHIN_S = 180


class Finding(NamedTuple):
    """An advisory that a pinned package is named in, by all its names."""

    package: str
    version: str
    ids: frozenset[str]
    fixed_in: str


class Explanation(NamedTuple):
    """Why a finding does no harm here, and until when that is believed."""

    id: str
    package: str
    reason: str
    until: date


def explanations(path: Path) -> list[Explanation]:
    """Those of a file.

    Raises:
        TypeError: an entry has other members.
    """
    return [Explanation(**entry) for entry in tomllib.loads(path.read_text()).get("finding", [])]


def findings(dependencies: Iterable[dict[str, Any]]) -> Iterator[Finding]:
    """The findings of pip-audit's report."""
    for one in dependencies:
        for found in one.get("vulns", ()):
            names = frozenset({found["id"], *found["aliases"]})
            yield Finding(one["name"], one["version"], names, ", ".join(found["fix_versions"]) or "no version yet")


def judge(found: Iterable[Finding], known: Iterable[Explanation], today: date) -> tuple[list[str], bool]:
    """A line for each finding, and whether all are explained."""
    known, lines, is_well = list(known), [], True
    for package, version, ids, fixed_in in found:
        reasons = [one for one in known if one.package == package and one.id in ids]
        words = next((f"explained until {one.until}: {one.reason}" for one in reasons if today <= one.until), None)
        if words is None:
            is_well, words = False, "its explanation has run out" if reasons else "NOT EXPLAINED in .ci/audit.toml"
        lines.append(f"{package} {version}: {', '.join(sorted(ids))} (fixed in {fixed_in}): {words}")
    return lines, is_well


def ask(locks: Iterable[Path], osv_url: str | None) -> dict[str, Any] | str:
    """pip-audit's report; or, where the service cannot be asked, its last word.

    Raises:
        RuntimeError: pip-audit failed for another reason.
    """
    files = (word for lock in locks for word in ("--requirement", str(lock)))
    options = ["--vulnerability-service", "osv", *(("--osv-url", osv_url) if osv_url else ())]
    quiet = ("--format", "json", "--progress-spinner", "off")
    # Hashed locks are complete, and pip is not asked to resolve them.
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", *quiet, *options, *files]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {WITHIN_S} s"
    if done.stdout.startswith("{"):
        report: dict[str, Any] = json.loads(done.stdout)
        return report
    last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
    if any(word in last for word in UNREACHABLE):
        return last.partition(": ")[0]
    raise RuntimeError(f"pip-audit ended with {done.returncode}: {last}")


def main(locks: Iterable[Path], explained: Path, osv_url: str | None) -> int:
    """Ask and tell; the exit code."""
    known = explanations(explained)
    report = ask(locks, osv_url)
    if isinstance(report, str):
        print(f"NOT AUDITED: the advisory service cannot be asked from here ({report}). Nothing is known of the pins.")
        return 0
    dependencies = report["dependencies"]
    lines, is_well = judge(findings(dependencies), known, datetime.now(UTC).date())
    skipped = [one["name"] for one in dependencies if "skip_reason" in one]
    if skipped:
        lines.append(f"NOT AUDITED: {', '.join(skipped)}: the advisory service does not know them.")
    print("\n".join(lines))
    print(f"Asked about {len(dependencies) - len(skipped)} pinned packages; {len(lines) - bool(skipped)} findings.")
    return 0 if is_well else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.audit", description=__doc__)
    parser.add_argument("--osv-url", help="another service with OSV's API")
    parser.add_argument("--explained", type=Path, default=EXPLAINED)
    parser.add_argument("locks", nargs="*", type=Path, metavar="REQUIREMENTS", default=LOCKS)
    given = parser.parse_args()
    sys.exit(main(given.locks, given.explained, given.osv_url))
