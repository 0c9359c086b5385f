"""Candidates on a real disk: they wait, are accepted, rejected and remembered; an activation can be taken back."""

import os
from pathlib import Path

import pytest

from edgead.errors import ModelPackageError
from edgead.package import open_package
from edgead.registry import Registry
from edgead.registry.shelf import Progress, Shelf, Watch
from tests import packages

V = {number: packages.id_of(number) for number in (1, 2, 3, 4)}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "models", trial=lambda data: None)


def propose(shelf: Shelf, *numbers: int) -> None:
    for number in numbers:
        shelf.propose(packages.variant(number), note="targets/pump")


def files(shelf: Shelf, tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "models" / "pump").iterdir()}


def test_the_first_is_active_and_the_next_waits_beside_it(shelf: Shelf) -> None:
    propose(shelf, 1)
    assert (shelf.active_id("pump"), shelf.candidates()) == (V[1], [])
    propose(shelf, 2)
    assert shelf.active_id("pump") == V[1]
    (candidate,) = shelf.candidates()
    assert (candidate.name, candidate.id, candidate.version) == ("pump", V[2], "1.0.2")
    assert candidate.note == "targets/pump"


def test_a_candidate_that_is_offered_again_is_not_tried_again(tmp_path: Path) -> None:
    tried = []
    shelf = Shelf(tmp_path / "models", trial=tried.append)
    propose(shelf, 1, 2, 2, 1, 2)
    assert len(tried) == 2


def test_a_newer_candidate_takes_the_place_of_the_one_that_waits(shelf: Shelf, tmp_path: Path) -> None:
    propose(shelf, 1, 2, 3)
    assert [each.id for each in shelf.candidates()] == [V[3]]
    assert files(shelf, tmp_path) == {"active", "notes", f"{V[1]}.zip", f"{V[3]}.zip"}


def test_accepted_it_is_active_and_the_old_one_is_kept(shelf: Shelf) -> None:
    propose(shelf, 1, 2)
    shelf.accept("pump", V[2], watch=Watch(id=V[2], previous=V[1], until_ns=7))
    assert (shelf.active_id("pump"), shelf.candidates()) == (V[2], [])
    assert shelf.watch("pump") == Watch(id=V[2], previous=V[1], until_ns=7)
    assert Registry.roll_back(shelf, "pump").id == V[1]
    assert shelf.watch("pump") is None  # it was over the other one


def test_what_is_watched_can_be_taken_back_though_a_third_one_waits(shelf: Shelf) -> None:
    propose(shelf, 1, 2)
    shelf.accept("pump", V[2], watch=Watch(id=V[2], previous=V[1], until_ns=7))
    propose(shelf, 3)
    assert shelf.withdraw("pump", "too many alarms", at_ns=5).id == V[1]
    assert (shelf.active_id("pump"), shelf.watch("pump")) == (V[1], None)
    (rejection,) = shelf.rejections("pump")
    assert (rejection.id, rejection.version, rejection.reason) == (V[2], "1.0.2", "too many alarms")
    assert [each.id for each in shelf.candidates()] == [V[3]]
    with pytest.raises(ModelPackageError, match="no package to roll back to"):
        shelf.withdraw("pump", "again")


def test_what_was_rejected_is_not_taken_again_until_somebody_asks_for_it(shelf: Shelf, tmp_path) -> None:
    propose(shelf, 1, 2)
    shelf.reject("pump", V[2], "alarms on 90 of 100 rows")
    assert (shelf.active_id("pump"), shelf.candidates()) == (V[1], [])
    assert files(shelf, tmp_path) == {"active", "notes", f"{V[1]}.zip"}
    with pytest.raises(ModelPackageError, match=r"pump 1\.0\.2 was rejected here: alarms on 90 of 100 rows"):
        propose(shelf, 2)
    propose(shelf, 3)
    shelf.forgive("pump")
    propose(shelf, 2)
    assert [each.id for each in shelf.candidates()] == [V[2]]


