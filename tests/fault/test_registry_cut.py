"""Each step of a registry cut off at change 1, 2, 3 ...: the old model is active or the new one, never none."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault import registry_worker as worker
from tests.fault import store_faults as faults

V1, V2 = worker.V[1], worker.V[2]
#: What was done before, the step, and what may be active after a cut in it.
CASES = {
    "first": ([], {"", V1}),
    "install": (["first"], {V1}),
    "activate": (["first", "install"], {V1, V2}),
    "third": (["first", "install", "activate"], {V2}),
    "roll back": (["first", "install", "activate"], {V2, V1}),
    "propose": (["first"], {V1}),
    "accept": (["first", "propose"], {V1, V2}),
    "reject": (["first", "propose"], {V1}),
    "withdraw": (["first", "propose", "accept"], {V2, V1}),
}
NEW = {"first": V1, "install": V1, "activate": V2, "third": V2, "roll back": V1}
NEW |= {"propose": V1, "accept": V2, "reject": V1, "withdraw": V1}


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faults.build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def folder() -> Iterator[Path]:
    with faults.scratch() as path:
        yield path


def prepare(models: Path, steps: list[str]) -> None:
    (models / "pump").mkdir(parents=True)
    for step in steps:
        worker.STEPS[step](worker.open_registry(models))


def run(shim: Path, models: Path, *arguments: object, trace: Path | None = None) -> str:
    environment = {"LD_PRELOAD": str(shim), "STORE_FAULTS_PREFIX": f"{models}/pump/"}
    environment |= {"PYTHONPATH": str(faults.ROOT)} | ({"STORE_FAULTS_TRACE": str(trace)} if trace else {})
    command = [sys.executable, worker.__file__, str(models), *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def disk_of(pump: Path) -> faults.Disk:
    """A disk that surely holds these files."""
    disk = faults.Disk()
    for path in pump.iterdir():
        file = faults.File(0)
        file.seen, file.safe = bytearray(path.read_bytes()), path.read_bytes()
        disk.seen[path.name] = file
    disk.safe = dict(disk.seen)
    return disk


@pytest.mark.parametrize("step", CASES)
def test_a_cut_at_any_change_leaves_the_old_model_or_the_new(shim: Path, folder: Path, step: str):
    before, allowed = CASES[step]
    prepare(folder / "models", before)
    disk = disk_of(folder / "models" / "pump")
    run(shim, folder / "models", step, trace=folder / "trace")
    changes = faults.read_trace(folder / "trace")
    rng = random.Random(step)
    left = [disk.after_power_cut(None)]
    for change in changes:
        left.append(disk.torn(change, rng))
        disk.feed(change)
        left += [disk.after_kill(), disk.after_power_cut(None)]
        left += [disk.after_power_cut(rng) for _ in range(3)]
    assert len(changes) >= 4
    seen = set()
    for number, files in enumerate(left):
        models = folder / f"cut{number}"
        models.mkdir()
        faults.lay_out(models / "pump", files)
        seen.add(worker.active(models))
        assert seen <= allowed, (number, seen)
        worker.STEPS[step](worker.open_registry(models))
        if step != "roll back":  # which goes back and forth
            assert worker.active(models) == NEW[step]
    assert seen == allowed
    (folder / "done").mkdir()
    faults.lay_out(folder / "done" / "pump", disk.after_power_cut(None))
    assert worker.active(folder / "done") == NEW[step]  # a step that is done outlasts a power cut


@pytest.mark.parametrize("step", CASES)
def test_a_full_disk_at_any_change_leaves_the_old_model_or_the_new(shim: Path, folder: Path, step: str):
    before, allowed = CASES[step]
    prepare(folder / "spare", before)
    told = json.loads(run(shim, folder / "models", step, folder / "spare"))
    refused = [each for each in told if each["reason"]]
    assert len(refused) >= 4
    assert all("No space left on device" in each["reason"] for each in refused)
    assert {each["active"] for each in told} <= allowed
    assert told[-1]["active"] == NEW[step]
    if step != "roll back":
        assert {each["again"] for each in told} == {NEW[step]}
