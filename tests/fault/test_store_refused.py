"""A disk that refuses a change: the error is told in a plain sentence, nothing is half-done, and work goes on after."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault import store_faults as faults

SEED = 7_351
STEPS = 40 if faults.SOAK else 12
STRIDE = 1 if faults.SOAK else 3

pytestmark = pytest.mark.campaign


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faults.build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with faults.scratch() as folder:
        yield folder


@pytest.mark.parametrize(("error", "kind"), [("ENOSPC", "full"), ("EROFS", "read_only"), ("EIO", "io")])
def test_every_refused_change_leaves_the_state_before(
    shim: Path, tmp_path: Path, error: str, kind: str
) -> None:
    done = faults.run_worker(shim, "refuse", SEED, STEPS, error, STRIDE, directory=tmp_path / "state")
    assert done.returncode == 0, done.stderr
    refused = json.loads(done.stdout)
    assert refused.pop(kind) > STEPS
    assert refused == {}


@pytest.mark.parametrize(("error", "kind"), [("ENOSPC", "full"), ("EROFS", "read_only"), ("EIO", "io")])
def test_opening_is_refused_in_plain_words_and_works_later(
    shim: Path, tmp_path: Path, error: str, kind: str
) -> None:
    done = faults.run_worker(shim, "refuse-opening", error, directory=tmp_path / "state")
    assert done.returncode == 0, done.stderr
    refused = json.loads(done.stdout)
    assert refused.pop(kind) > 20
    assert refused == {}


def test_a_state_can_be_read_on_a_read_only_file_system_unless_its_log_needs_reading_first(
    shim: Path, tmp_path: Path
) -> None:
    done = faults.run_worker(shim, "view", directory=tmp_path / "state")
    assert done.returncode == 0, done.stderr
    kind, sentence = json.loads(done.stdout)
    assert kind == "read_only"
    assert "opening it for reading: its file system is read-only" in sentence


def test_sectors_that_cannot_be_read_cost_what_they_held(shim: Path, tmp_path: Path) -> None:
    done = faults.run_worker(shim, "unreadable", directory=tmp_path / "state")
    assert done.returncode == 0, done.stderr
    (kind, sentence), (notice,) = map(json.loads, done.stdout.splitlines())
    assert kind == "corrupt", sentence
    assert "; rescued the state of 3" in notice
