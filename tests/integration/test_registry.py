"""Packages on a real disk; the trial run in a real child process where the test says so."""

import os
import subprocess
import sys
import zipfile

import pytest

from edgead.errors import ModelPackageError
from edgead.package import read_package
from edgead.registry import Registry
from edgead.registry.trial import run_trial
from tests import packages
from tests.hostile_packages import BAD

PUMP = read_package(packages.PUMP).manifest


V = {number: packages.id_of(number) for number in (1, 2, 3, 4)}


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "models", trial=lambda data: None)


def ids(registry):
    return [(one.manifest.id, one.active) for one in registry.packages()]


def test_install_does_not_activate(registry):
    assert registry.install(packages.PUMP).id == PUMP.id
    assert ids(registry) == [(PUMP.id, False)]
    with pytest.raises(ModelPackageError, match="no active package"):
        registry.active("pump")


def test_activate_and_roll_back(registry):
    for number in (1, 2):
        registry.install(packages.variant(number))
        registry.activate("pump", V[number])
    assert ids(registry) == [(V[2], True), (V[1], False)]
    assert registry.roll_back("pump").id == V[1]
    assert registry.active("pump").manifest.id == V[1]
    assert registry.roll_back("pump").id == V[2]


def test_the_last_two_are_kept(registry, tmp_path):
    for number in (1, 2, 3):
        registry.install(packages.variant(number))
        registry.activate("pump", V[number])
    assert ids(registry) == [(V[3], True), (V[2], False)]
    registry.install(packages.variant(4))
    assert ids(registry) == [(V[3], True), (V[4], False)]
    assert sorted(p.name for p in (tmp_path / "models" / "pump").iterdir()) == sorted(
        ["active", f"{V[3]}.zip", f"{V[4]}.zip"]
    )


def test_activating_twice_keeps_the_way_back(registry):
    for number in (1, 2):
        registry.install(packages.variant(number))
        registry.activate("pump", V[number])
    registry.activate("pump", V[2])
    assert registry.roll_back("pump").id == V[1]


def test_the_first_model_has_nothing_to_roll_back_to(registry):
    registry.install(packages.PUMP)
    registry.activate("pump", PUMP.id)
    with pytest.raises(ModelPackageError, match="no package to roll back to"):
        registry.roll_back("pump")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_package_leaves_the_active_model_as_it_is(registry, tmp_path, name):
    registry.install(packages.PUMP)
    registry.activate("pump", PUMP.id)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(ModelPackageError, match=BAD[name][1]):
        registry.install(BAD[name][0]())
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_failed_trial_installs_and_activates_nothing(tmp_path):
    def fails(data):
        raise ModelPackageError("self-test 1 of 6: score 3, expected 4")

    Registry(tmp_path, trial=lambda data: None).install(packages.PUMP)
    strict = Registry(tmp_path, trial=fails)
    with pytest.raises(ModelPackageError, match="self-test"):
        strict.install(packages.variant(1))
    with pytest.raises(ModelPackageError, match="self-test"):
        strict.activate("pump", PUMP.id)
    assert ids(strict) == [(PUMP.id, False)]


def test_the_same_model_trained_again_takes_its_own_place(registry):
    registry.install(packages.PUMP)
    registry.activate("pump", PUMP.id)
    registry.install(packages.with_manifest(lambda m: m["training"].update(created="2030-01-01T00:00:00Z")))
    assert ids(registry) == [(PUMP.id, True)]
    assert registry.active("pump").manifest.training.created == "2030-01-01T00:00:00Z"


def test_installing_again_heals_a_damaged_file(registry, tmp_path):
    registry.install(packages.PUMP)
    registry.activate("pump", PUMP.id)
    (tmp_path / "models" / "pump" / f"{PUMP.id}.zip").write_bytes(b"damaged")
    registry.install(packages.PUMP)
    assert registry.active("pump").manifest.id == PUMP.id


def test_damage_on_disk_is_told_and_not_listed(registry, tmp_path):
    registry.install(packages.PUMP)
    registry.activate("pump", PUMP.id)
    path = tmp_path / "models" / "pump" / f"{PUMP.id}.zip"
    path.write_bytes(packages.PUMP[:-100])
    with pytest.raises(ModelPackageError, match="not a readable zip"):
        registry.active("pump")
    assert registry.packages() == []


def test_a_file_under_another_id_is_refused(registry, tmp_path):
    registry.install(packages.PUMP)
    (tmp_path / "models" / "pump" / "v9.zip").write_bytes(packages.PUMP)
    with pytest.raises(ModelPackageError, match="package v9 says it is"):
        registry.activate("pump", "v9")


@pytest.mark.parametrize(("name", "identity"), [("../x", "a"), ("pump", "../a"), ("pump", "missing")])
def test_odd_names_reach_no_other_file(registry, name, identity):
    with pytest.raises(ModelPackageError, match=r"plain name|not installed"):
        registry.activate(name, identity)


def test_a_half_written_file_is_cleared_by_the_next_installation(registry, tmp_path):
    registry.install(packages.variant(1))
    half = tmp_path / "models" / "pump" / f".{V[2]}.zip.half"
    half.write_bytes(b"cut by a power failure")
    assert ids(registry) == [(V[1], False)]
    registry.install(packages.variant(2))
    assert not half.exists()


def test_a_damaged_pointer_is_told(registry, tmp_path):
    registry.install(packages.PUMP)
    (tmp_path / "models" / "pump" / "active").write_bytes(b"{")
    with pytest.raises(ModelPackageError, match="active cannot be read"):
        registry.active("pump")


def test_a_full_disk_is_told_and_leaves_the_active_model(registry, tmp_path, monkeypatch):
    registry.install(packages.variant(1))
    registry.activate("pump", V[1])

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelPackageError, match="No space left"):
        registry.install(packages.variant(2))
    monkeypatch.undo()
    assert registry.active("pump").manifest.id == V[1]


def test_the_real_trial_takes_the_shipped_package():
    run_trial(packages.PUMP)


def test_the_real_trial_tells_the_reason_in_one_line():
    wrong = packages.with_file("selftest.npz", packages.arrays_with(scores=packages.wrong_scores()))
    with pytest.raises(ModelPackageError, match=r"self-test 1 of 6: score .* expected 9$"):
        run_trial(wrong)
    with pytest.raises(ModelPackageError, match="not a readable zip"):
        run_trial(b"hello")


def test_a_trial_that_takes_too_long_is_ended():
    with pytest.raises(ModelPackageError, match="did not end within"):
        run_trial(packages.PUMP, wall_s=0.01)


def test_a_reader_on_another_process_never_sees_half_a_pointer(registry, tmp_path):
    """Another process reads the pointer while it is replaced two hundred times."""
    for number in (1, 2):
        registry.install(packages.variant(number))
        registry.activate("pump", V[number])
    reader = (
        "import sys, json, pathlib\n"
        "p = pathlib.Path(sys.argv[1]); print('ready', flush=True)\n"
        "while True:\n"
        "    assert json.loads(p.read_bytes())['active'] in sys.argv[2:]\n"
    )
    path = tmp_path / "models" / "pump" / "active"
    with subprocess.Popen(
        [sys.executable, "-c", reader, str(path), V[1], V[2]], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        for _ in range(200):
            registry.roll_back("pump")
        assert child.poll() is None
        child.kill()


def test_a_package_is_a_plain_zip(tmp_path):
    path = tmp_path / "pump.zip"
    path.write_bytes(packages.PUMP)
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["manifest.json", "model.onnx", "selftest.npz"]
