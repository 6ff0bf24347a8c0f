"""The short forms of `python -m tests.migration`: a migration with real stores, real workers and the fake i'mport."""

import pytest

from tests.migration.brake import brake
from tests.migration.kills import kills
from tests.migration.newer import newer
from tests.migration.orders import orders
from tests.migration.stops import ledger
from tests.migration.volume import volume

ROWS = 120
pytestmark = pytest.mark.timeout(1200)


def test_export_of_a_thousand_rows_is_issued_whole_and_its_numbers_stay_off_the_disk() -> None:
    figures = volume(1000)

    assert figures["broken"] == []
    assert figures["statuses"] == {"issued": 1000}
    assert figures["numbers_found"] == 0


def test_killed_producers_and_workers_send_no_card_twice_and_the_report_is_whole() -> None:
    figures = kills(300, 2, 2, seed=1, hurry=True)

    assert figures["broken"] == []
    assert (figures["rows"], figures["applied_twice"]) == (300, 0)


def test_pause_throttle_resume_and_cancel_take_effect_within_two_seconds() -> None:
    figures = orders(8000, watch_s=6)

    assert figures["broken"] == []


def test_file_with_another_files_password_column_is_paused_early_and_goes_on_when_told() -> None:
    figures = brake(500, 500)

    assert figures["broken"] == []
    assert 61 <= figures["sent_before_it_paused"] <= 300
    assert figures["sent_in_all"] == 500


@pytest.mark.parametrize("is_forgotten", [False, True])
def test_no_older_card_goes_over_one_that_was_registered_before_or_while_an_export_is_migrated(
    is_forgotten: bool,
) -> None:
    figures = newer(60, is_forgotten=is_forgotten)

    assert figures["broken"] == []
    assert figures["older_cards_in_force"] == 0


def test_migration_goes_on_by_itself_when_the_ledger_comes_back() -> None:
    figures = ledger(ROWS, hurry=True)

    assert figures["broken"] == []
