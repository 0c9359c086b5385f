"""Packages on a real disk; the trial run in a real child process where the test says so."""

import os
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import pytest

from edgead.errors import ModelPackageError
from edgead.onnx import Session
from edgead.package import open_package, read_package
from edgead.registry import Registry
from edgead.registry.disk import writing
from edgead.registry.trial import run_trial, try_package
from tests import packages
from tests.hostile_packages import BAD

PUMP = read_package(packages.PUMP).manifest


V = {number: packages.id_of(number) for number in (1, 2, 3, 4)}


@pytest.fixture
def registry(tmp_path):
    return Registry(tmp_path / "models", trial=lambda data: None)


def ids(registry):
    return [(one.manifest.id, one.active) for one in registry.packages()]


def test_the_first_of_a_name_is_active_and_the_next_waits(registry):
    assert registry.install(packages.PUMP).id == PUMP.id
    assert ids(registry) == [(PUMP.id, True)]
    registry.install(packages.variant(1))
    assert ids(registry) == [(PUMP.id, True), (V[1], False)]
    with pytest.raises(ModelPackageError, match="no active package"):
        registry.active("press")


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


def test_a_roll_back_does_not_undo_what_became_active_while_it_was_tried(registry, tmp_path):
    for number in (1, 2):
        registry.install(packages.variant(number))
        registry.activate("pump", V[number])

    def meanwhile(data):
        registry.install(packages.variant(3))
        registry.activate("pump", V[3])

    with pytest.raises(ModelPackageError, match="another package became active meanwhile"):
        Registry(tmp_path / "models", trial=meanwhile).roll_back("pump")
    assert registry.active("pump").manifest.id == V[3]
    assert registry.roll_back("pump").id == V[2]


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


def test_the_trial_of_a_network_of_one_variable_needs_the_memory_of_a_whole_batch():
    """A device judges 256 histories together; a model that is small for one and huge for all of them is refused."""
    one = Session(open_package(packages.SRCNN).model)
    seen = []
    session = SimpleNamespace(run=lambda window: seen.append(len(window)) or one.run(window))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgead.onnx.Session", lambda model: session)
        try_package(open_package(packages.SRCNN))
    assert max(seen) == 256


def test_a_failed_trial_installs_and_activates_nothing(tmp_path):
    def fails(data):
        raise ModelPackageError("self-test 1 of 6: score 3, expected 4")

    Registry(tmp_path, trial=lambda data: None).install(packages.PUMP)
    strict = Registry(tmp_path, trial=fails)
    with pytest.raises(ModelPackageError, match="self-test"):
        strict.install(packages.variant(1))
    with pytest.raises(ModelPackageError, match="self-test"):
        strict.activate("pump", PUMP.id)
    assert ids(strict) == [(PUMP.id, True)]


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
    assert ids(registry) == [(V[1], True)]
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


def test_a_key_is_an_id_its_beginning_or_a_name(registry):
    registry.install(packages.PUMP)
    registry.install(packages.variant(1))
    assert registry.find(V[1]).manifest.id == V[1]
    assert registry.find(V[1][:9]).manifest.id == V[1]
    assert registry.find("pump").manifest.id == PUMP.id
    for key in ("", "nothing", "../pump"):
        with pytest.raises(ModelPackageError, match=r"not installed; there is .* \(pump\)"):
            registry.find(key)


def test_one_process_changes_a_model_at_a_time(registry, tmp_path):
    registry.install(packages.PUMP)
    with writing(tmp_path / "models" / "pump"), pytest.raises(ModelPackageError, match="another edgead"):
        registry.install(packages.variant(1))
    assert ids(registry) == [(PUMP.id, True)]


def test_the_folder_is_private(registry, tmp_path):
    registry.install(packages.PUMP)
    made = [tmp_path / "models", tmp_path / "models" / "pump"]
    assert [path.stat().st_mode & 0o777 for path in made] == [0o700, 0o700]
    assert {path.stat().st_mode & 0o777 for path in made[1].iterdir()} == {0o600}


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(ModelPackageError, match=r"cannot be made|Not a directory"):
        Registry(tmp_path / "state" / "models", trial=lambda data: None).install(packages.PUMP)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os.abort()", "the trial run ended with status -6"),
        ("import time; time.sleep(60)", "did not end within 0.5 s"),
        ("import sys; sys.exit('out of luck')", "out of luck"),
        ("import os, sys; sys.exit(str('EDGEAD_MQTT_PASSWORD' in os.environ))", "False"),
    ],
)
def test_a_model_that_crashes_or_hangs_ends_its_own_process_alone(monkeypatch, code, reason):
    monkeypatch.setenv("EDGEAD_MQTT_PASSWORD", "x")
    with pytest.raises(ModelPackageError, match=reason):
        run_trial(packages.PUMP, wall_s=0.5 if "sleep" in code else 60, command=[sys.executable, "-c", code])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("bytearray(2**30)", "the trial run needs more than 512 MiB"),
        ("fail('x' * 1000 + chr(27))", r"^x{300} \.\.\.$"),
        ("fail('red ' + chr(27) + chr(10) + 'line')", "^red   line$"),
    ],
)
def test_a_trial_has_bounds_and_its_reason_is_one_printable_line(body, reason):
    code = (
        "import edgead.registry.trial as trial, sys\n"
        "def fail(text): raise trial.ModelPackageError(text)\n"
        f"trial.open_package = lambda data: {body}\n"
        "sys.exit(trial.main())"
    )
    with pytest.raises(ModelPackageError, match=reason):
        run_trial(b"", command=[sys.executable, "-c", code])


def test_a_model_slower_than_its_rows_is_refused():
    slow = packages.with_manifest(lambda manifest: manifest.update(step_s=1e-6))
    with pytest.raises(ModelPackageError, match="s to judge here, and one comes every 1e-06 s"):
        run_trial(slow)
