import os
from pathlib import Path

import pytest

from edgead.durable import locked, replace_file


def test_a_file_is_replaced_whole_with_its_mode(tmp_path: Path):
    path = tmp_path / "key"
    path.write_bytes(b"old")
    replace_file(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["key"]


def test_a_link_in_place_of_the_half_written_file_is_not_followed(tmp_path: Path):
    other = tmp_path / "other"
    other.write_bytes(b"untouched")
    (tmp_path / ".key.half").symlink_to(other)
    with pytest.raises(OSError, match="symbolic"):
        replace_file(tmp_path / "key", b"new")
    assert other.read_bytes() == b"untouched"
    replace_file(tmp_path / "key", b"new")


def test_a_folder_is_changed_by_one_at_a_time_and_given_back(tmp_path: Path):
    def handle() -> int:
        return os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)

    with locked(handle()), pytest.raises(BlockingIOError), locked(handle()):
        pass
    with locked(handle()):
        pass
