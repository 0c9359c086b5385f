"""Telling a damaged log from an interrupted commit."""

import shutil
from pathlib import Path

from edgead.store import Store, StoreLimits
from edgead.store.log import Index, Loss, find_loss, parse_index, read_index

NOW = 1_763_750_000_000_000_000
FRAME = 24 + 1024


def killed(tmp_path: Path, commits: int) -> Path:
    """A directory as a kill leaves it."""
    store = Store.open(tmp_path / "live", StoreLimits(), now_ns=NOW)
    for number in range(commits):
        store.commit(journal=[bytes([number])], now_ns=NOW)
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
    store.close()
    return tmp_path / "killed"


def test_the_index_tells_the_frames_that_were_committed(tmp_path: Path) -> None:
    folder = killed(tmp_path, 5)
    index = read_index(folder / "state.db-shm")
    assert index is not None
    assert index.frames == ((folder / "state.db-wal").stat().st_size - 32) // FRAME
    assert index.copied == 0
    assert find_loss(folder / "state.db-wal", index, index) is None


def test_an_index_in_the_middle_of_a_change_says_nothing(tmp_path: Path) -> None:
    raw = (killed(tmp_path, 1) / "state.db-shm").read_bytes()
    assert parse_index(raw) is not None
    assert parse_index(raw[:20]) is None
    assert parse_index(bytes(136)) is None
    assert parse_index(raw[:16] + b"\x99" + raw[17:]) is None


def test_no_index_is_no_witness(tmp_path: Path) -> None:
    assert read_index(tmp_path / "none") is None


def test_one_commit_behind_a_break_is_an_interrupted_one_two_are_damage(tmp_path: Path) -> None:
    log = killed(tmp_path, 5) / "state.db-wal"
    frames = (log.stat().st_size - 32) // FRAME
    salts = log.read_bytes()[16:24]
    assert find_loss(log, None, Index(salts, frames - 1, 0)) is None
    assert find_loss(log, None, Index(salts, frames - 2, 0)) == Loss(frames - 2, mixed=False)


def test_a_loss_behind_pages_already_copied_leaves_a_mixture(tmp_path: Path) -> None:
    log = killed(tmp_path, 5) / "state.db-wal"
    salts = log.read_bytes()[16:24]
    before = Index(salts, 9, 7)
    assert find_loss(log, before, Index(salts, 8, 0)) == Loss(8, mixed=False)
    assert find_loss(log, before, Index(salts, 6, 0)) == Loss(6, mixed=True)


def test_a_log_that_is_gone_after_all_of_it_was_copied_is_no_loss(tmp_path: Path) -> None:
    assert find_loss(tmp_path / "none", Index(b"saltsalt", 9, 9), None) is None
    assert find_loss(tmp_path / "none", Index(b"saltsalt", 9, 8), None) == Loss(0, mixed=True)
    assert find_loss(tmp_path / "none", None, None) is None


def test_an_index_of_an_earlier_generation_is_no_witness(tmp_path: Path) -> None:
    log = killed(tmp_path, 5) / "state.db-wal"
    salts = log.read_bytes()[16:24]
    frames = (log.stat().st_size - 32) // FRAME
    assert find_loss(log, Index(b"othersal", 99, 0), Index(salts, frames, 0)) is None
