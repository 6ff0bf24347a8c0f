import grp
import json
import os
import pwd
import stat
import struct
from pathlib import Path
from typing import Any

import pytest

from producer.runtime.key_file import KEY_FILE_LIMIT, LOOK_EVERY_S, KeyFileError, WatchedFile, keys_of, kid_of, read_jwk

SETTING = "SIGNING_KEY_FILE"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A watched key file, and what it said of changes that it could not use."""

    def __init__(self, path: Path) -> None:
        self.path, self.clock, self.errors = path, Clock(), list[KeyFileError]()
        self.write({"kid": "first"})
        self.keys = WatchedFile(path, self._load, on_error=self.errors.append, clock=self.clock)

    def write(self, content: object) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        self.path.write_text(text)
        self.path.chmod(0o600)

    def later(self, seconds: float = LOOK_EVERY_S) -> dict[str, Any]:
        self.clock.now += seconds
        return self.keys.get()

    @staticmethod
    def _load(path: Path) -> dict[str, Any]:
        return read_jwk(SETTING, path, private=True)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "key.json")


def test_private_file_of_its_owner_is_read(watched: Watched) -> None:
    assert read_jwk(SETTING, watched.path, private=True) == {"kid": "first"}


class Machine:
    """The users and groups that this machine knows, and the groups that this process is in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
        self._monkeypatch, self.gid = monkeypatch, path.stat().st_gid
        self.has(groups=[])

    def has(
        self, *, groups: list[int], members: tuple[str, ...] | None = None, users: tuple[tuple[str, int, int], ...] = ()
    ) -> None:
        def group(gid: int) -> grp.struct_group:
            if members is None:
                raise KeyError(gid)
            return grp.struct_group(("keys", "x", gid, list(members)))

        known = [pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/sh")) for name, uid, gid in users]
        self._monkeypatch.setattr(os, "getegid", lambda: 65_534)
        self._monkeypatch.setattr(os, "getgroups", lambda: groups)
        self._monkeypatch.setattr(grp, "getgrgid", group)
        self._monkeypatch.setattr(pwd, "getpwall", lambda: known)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, watched: Watched) -> Machine:
    return Machine(monkeypatch, watched.path)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o666, 0o777])
def test_private_file_that_others_can_reach_is_refused(watched: Watched, mode: int) -> None:
    watched.path.chmod(mode)

    with pytest.raises(KeyFileError, match=r"^SIGNING_KEY_FILE: the file can be read by others; chmod 600 it$"):
        read_jwk(SETTING, watched.path, private=True)


@pytest.mark.parametrize("mode", [0o640, 0o440])
def test_private_file_of_a_group_without_a_name_that_this_process_was_given_is_read(
    watched: Watched, machine: Machine, mode: int
) -> None:
    machine.has(groups=[machine.gid], users=(("root", 0, machine.gid + 1), ("nobody", 65_534, 65_534)))
    watched.path.chmod(mode)

    assert read_jwk(SETTING, watched.path, private=True) == {"kid": "first"}


def test_private_file_of_a_group_of_this_user_and_root_is_read(watched: Watched, machine: Machine) -> None:
    users = (("root", 0, machine.gid), ("billing", os.geteuid(), machine.gid))
    machine.has(groups=[machine.gid], members=("root", "billing"), users=users)
    watched.path.chmod(0o640)

    assert read_jwk(SETTING, watched.path, private=True) == {"kid": "first"}


@pytest.mark.parametrize("mode", [0o660, 0o650, 0o644, 0o641, 0o604])
def test_private_file_of_our_own_group_that_it_may_change_or_the_world_may_read_is_refused(
    watched: Watched, machine: Machine, mode: int
) -> None:
    machine.has(groups=[machine.gid])
    watched.path.chmod(mode)

    with pytest.raises(KeyFileError, match="can be read by others"):
        read_jwk(SETTING, watched.path, private=True)


@pytest.mark.parametrize(
    ("members", "has_other"), [(("deploy",), False), (None, True), ((), True)], ids=["member", "unnamed", "primary"]
)
def test_private_file_of_a_group_that_another_user_is_in_is_refused(
    watched: Watched, machine: Machine, members: tuple[str, ...] | None, *, has_other: bool
) -> None:
    other = (("deploy", 4711, machine.gid if has_other else machine.gid + 1),)
    machine.has(groups=[machine.gid], members=members, users=other)
    watched.path.chmod(0o640)

    with pytest.raises(KeyFileError, match="can be read by others"):
        read_jwk(SETTING, watched.path, private=True)


def test_private_file_whose_access_list_names_another_user_is_refused(watched: Watched, machine: Machine) -> None:
    entries = (
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 4, 12345),
        (0x04, 4, 0xFFFFFFFF),
        (0x10, 4, 0xFFFFFFFF),
        (0x20, 0, 0xFFFFFFFF),
    )
    listed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    machine.has(groups=[machine.gid])
    watched.path.chmod(0o640)
    assert read_jwk(SETTING, watched.path, private=True)
    try:
        os.setxattr(watched.path, "system.posix_acl_access", listed)
    except (OSError, AttributeError):
        pytest.skip("no access lists here")
    assert stat.S_IMODE(watched.path.stat().st_mode) == 0o640  # though the group has no part in it

    with pytest.raises(KeyFileError, match="can be read by others"):
        read_jwk(SETTING, watched.path, private=True)


def test_public_file_may_be_read_by_others(watched: Watched) -> None:
    watched.path.chmod(0o644)

    assert read_jwk(SETTING, watched.path, private=False) == {"kid": "first"}


