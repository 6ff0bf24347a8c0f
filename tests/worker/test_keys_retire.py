import json
import threading
from pathlib import Path

import pytest

from producer.contract import redis_keys
from tests.servers import RedisServer
from worker.keys import generate as keygen
from worker.keys.retire import QUIET_S, StillNeeded, retire


class Shelf:
    """A key directory, rotated once long ago, and a ledger."""

    def __init__(self, folder: Path, store: RedisServer) -> None:
        self.folder, self.db, self.url = folder, store.client(1), store.url(1)
        keygen.generate(folder)
        keygen.rotate(folder)
        self.path = folder / keygen.OPENING
        self.age(QUIET_S + 10)
        self.old, self.new = self.kids()[1], self.kids()[3]  # X25519
        self.db.hset(redis_keys.KIDS, self.new, "1.0")

    def kids(self) -> list[str]:
        return [jwk["kid"] for jwk in json.loads(self.path.read_text())["keys"]]

    def age(self, seconds: float) -> None:
        now, _ = self.db.time()
        members = json.loads(self.path.read_text())
        for jwk in members["keys"]:
            jwk["iat"] = int(now - seconds)
        self.path.write_text(json.dumps(members))

    def used(self, seconds_ago: float) -> None:
        now, _ = self.db.time()
        self.db.hset(redis_keys.KIDS, self.old, str(now - seconds_ago))

    def open_job(self, kid: str) -> None:
        self.db.zadd(redis_keys.OPEN, {"j1": 1.0})
        self.db.hset(redis_keys.JOB + "j1", "kid", kid)

    def retire(self, kid: str, *, force: bool = False) -> int:
        return retire(kid, self.path, self.url, force=force)


@pytest.fixture
def shelf(tmp_path: Path, store: RedisServer) -> Shelf:
    return Shelf(tmp_path / "keys", store)


def test_a_key_that_nothing_needs_goes_and_the_others_stay(shelf: Shelf) -> None:
    before = shelf.kids()

    assert shelf.retire(shelf.old) == 0

    assert shelf.kids() == [kid for kid in before if kid != shelf.old]
    assert shelf.path.stat().st_mode & 0o777 == 0o600


def test_a_key_that_an_open_job_needs_stays(shelf: Shelf) -> None:
    shelf.open_job(shelf.old)

    with pytest.raises(StillNeeded, match=r"is needed by 1 open job$"):
        shelf.retire(shelf.old)
    assert shelf.old in shelf.kids()


def test_an_open_job_of_another_key_is_no_hindrance(shelf: Shelf) -> None:
    shelf.open_job(shelf.new)

    assert shelf.retire(shelf.old) == 0


def test_a_key_that_a_card_was_sealed_to_lately_stays(shelf: Shelf) -> None:
    shelf.used(QUIET_S - 100)

    with pytest.raises(StillNeeded, match=r"was sealed to .* ask again in (9[0-9]|100) s"):
        shelf.retire(shelf.old)
    shelf.used(QUIET_S + 1)
    assert shelf.retire(shelf.old) == 0


def test_a_key_stays_while_the_one_after_it_may_not_have_reached_every_cache(shelf: Shelf) -> None:
    shelf.age(60)

    with pytest.raises(StillNeeded, match="is too new"):
        shelf.retire(shelf.old)


def test_a_key_stays_while_nobody_uses_the_one_after_it(shelf: Shelf) -> None:
    shelf.db.hdel(redis_keys.KIDS, shelf.new)

    with pytest.raises(StillNeeded, match="do the producers have the new set"):
        shelf.retire(shelf.old)


def test_a_rotation_at_the_same_time_loses_no_key(shelf: Shelf) -> None:
    before = shelf.kids()
    with keygen.alone(shelf.path):
        rotation = threading.Thread(target=keygen.rotate, args=(shelf.folder,))
        rotation.start()
        rotation.join(0.2)
        assert shelf.kids() == before
    rotation.join()
    shelf.retire(shelf.old)

    assert len(shelf.kids()) == len(before) + 2 - 1


def test_the_newest_key_of_its_kind_stays(shelf: Shelf) -> None:
    with pytest.raises(StillNeeded, match="rotate first"):
        shelf.retire(shelf.new)


def test_an_unknown_kid_is_told_with_those_that_are_known(shelf: Shelf) -> None:
    with pytest.raises(StillNeeded, match=f"never is not in OPENING_KEYS_FILE; it holds .*{shelf.new}"):
        shelf.retire("never")


def test_a_key_that_was_stolen_can_be_forced_out(shelf: Shelf) -> None:
    shelf.open_job(shelf.new)

    assert shelf.retire(shelf.new, force=True) == 1

    assert shelf.new not in shelf.kids()
