"""Packages of a server: whole files, a budget of memory, what is installed on the gateway."""

from pathlib import Path

import pytest

from edgead.errors import InvalidInput
from edgead.registry import Registry
from edgead.server.shelf import Shelf
from tests import packages

FIRST, SECOND, THIRD = (f"0000000{number}-0000-4000-8000-000000000000" for number in range(3))


def shelf_of(folder: Path, memory: int = 2**30) -> Shelf:
    return Shelf(folder / "trained", folder / "installed", memory_bytes=memory)


def test_a_package_is_kept_until_it_is_dropped(tmp_path: Path):
    shelf = shelf_of(tmp_path)
    shelf.put(FIRST, packages.PUMP)
    assert shelf_of(tmp_path).read(FIRST) == packages.PUMP
    shelf.drop(FIRST)
    shelf.drop(FIRST)
    with pytest.raises(InvalidInput) as caught:
        shelf.load(FIRST)
    assert caught.value.code == "ModelNotExist"


def test_what_no_model_knows_is_swept(tmp_path: Path):
    shelf = shelf_of(tmp_path)
    shelf.put(FIRST, packages.PUMP)
    shelf.put(SECOND, packages.PUMP)
    (tmp_path / "trained" / ".half").write_bytes(b"x")
    assert shelf.sweep([SECOND]) == 2
    assert [path.stem for path in (tmp_path / "trained").iterdir()] == [SECOND]


def test_loaded_models_stay_within_the_budget_the_one_used_last_longest(tmp_path: Path):
    shelf = shelf_of(tmp_path)
    for identity in (FIRST, SECOND, THIRD):
        shelf.put(identity, packages.PUMP)
    cost = shelf.load(FIRST).cost
    shelf = shelf_of(tmp_path, memory=2 * cost)
    first, second = shelf.load(FIRST), shelf.load(SECOND)
    assert shelf.load(FIRST) is first
    shelf.load(THIRD)
    assert shelf.load(FIRST) is first
    assert shelf.load(SECOND) is not second
    tight = shelf_of(tmp_path, memory=1)
    assert tight.load(FIRST) is tight.load(FIRST)


def test_a_damaged_pointer_leaves_the_other_models(tmp_path: Path):
    shelf = shelf_of(tmp_path)
    Registry(tmp_path / "installed", trial=lambda data: None).install(packages.PUMP)
    damaged = tmp_path / "installed" / "fan" / "active"
    damaged.parent.mkdir()
    damaged.write_bytes(b"{")
    assert [one.manifest.name for one in shelf.installed().values()] == ["pump"]


def test_installed_packages_are_seen_as_they_come_and_change(tmp_path: Path):
    shelf = shelf_of(tmp_path)
    assert shelf.installed() == {}
    registry = Registry(tmp_path / "installed", trial=lambda data: None)
    registry.install(packages.PUMP)
    [(identity, one)] = shelf.installed().items()
    assert (one.id, one.manifest.name) == (identity, "pump")
    assert shelf.read(identity) == packages.PUMP
    newer = registry.install(packages.with_manifest(lambda manifest: manifest.update(version="1.1.0")))
    assert list(shelf.installed()) == [identity]
    registry.activate("pump", newer.id)
    assert [one.manifest.version for one in shelf.installed().values()] == ["1.1.0"]
    assert shelf.load(next(iter(shelf.installed()))).spec.names == one.manifest.names
