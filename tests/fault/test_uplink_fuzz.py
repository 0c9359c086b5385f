"""Any bytes in place of any file, and signed nonsense: a sync ends with a reason and never with a crash."""

import datetime as dt
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests import packages
from tests.fault import uplink_worker as worker
from tests.uplink import Gateway, RepositoryServer, Vendor

SEED = 20261126
COUNT = 1000 if os.environ.get("EDGEAD_SOAK") else 60
ODD: list[Any] = [None, True, -1, 0, 2**70, 1.5, "", "x", "\0", "../..", [], {}, [[]], {"": {}}, "9" * 5000]


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A few bits, a hole, a doubled or foreign piece, or other values in the JSON."""
    kind = rng.randrange(6)
    at, count = rng.randrange(len(data)), rng.randrange(1, 40)
    if kind == 0:
        out = bytearray(data)
        for _ in range(rng.randrange(1, 8)):
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
        return bytes(out)
    if kind == 1:
        return data[:at] + data[at + count :]
    if kind == 2:
        return data[:at] + data[at : at + count] + data[at:]
    if kind == 3:
        return data[:at]
    if kind == 4:
        return data[:at] + rng.choice([b"\0" * count, b"[" * 3000, b"\xff\xfe", b'"', b"1e999"]) + data[at:]
    try:
        told = json.loads(data)
    except ValueError:
        return data[::-1]
    twist(told, rng)
    return json.dumps(told).encode()


def twist(node: Any, rng: random.Random) -> None:
    """Another value somewhere in a tree."""
    while isinstance(node, (dict, list)) and node:
        key = rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        if rng.random() < 0.35 or not isinstance(node[key], (dict, list)) or not node[key]:
            node[key] = rng.choice(ODD)
            return
        node = node[key]


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    return Vendor(tmp_path_factory.mktemp("vendor"))


@pytest.fixture(scope="module")
def device(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Gateway:
    vendor.add(packages.variant(1))
    device = Gateway(tmp_path_factory.mktemp("device") / "state", vendor.first_root)
    device.sync(vendor.repo)
    vendor.publisher.rotate("timestamp")
    vendor.add(packages.variant(2))
    vendor.add(b'[[series]]\ntopic = "a"\n', name="lines")
    return device


@pytest.mark.campaign
def test_mutated_files_of_the_repository(vendor: Vendor, device: Gateway, tmp_path: Path):
    rng = random.Random(SEED)
    shutil.copytree(device.folder, tmp_path / "spare")
    with RepositoryServer(vendor.repo) as server:
        device.copy(tmp_path / "once").sync(server.url)
        files = [path for name in server.paths() if (path := vendor.repo / name[1:]).is_file()]
    assert len(files) == 5
    ends: dict[str, int] = {}
    for _ in range(COUNT):
        path = rng.choice(files)
        whole = path.read_bytes()
        path.write_bytes(mutated(whole, rng))
        shutil.rmtree(device.folder)
        shutil.copytree(tmp_path / "spare", device.folder)
        try:
            outcome = device.sync(vendor.repo)
        finally:
            path.write_bytes(whole)
        for end in [each.reason for each in outcome.refused] or [outcome.state]:
            ends[end] = ends.get(end, 0) + 1
        assert worker.active(device.folder) in (packages.id_of(1), packages.id_of(2))
    print(f"seed {SEED}, {COUNT} mutations: {ends}")
    assert device.sync(vendor.repo).exit_code == 0
    assert worker.active(device.folder) == packages.id_of(2)


@pytest.mark.campaign
def test_mutated_files_of_the_device(vendor: Vendor, device: Gateway, tmp_path: Path):
    rng = random.Random(SEED + 1)
    shutil.copytree(device.folder, tmp_path / "spare")
    for _ in range(COUNT // 3):
        shutil.rmtree(device.folder)
        shutil.copytree(tmp_path / "spare", device.folder)
        path = device.folder / "uplink" / rng.choice(["trust.json", "sync.json", "root.json"])
        path.write_bytes(mutated(path.read_bytes(), rng))
        outcome = device.sync(vendor.repo)
        if outcome.exit_code:  # the root itself: nothing else may be begun with
            assert [each.reason for each in outcome.refused] == ["no-root"]
            assert path.name == "root.json"
        else:
            assert worker.active(device.folder) == packages.id_of(2)
    shutil.rmtree(device.folder)
    shutil.copytree(tmp_path / "spare", device.folder)


@pytest.mark.campaign
def test_nonsense_that_was_rightly_signed(vendor: Vendor, device: Gateway, tmp_path: Path):
    """Who holds every key can sign anything; it is refused or taken, and the next honest root heals it."""
    rng = random.Random(SEED + 2)
    shutil.copytree(device.folder, tmp_path / "spare")
    for number in range(COUNT // 6):
        thief = vendor.copy(tmp_path / f"thief{number}")
        publisher = thief.publisher
        now = publisher._load()
        role = rng.choice(["timestamp", "snapshot", "targets"])
        metadata = getattr(now, role)
        told = metadata.signed.to_dict()
        twist(told, rng)
        try:
            metadata.signed = type(metadata.signed).from_dict({**json.loads(json.dumps(told)), "_type": role})
            if isinstance(metadata.signed.expires, dt.datetime):
                publisher._release(now, targets=role == "targets", snapshot=role != "timestamp")
        except Exception:  # what python-tuf cannot even sign
            shutil.rmtree(thief.repo)
            continue
        shutil.rmtree(device.folder)
        shutil.copytree(tmp_path / "spare", device.folder)
        device.sync(thief.repo)
        assert worker.active(device.folder) in (packages.id_of(1), packages.id_of(2))
        shutil.rmtree(thief.repo)
    shutil.rmtree(device.folder)
    shutil.copytree(tmp_path / "spare", device.folder)
