"""``edgead sync`` without an agent: models are active at once, and what waits for the server goes up."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgead.agent.uplink import record
from edgead.cli import call
from edgead.registry.shelf import Shelf
from edgead.store import Store, StoreLimits
from tests import packages
from tests.cloud import Cloud
from tests.uplink import RepositoryServer, Vendor

EVENT = b'{"id": "id-1", "event": "open", "ts": 5, "series": "a"}'


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with Cloud() as cloud:
        yield cloud


def configure(folder: Path, cloud: Cloud, vendor: Vendor, repository: str) -> list[str]:
    (folder / "root.json").write_bytes(vendor.first_root)
    path = folder / "gateway.toml"
    path.write_text(
        f'[node]\nid = "gw1"\nstate_dir = "state"\n[uplink]\nurl = "{cloud.url}"\nrepository = "{repository}"\n'
        'root = "root.json"\n[[series]]\ntopic = "a"\n'
    )
    store = Store.open(folder / "state", StoreLimits(), now_ns=time.time_ns())
    store.commit(outbox=[record("event", EVENT)], now_ns=time.time_ns())
    store.close()
    return ["sync", "-c", str(path), "--once"]


def waiting(folder: Path) -> int:
    view = Store.read_only(folder / "state")
    rows = view.outbox_stats().rows
    view.close()
    return rows


def test_models_come_and_records_go(tmp_path: Path, cloud: Cloud, capsys) -> None:
    vendor = Vendor(tmp_path / "vendor")
    vendor.add(packages.PUMP)
    with RepositoryServer(vendor.repo) as repository:
        assert call(configure(tmp_path, cloud, vendor, repository.url)) == 0
    assert "model pump 1.0.0: active" in capsys.readouterr().out
    assert Shelf(tmp_path / "state" / "models").active_id("pump")
    assert [(line["kind"], line["record"]["event"]) for line in cloud.lines] == [
        ("event", "open"),
        ("update", "activated"),
    ]
    assert waiting(tmp_path) == 0


def test_what_cannot_be_sent_is_told_and_waits(tmp_path: Path, cloud: Cloud, capsys) -> None:
    vendor = Vendor(tmp_path / "vendor")
    cloud.faults += ["403"]
    with RepositoryServer(vendor.repo) as repository:
        assert call(configure(tmp_path, cloud, vendor, repository.url)) == 0
    assert "records not sent: the server answered 403" in capsys.readouterr().err
    assert waiting(tmp_path) == 1
