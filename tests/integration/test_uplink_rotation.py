"""Keys are replaced: planned, lost or stolen; devices that slept meanwhile find their way by themselves."""

import itertools
import json
from pathlib import Path

import pytest

from edgead.errors import UplinkError
from edgead.uplink.publish import Keyring, Publisher, create, files, read_public
from edgead.uplink.record import read_record
from edgead.uplink.signed import ROLES
from tests import packages
from tests.uplink import Gateway, RepositoryServer, Vendor


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    vendor = Vendor(tmp_path / "vendor")
    vendor.add(packages.PUMP)
    return vendor


def device_of(vendor: Vendor, folder: Path) -> Gateway:
    device = Gateway(folder, vendor.first_root)
    assert device.sync(vendor.repo).state == "installed"
    return device


def keys_of(vendor: Vendor, role: str) -> list[str]:
    return next(
        [key.id for key in each.keys] for each in vendor.publisher.status().roles if each.name == role
    )


def test_a_device_that_slept_through_two_rotations_of_everything(vendor: Vendor, tmp_path: Path):
    device = device_of(vendor, tmp_path / "state")
    for _ in range(2):
        before = {role: keys_of(vendor, role) for role in ROLES}
        for role in ROLES:
            vendor.publisher.rotate(role)
        assert all(not set(before[role]) & set(keys_of(vendor, role)) for role in ROLES)
    new = vendor.add(packages.variant(1))
    with RepositoryServer(vendor.repo) as server:
        outcome = device.sync(server.url)
        assert (outcome.state, device.active()) == ("installed", new.terms.id)
        assert outcome.versions["root"] == 9
        roots = [path for path in server.paths() if "root" in path]
        assert roots == [f"/metadata/{version}.root.json" for version in range(2, 11)]
        device.sync(server.url)
        assert server.paths()[-2:] == ["/metadata/10.root.json", "/metadata/timestamp.json"]


@pytest.mark.parametrize("role", ROLES)
def test_one_role_after_the_other(role: str, vendor: Vendor, tmp_path: Path):
    device = device_of(vendor, tmp_path / "state")
    old = keys_of(vendor, role)
    new = vendor.publisher.rotate(role)
    assert not set(old) & set(new)
    assert len(new) == len(old)
    assert device.sync(vendor.repo).state == "current"
    release = vendor.add(packages.variant(1))
    assert device.sync(vendor.repo).state == "installed"
    assert device.active() == release.terms.id
    fresh = device_of(vendor, tmp_path / "fresh")  # from the first root, by way of the second
    assert fresh.active() == release.terms.id


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_what_a_stolen_key_signs_is_refused_after_its_rotation(role: str, vendor: Vendor, tmp_path: Path):
    device = device_of(vendor, tmp_path / "state")
    thief = vendor.copy(tmp_path / "thief")
    vendor.publisher.rotate(role)
    assert device.sync(vendor.repo).exit_code == 0
    # the thief has the old keys, and serves the new root with what they signed
    publisher = thief.publisher
    now = publisher._load()
    for each in ("targets", "snapshot", "timestamp"):
        getattr(now, each).signed.version += 5
    publisher._write_down(now, (now.root.signed,), ("targets", "snapshot", "timestamp"))
    thief.metadata("2.root.json").write_bytes(vendor.metadata("2.root.json").read_bytes())
    before = device.state()
    outcome = device.sync(thief.repo)
    assert [each.reason for each in outcome.refused] == ["unknown-key"]
    assert device.state() == before


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_a_lost_key_is_replaced_without_it(role: str, vendor: Vendor, tmp_path: Path):
    device = device_of(vendor, tmp_path / "state")
    for path in vendor.keys.glob(f"{role}-*"):
        path.unlink()
    vendor.publisher.rotate(role)
    release = vendor.add(packages.variant(1))
    device.sync(vendor.repo)
    assert device.active() == release.terms.id


def test_one_lost_root_key_of_three_is_replaced(vendor: Vendor, tmp_path: Path):
    device = device_of(vendor, tmp_path / "state")
    lost = keys_of(vendor, "root")[0]
    next(vendor.keys.glob(f"root-{lost[:8]}.pem")).unlink()
    new = vendor.publisher.rotate("root", remove=[lost[:8]])
    assert lost not in new
    assert len(new) == 3
    assert device.sync(vendor.repo).exit_code == 0


def test_two_lost_root_keys_of_three_are_too_many(vendor: Vendor):
    for path in sorted(vendor.keys.glob("root-*.pem"))[:2]:
        path.unlink()
    files_before = sorted(path.name for path in (vendor.repo / "metadata").iterdir())
    with pytest.raises(UplinkError, match=r"root needs 2 of the keys .*, and 1 of them lie"):
        vendor.publisher.rotate("timestamp")
    assert sorted(path.name for path in (vendor.repo / "metadata").iterdir()) == files_before


def test_holders_make_their_root_keys_themselves(tmp_path: Path):
    """Three sticks; no machine ever sees two private keys before the ceremony."""
    sticks = [tmp_path / name for name in ("anna", "ben", "cleo", "online")]
    given = [read_public(next(_made(stick).glob("*.pub"))) for stick in sticks[:3]]
    anna, ben, cleo, online = sticks
    repo = tmp_path / "repo"
    root = create(repo, Keyring([online, anna, ben]), root_keys=given)
    device = Gateway(tmp_path / "state", root)
    assert device.sync(repo).state == "current"
    with pytest.raises(UplinkError, match="root needs 2"):
        Publisher(repo, Keyring([online, anna])).rotate("timestamp")
    Publisher(repo, Keyring([online, anna, cleo])).rotate("timestamp")
    assert device.sync(repo).exit_code == 0