@pytest.mark.parametrize(
    "content", ["", "secret-secret", '["secret"]', '"secret"', "null", '{"d":"secret', "[" * 100_000]
)
def test_file_that_is_no_json_object_is_refused_without_its_content(watched: Watched, content: str) -> None:
    watched.write(content)

    with pytest.raises(KeyFileError, match=r"^SIGNING_KEY_FILE: does not hold a JSON object$") as caught:
        read_jwk(SETTING, watched.path, private=True)

    assert caught.value.__context__ is None


def test_file_that_is_not_text_is_refused(watched: Watched) -> None:
    watched.path.write_bytes(b'{"d":"\xff\xfe"}')

    with pytest.raises(KeyFileError, match="does not hold a JSON object"):
        read_jwk(SETTING, watched.path, private=True)


def test_endless_file_is_not_read_to_its_end(watched: Watched) -> None:
    watched.write('{"kid":"' + "k" * KEY_FILE_LIMIT + '"}')

    with pytest.raises(KeyFileError, match="does not hold a JSON object"):
        read_jwk(SETTING, watched.path, private=True)


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_file_that_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match=r"^SIGNING_KEY_FILE: the file cannot be read \("):
        read_jwk(SETTING, tmp_path / name, private=False)


@pytest.mark.parametrize(
    "members", [{}, *({"keys": keys} for keys in (None, "x", 5, [], {}, {"a": 1}, ["x"], [{}, 5]))]
)
def test_what_is_no_set_of_keys_is_refused(members: dict[str, object]) -> None:
    with pytest.raises(KeyFileError, match=r"^SIGNING_KEY_FILE: holds no keys$"):
        keys_of(SETTING, members)


def test_set_keeps_its_order() -> None:
    keys = [{"kid": "b"}, {"kid": "a"}]

    assert keys_of(SETTING, {"keys": keys, "note": "?"}) == keys


def test_two_keys_of_one_kid_are_refused() -> None:
    with pytest.raises(KeyFileError, match=r"^SIGNING_KEY_FILE: two keys have the same kid$"):
        keys_of(SETTING, {"keys": [{"kid": "a"}, {"kid": "b"}, {"kid": "a"}]})


@pytest.mark.parametrize("kid", ["k", "AZaz09_.-", "k" * 64])
def test_kid_that_may_stand_in_a_header_is_taken(kid: str) -> None:
    assert kid == kid_of(SETTING, {"kid": kid})


@pytest.mark.parametrize("kid", [None, 5, True, ["k"], "", "a b", "a/b", "a\n", "k" * 65, "키", "\ud800"])
def test_kid_that_may_not_stand_in_a_header_is_refused(kid: object) -> None:
    with pytest.raises(KeyFileError) as caught:
        keys_of(SETTING, {"keys": [{"kid": "good"}, {"kid": kid}]})

    assert str(caught.value) == "SIGNING_KEY_FILE: each key needs a kid of 1 to 64 of A-Z a-z 0-9 _ . -"


def test_watched_file_must_be_good_in_the_beginning(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError):
        WatchedFile(tmp_path / "missing.json", lambda path: read_jwk(SETTING, path, private=False))


def test_changed_file_is_read_again(watched: Watched) -> None:
    watched.write({"kid": "second"})

    assert watched.later() == {"kid": "second"}


def test_changed_file_is_not_looked_at_within_a_second(watched: Watched) -> None:
    watched.write({"kid": "second"})

    assert watched.later(LOOK_EVERY_S - 0.01) == {"kid": "first"}


def test_unchanged_file_is_not_loaded_again(watched: Watched) -> None:
    assert watched.later() is watched.later()


def test_file_replaced_by_one_of_the_same_size_and_time_is_read_again(watched: Watched) -> None:
    before = watched.path.stat()
    beside = watched.path.with_suffix(".new")
    beside.write_text(json.dumps({"kid": "other"}))
    beside.chmod(0o600)
    os.utime(beside, ns=(before.st_atime_ns, before.st_mtime_ns))

    beside.rename(watched.path)

    assert watched.later() == {"kid": "other"}


@pytest.mark.parametrize("content", ["", '{"kid": "sec', "[]"])
def test_half_written_file_leaves_the_keys_in_force(watched: Watched, content: str) -> None:
    watched.write(content)

    assert watched.later() == {"kid": "first"}
    assert [str(error) for error in watched.errors] == ["SIGNING_KEY_FILE: does not hold a JSON object"]


def test_file_finished_later_comes_into_force(watched: Watched) -> None:
    watched.write('{"kid": "sec')
    watched.later()
    watched.write({"kid": "second"})

    assert watched.later() == {"kid": "second"}


def test_unusable_file_is_reported_once_a_change(watched: Watched) -> None:
    watched.write("")

    for _ in range(3):
        watched.later()

    assert len(watched.errors) == 1


def test_deleted_file_leaves_the_keys_in_force(watched: Watched) -> None:
    watched.path.unlink()

    assert watched.later() == {"kid": "first"}
    assert len(watched.errors) == 1


def test_changed_file_that_others_can_read_leaves_the_keys_in_force(watched: Watched) -> None:
    watched.write({"kid": "second"})
    watched.path.chmod(0o644)

    assert watched.later() == {"kid": "first"}
    assert [str(error) for error in watched.errors] == [
        "SIGNING_KEY_FILE: the file can be read by others; chmod 600 it"
    ]