def test_only_some_rejections_are_remembered(shelf: Shelf) -> None:
    propose(shelf, 1)
    for number in range(10, 20):
        propose(shelf, number)
        shelf.reject("pump", packages.id_of(number), "no")
    assert [each.version for each in shelf.rejections("pump")] == [f"1.0.{n}" for n in range(19, 11, -1)]


def test_only_what_waits_is_accepted(shelf: Shelf) -> None:
    propose(shelf, 1)
    with pytest.raises(ModelPackageError, match="does not wait"):
        shelf.accept("pump", V[2])
    shelf.reject("pump", V[2], "not there")  # which changes nothing
    assert shelf.rejections("pump") == ()


def test_a_candidate_damaged_on_disk_is_not_accepted(shelf: Shelf, tmp_path: Path) -> None:
    propose(shelf, 1, 2)
    path = tmp_path / "models" / "pump" / f"{V[2]}.zip"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelPackageError):
        shelf.accept("pump", V[2])
    assert shelf.active_id("pump") == V[1]


def test_a_bad_package_is_no_candidate(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "models", trial=lambda data: None)
    propose(shelf, 1)

    def refuse(data: bytes) -> None:
        raise ModelPackageError("its self-test gives other numbers")

    with pytest.raises(ModelPackageError, match="other numbers"):
        Shelf(tmp_path / "models", trial=refuse).propose(packages.variant(2))
    assert shelf.candidates() == []


def test_damaged_notes_stop_nothing(shelf: Shelf, tmp_path: Path) -> None:
    propose(shelf, 1, 2)
    (tmp_path / "models" / "pump" / "notes").write_bytes(b'{"candidate":\xff')
    assert (shelf.candidates(), shelf.rejections("pump"), shelf.watch("pump")) == ([], (), None)
    propose(shelf, 2)
    assert [each.id for each in shelf.candidates()] == [V[2]]


def test_an_installation_by_hand_leaves_the_candidate(shelf: Shelf, tmp_path: Path) -> None:
    propose(shelf, 1, 2)
    Registry(tmp_path / "models", trial=lambda data: None).install(packages.variant(3))
    assert [each.id for each in shelf.candidates()] == [V[2]]
    shelf.accept("pump", V[2])
    assert shelf.active_id("pump") == V[2]


