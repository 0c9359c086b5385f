"""Which devices take which releases."""

from itertools import pairwise

import pytest

from edgead.uplink.reasons import Refusal
from edgead.uplink.release import (
    ALL_PPM,
    Device,
    Release,
    Terms,
    chosen,
    not_for,
    place_of,
    read_release,
)

IDS = [f"gateway-{number:05}" for number in range(10_000)]


def release(number: int, **terms: object) -> Release:
    told = {
        "kind": "model",
        "name": "pump",
        "id": f"id{number}",
        "release": number,
        "version": f"1.0.{number}",
    }
    return Release(f"models/pump-{number}.zip", Terms(**{**told, **terms}), 10, "00")  # type: ignore[arg-type]


def taken(ids: list[str], share: float) -> set[str]:
    one = release(1, share_ppm=round(share * ALL_PPM))
    return {name for name in ids if not not_for(one, Device(name))}


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.5])
@pytest.mark.parametrize("pattern", ["gateway-{:05}", "{:x}", "plant{:d}.line1.gw", "AA:BB:CC:00:{:04x}"])
def test_of_ten_thousand_devices_the_asked_share_takes_it(share: float, pattern: str):
    ids = [pattern.format(number) for number in range(10_000)]
    assert abs(len(taken(ids, share)) / len(ids) - share) <= 0.01


def test_a_rollout_that_grows_keeps_the_devices_it_has():
    sets = [taken(IDS, share / 100) for share in (1, 2, 5, 10, 20, 50, 99, 100)]
    assert all(smaller <= larger for smaller, larger in pairwise(sets))
    assert sets[-1] == set(IDS)


def test_ten_percent_are_the_same_ten_percent_for_every_release():
    first = {name for name in IDS if not not_for(release(1, share_ppm=100_000), Device(name))}
    other = release(77, name="press", share_ppm=100_000)
    assert first == {name for name in IDS if not not_for(other, Device(name))}


def test_the_place_of_a_device_never_changes():
    """Fixed for good: another function would give running rollouts to other devices."""
    assert [round(place_of(name), 6) for name in ("gw1", "gw2", "edge")] == [0.90138, 0.248572, 0.616442]


def test_groups():
    for_all, for_presses = release(1), release(2, groups=["presses", "pumps"])
    assert not not_for(for_all, Device("gw1"))
    assert not not_for(for_presses, Device("gw1", "pumps"))
    assert not_for(for_presses, Device("gw1", "mills")) == "for presses, pumps, and this device is in mills"
    assert not_for(for_presses, Device("gw1")) == "for presses, pumps, and this device is in no group"


def test_an_older_edgead_leaves_it():
    one = release(1, minimum_edgead="0.10.0")
    assert not_for(one, Device("gw1", edgead="0.9.9")) == "needs edgead 0.10.0, this is 0.9.9"
    assert not not_for(one, Device("gw1", edgead="0.10.0"))


def ids_of(releases: list[Release], **options: object) -> list[str]:
    told = {"usable": lambda each: True, **options}
    return [each.terms.id for each in chosen(releases, Device("gw1", "pumps"), **told)]  # type: ignore[arg-type]


def test_the_newest_release_of_each_name_counts_whatever_its_version_says():
    releases = [release(3, version="1.0.0"), release(1, version="9.0.0"), release(2, name="press")]
    assert ids_of(releases) == ["id2", "id3"] or ids_of(releases) == ["id3", "id2"]
    assert ids_of([release(1), release(2, groups=["mills"])]) == ["id1"]


def test_what_a_device_has_turned_down_leaves_the_one_before():
    releases = [release(1), release(2)]
    assert ids_of(releases, usable=lambda each: each.terms.id != "id2") == ["id1"]


def test_config_fragments_come_first():
    fragment = release(1, kind="config", name="lines")
    assert ids_of([release(2), fragment]) == ["id1", "id2"]


def test_an_operator_gets_one_model_outside_of_its_share():
    releases = [release(1, share_ppm=1), release(2, name="press"), release(3, groups=["mills"], share_ppm=1)]
    assert ids_of(releases) == ["id2"]
    assert ids_of(releases, only="pump") == ["id1"]


def test_a_target_is_read_with_its_terms():
    custom = {"kind": "model", "name": "pump", "id": "x", "release": 3, "future": True}
    read = read_release("models/pump.zip", 5, "ab", custom)
    assert isinstance(read, Release)
    assert (read.terms.share_ppm, read.file, read.title) == (ALL_PPM, "models/ab.pump.zip", "pump x")


@pytest.mark.parametrize(
    ("target", "custom", "reason"),
    [
        ("models/x.zip", None, "bad-metadata"),
        ("models/x.zip", {"kind": "model"}, "bad-metadata"),
        ("models/x.zip", {"kind": "model", "name": "a", "id": "b", "release": "c"}, "bad-metadata"),
        (
            "models/x.zip",
            {"kind": "model", "name": "a", "id": "b", "release": 1, "minimum_edgead": "new"},
            "bad-metadata",
        ),
        ("models/x.zip", {"kind": "model", "name": "../a", "id": "b", "release": 1}, "target-name"),
        ("models/x.zip", {"kind": "model", "name": "a", "id": "../b", "release": 1}, "target-name"),
        ("config/x.toml", {"kind": "model", "name": "a", "id": "b", "release": 1}, "target-name"),
        ("models/../x.zip", {"kind": "model", "name": "a", "id": "b", "release": 1}, "target-name"),
        ("models/x\n", {"kind": "model", "name": "a", "id": "b", "release": 1}, "target-name"),
        ("models/.x", {"kind": "model", "name": "a", "id": "b", "release": 1}, "target-name"),
    ],
)
def test_a_target_that_is_none(target: str, custom: object, reason: str):
    read = read_release(target, 5, "ab", custom)
    assert isinstance(read, Refusal)
    assert read.reason == reason
