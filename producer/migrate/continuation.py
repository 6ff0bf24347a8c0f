"""Continuation: what a migration's checkpoint allows, and the date of its export, which all its runs share."""

from datetime import datetime

from ..contract.card_rules import KOREA
from .ledger import Checkpoint
from .lines import SourceError

NEEDED = (
    "--as-of: is needed: when the export was made, as 2026-11-20 (its beginning in Korea) or 2026-11-20T09:00+09:00"
)


class WrongState(Exception):
    """The migration is not in a state for this; says in which it is."""


def run_number(name: str, known: Checkpoint | None, *, is_resume: bool, is_again: bool) -> int:
    """The number of the run that is asked for.

    Args:
        known: the migration as the ledger has it.
        is_resume, is_again: to go on, or another run of what failed.

    Raises:
        WrongState: that is not possible now.
    """
    if is_resume:
        return _stopped_run(name, known, is_again=is_again)
    if known is None:
        return 2 if is_again else 1
    if not known.has_ended:
        raise WrongState(f"{name} was stopped at line {known.progress.get('line', 0):,}; go on with --resume")
    if not is_again:
        raise WrongState(f"{name} is {known.state}; take another --name, or --only-failed REPORT for another run")
    return known.run + 1


def _stopped_run(name: str, known: Checkpoint | None, *, is_again: bool) -> int:
    if known is None or known.has_ended:
        raise WrongState(f"{name} has nothing to resume")
    if is_again != (known.run > 1):  # run 1 sends the whole source, all others what failed
        raise WrongState(f"run {known.run} of {name} was begun {'without' if is_again else 'with'} --only-failed")
    return known.run


def export_date(given: str | None, known: Checkpoint | None, now: float, changed_at: float | None = None) -> int:
    """When the export was made, Unix seconds: as the migration has it, or as it is told now.

    Args:
        given: ``--as-of``.
        known: the migration as the ledger has it.
        now: Unix seconds of the ledger's clock.
        changed_at: when the source's file was last changed; only shown, since a copy has its own.

    Raises:
        SourceError: it is missing, no date, or in the future.
        WrongState: the migration has another one.
    """
    if known is not None and known.as_of is not None:
        return _same(known.as_of, given)
    if given is None:
        raise SourceError(NEEDED if changed_at is None else f"{NEEDED}; the file was last changed {shown(changed_at)}")
    if (asked := _instant(given)) > now:
        raise SourceError("--as-of: lies in the future")
    return asked


def _same(kept: int, given: str | None) -> int:
    if given is not None and _instant(given) != kept:
        raise WrongState(f"--as-of: this migration's export is of {shown(kept)}; another one needs another --name")
    return kept


def _instant(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
        seconds = int((found if found.tzinfo else found.replace(tzinfo=KOREA)).timestamp())
    except (ValueError, OverflowError):
        seconds = 0
    if seconds <= 0:
        raise SourceError("--as-of: must be a date, as 2026-11-20, or an instant, as 2026-11-20T09:00+09:00")
    return seconds


def shown(instant: float) -> str:
    """An instant in Korea, to be read."""
    return datetime.fromtimestamp(int(instant), KOREA).isoformat()
