"""A migration that is stopped by its operator or its machine; the other stops are in ``test_migration_cut``."""

import pytest

from tests.migration.stops import STORIES

ROWS = 120
STOPPED = tuple(sorted(story for story in STORIES if story.startswith(("sig", "second", "suspended"))))
pytestmark = pytest.mark.timeout(1200)


@pytest.mark.parametrize("story", STOPPED)
def test_migration_that_is_stopped_goes_on_and_sends_no_card_twice(story: str) -> None:
    figures = STORIES[story](ROWS)

    assert figures["broken"] == []
