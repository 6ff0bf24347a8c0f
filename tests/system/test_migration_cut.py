"""A migration whose source, disk or store fails; what its operator stops is in ``test_migration_stopped``."""

import pytest

from tests.migration.stops import STORIES
from tests.system.test_migration_stopped import ROWS, STOPPED

pytestmark = pytest.mark.timeout(1200)


@pytest.mark.parametrize("story", sorted(STORIES.keys() - {"ledger", *STOPPED}))
def test_migration_that_is_cut_goes_on_and_sends_no_card_twice(story: str) -> None:
    figures = STORIES[story](ROWS)

    assert figures["broken"] == []