def _made(stick: Path) -> Path:
    Keyring([stick]).create("root")
    return stick


def test_a_threshold_can_be_raised_and_must_be_met(vendor: Vendor, tmp_path: Path):
    device = device_of(vendor, tmp_path / "state")
    made = [Keyring([vendor.keys]).create("targets").public_key for _ in range(2)]
    vendor.publisher.rotate("targets", add=made, remove=[], threshold=2)
    assert device.sync(vendor.repo).exit_code == 0
    with pytest.raises(UplinkError, match=r"threshold 9: expected 1 to 3"):
        vendor.publisher.rotate("targets", remove=[], threshold=9)
    for key in made:
        next(vendor.keys.glob(f"targets-{key.keyid[:8]}.pem")).unlink()
    with pytest.raises(UplinkError, match="targets needs 2 of the keys"):
        vendor.add(packages.variant(1))


class Dies(Exception):
    """The publisher's machine loses power."""


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch):
    """A power cut before the nth file of the publisher is written."""

    def at(number: int) -> None:
        count = itertools.count()
        real = files.write_whole

        def write(path: Path, data: bytes, *, mode: int) -> None:
            if next(count) == number:
                raise Dies
            real(path, data, mode=mode)

        for module in ("edgead.uplink.publish.repository", "edgead.uplink.publish.keys"):
            monkeypatch.setattr(f"{module}.write_whole", write)

    return at


ACTIONS = {
    "add": lambda publisher: publisher.add(packages.variant(1)),
    "rollout": lambda publisher: publisher.rollout("pump", share=0.5),
    "revoke": lambda publisher: publisher.revoke("pump"),
    "refresh": lambda publisher: publisher.refresh(),
    **{f"rotate {role}": (lambda publisher, role=role: publisher.rotate(role)) for role in ROLES},
}


@pytest.mark.parametrize("action", ACTIONS)
def test_a_publisher_that_dies_at_any_write_leaves_a_valid_repository(
    action: str, vendor: Vendor, tmp_path: Path, dying, monkeypatch: pytest.MonkeyPatch
):
    slept = device_of(vendor, tmp_path / "slept")
    number, died = 0, True
    while died:
        one = vendor.copy(tmp_path / f"vendor{number}")
        dying(number)
        try:
            ACTIONS[action](one.publisher)
            died = False
        except Dies:
            number += 1
        finally:
            monkeypatch.undo()
        fresh = Gateway(tmp_path / f"fresh{number}{died}", vendor.first_root)
        assert fresh.sync(one.repo).exit_code == 0, number
        device = slept.copy(tmp_path / f"slept{number}{died}")
        assert device.sync(one.repo).exit_code == 0
        one.publisher.refresh()  # whoever comes next goes on from there
        one.add(packages.variant(2))
        assert device.sync(one.repo).state == "installed"
    assert number >= 1


def test_a_rotation_without_the_old_key_that_was_cut_short_is_completed(
    vendor: Vendor, tmp_path: Path, dying, monkeypatch: pytest.MonkeyPatch
):
    """Between the new root and what its keys sign there is a moment; devices wait, and the next command ends it."""
    device = device_of(vendor, tmp_path / "state")
    next(vendor.keys.glob("timestamp-*.pem")).unlink()
    dying(3)  # .pem and .pub of the key, the root, and then
    with pytest.raises(Dies):
        vendor.publisher.rotate("timestamp")
    monkeypatch.undo()
    notes = vendor.publisher.status().notes
    assert any("refresh completes the rotation" in note for note in notes)
    before = device.active()
    assert [each.reason for each in device.sync(vendor.repo).refused] == ["unknown-key"]
    assert device.active() == before
    vendor.publisher.refresh()
    assert device.sync(vendor.repo).exit_code == 0
    assert read_record(device.folder).versions["root"] == 2


def test_what_was_signed_offline_is_released_by_the_online_keys(vendor: Vendor, tmp_path: Path):
    device = device_of(vendor, tmp_path / "state")
    online = tmp_path / "online"
    online.mkdir()
    for path in [*vendor.keys.glob("snapshot-*"), *vendor.keys.glob("timestamp-*")]:
        path.rename(online / path.name)
    release = vendor.add(packages.variant(1))
    assert any("signed but not released" in note for note in vendor.publisher.status().notes)
    assert device.sync(vendor.repo).state == "current"
    Publisher(vendor.repo, Keyring([online])).refresh()
    assert device.sync(vendor.repo).state == "installed"
    assert device.active() == release.terms.id
    with pytest.raises(UplinkError, match="targets needs 1"):
        Publisher(vendor.repo, Keyring([online])).add(packages.variant(2))


def test_a_publisher_whose_clock_was_set_back_signs_nothing(vendor: Vendor):
    vendor.shift = -1
    with pytest.raises(UplinkError, match="set the clock"):
        vendor.add(packages.variant(1))


def test_status_tells_what_ends_soon(tmp_path: Path):
    vendor = Vendor(tmp_path / "vendor", begun=-25)
    vendor.shift = 0
    notes = vendor.publisher.status().notes
    assert len(notes) == 1
    assert notes[0].startswith("timestamp ends on")
    assert json.loads(vendor.metadata("timestamp.json").read_bytes())["signed"]["x-edgead-signed"]


def test_two_publishers_at_a_time(vendor: Vendor):
    with files.held(vendor.repo), pytest.raises(UplinkError, match="another edgead is changing it"):
        vendor.add(packages.variant(1))