@pytest.mark.parametrize("file", ["notes", "active"])
def test_a_disk_that_refuses_a_roll_back_is_asked_again(
    file: str, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose(shelf, 1, 2)
    shelf.accept(
        "pump", packages.id_of(2), watch=Watch(id=packages.id_of(2), previous=packages.id_of(1), until_ns=1)
    )
    replaced = os.replace

    def full(path: Path, target: Path) -> None:
        if target.name == file:
            raise OSError(28, "No space left on device")
        replaced(path, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ModelPackageError, match="No space left"):
        shelf.withdraw("pump", "too many alarms")
    assert shelf.active_id("pump") == packages.id_of(2)
    assert shelf.watch("pump") is not None
    monkeypatch.setattr(os, "replace", replaced)
    shelf.withdraw("pump", "too many alarms")
    assert (shelf.active_id("pump"), shelf.watch("pump")) == (packages.id_of(1), None)
    assert [each.id for each in shelf.rejections("pump")] == [packages.id_of(2)]


@pytest.mark.parametrize("step", ["activate", "roll_back"])
def test_a_package_removed_by_another_process_during_the_trial_does_not_become_active(
    step: str, tmp_path: Path
) -> None:
    other = Shelf(tmp_path / "models", trial=lambda data: None)
    for number in (1, 2):
        other.install(packages.variant(number))
    if step == "roll_back":
        other.activate("pump", V[2])

    shelf = Shelf(tmp_path / "models", trial=lambda data: other.install(packages.variant(3)))
    active = shelf.active_id("pump")
    with pytest.raises(ModelPackageError, match="removed"):
        shelf.activate("pump", V[2]) if step == "activate" else shelf.roll_back("pump")
    assert other.active("pump").manifest.id == active


def test_a_candidate_taken_back_at_the_last_moment_does_not_become_active(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    propose(shelf, 1, 2)
    read = shelf._bytes

    def slowly(name: str, identity: str) -> bytes:
        data = read(name, identity)
        shelf.forget(name, identity)  # as the process of the sync does
        return data

    monkeypatch.setattr(shelf, "_bytes", slowly)
    with pytest.raises(ModelPackageError, match="does not wait"):
        shelf.accept("pump", V[2])
    monkeypatch.undo()
    assert shelf.active("pump").manifest.id == V[1]


# ---------------------------------------------------------------------- networks that are at work without installation

N = {number: open_package(packages.network(number)).manifest.id for number in (2, 3)}


def test_the_first_network_waits_as_the_shipped_one_is_at_work(shelf: Shelf, tmp_path: Path) -> None:
    shelf.propose(packages.network(2))
    assert shelf.active_id("srcnn") == ""
    assert [each.id for each in shelf.candidates()] == [N[2]]
    shelf.accept("srcnn", N[2], watch=Watch(id=N[2], previous="", until_ns=7))
    assert shelf.active_id("srcnn") == N[2]
    shelf.propose(packages.network(3))
    assert shelf.active_id("srcnn") == N[2]


def test_a_network_of_another_name_is_active_at_once(shelf: Shelf) -> None:
    other = packages.with_manifest(lambda manifest: manifest.update(name="fan"), packages.SRCNN)
    shelf.propose(other)
    assert shelf.candidates() == []
    assert shelf.active("fan").manifest.name == "fan"


def test_what_took_the_place_of_the_shipped_network_gives_it_back(shelf: Shelf) -> None:
    shelf.propose(packages.network(2))
    shelf.accept("srcnn", N[2])
    assert shelf.withdraw("srcnn", "too many alarms").version == "1.0.0"
    assert shelf.active_id("srcnn") == ""
    assert [each.id for each in shelf.rejections("srcnn")] == [N[2]]
    with pytest.raises(ModelPackageError, match="no package to roll back to"):
        shelf.withdraw("srcnn", "again")
    with pytest.raises(ModelPackageError, match="was rejected here: too many alarms"):
        shelf.propose(packages.network(2))
    shelf.forgive("srcnn")
    shelf.propose(packages.network(2))
    shelf.accept("srcnn", N[2])
    assert not shelf.went_back("srcnn")
    assert shelf.roll_back("srcnn").version == "1.0.0"
    assert (shelf.active_id("srcnn"), shelf.went_back("srcnn")) == ("", True)
    assert shelf.roll_back("srcnn").version == "1.0.2"  # to and fro, as with any two packages


def test_a_network_waits_beside_the_shipped_one_when_what_says_which_is_active_is_damaged(
    shelf: Shelf, tmp_path: Path
) -> None:
    shelf.propose(packages.network(2))
    shelf.accept("srcnn", N[2])
    (tmp_path / "models" / "srcnn" / "active").write_bytes(b"{")
    shelf.propose(packages.network(3))
    assert [each.id for each in shelf.candidates()] == [N[3]]
    shelf.accept("srcnn", N[3])
    assert shelf.active_id("srcnn") == N[3]


def test_progress_of_a_trial_is_whole_or_damaged_or_not_there(shelf: Shelf, tmp_path: Path) -> None:
    propose(shelf, 1, 2)
    assert shelf.progress("pump") is None
    progress = Progress(V[2], False, {"g": b"x", "h": b""})
    shelf.keep("pump", progress)
    assert shelf.progress("pump") == progress
    propose(shelf, 3)
    assert shelf.progress("pump") == progress  # it is not pruned
    path = tmp_path / "models" / "pump" / "progress"
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ModelPackageError, match="progress is damaged"):
            shelf.progress("pump")
        path.write_bytes(whole[:at])
        with pytest.raises(ModelPackageError, match="progress is damaged"):
            shelf.progress("pump")
    shelf.end_progress("pump")
    assert shelf.progress("pump") is None
    shelf.end_progress("pump")
