"""Files that nobody else may read."""

import os
from pathlib import Path

import pytest

from producer.runtime import private_file


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_new_file_is_its_owners_alone_and_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key"

    private_file.create(path, "one")

    assert (path.read_text(), path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == ("one", 0o600, 0o700)
    with pytest.raises(FileExistsError):
        private_file.create(path, "two")


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("old")

    private_file.replace(path, "new", private_file.PUBLIC)

    assert (path.read_text(), path.stat().st_mode & 0o777, names(tmp_path)) == ("new", 0o644, ["key"])


@pytest.mark.parametrize(("before", "after"), [(0o640, 0o640), (0o440, 0o640), (0o600, 0o600), (0o644, 0o600)])
def test_a_group_that_could_read_a_file_still_can_and_nobody_else(tmp_path: Path, before: int, after: int) -> None:
    path = tmp_path / "key"
    path.write_text("old")
    path.chmod(before)

    private_file.replace(path, "new")

    assert path.stat().st_mode & 0o777 == after


def test_what_cannot_be_written_whole_leaves_the_old_one_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "key"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space"):
        private_file.replace(path, "new")

    assert (path.read_text(), names(tmp_path)) == ("old", ["key"])
