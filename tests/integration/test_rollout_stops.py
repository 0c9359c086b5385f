"""A bad model released to 5 % of a fleet: it stops itself on every device that took it, and the publisher sees it.

The repository, the metadata, the shelves, the engines and the server are real; the devices share one process.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from edgead.agent.groups import MODELS
from edgead.agent.uplink import record
from edgead.config import UplinkConfig
from edgead.package import read_package
from edgead.store import OutboxRow
from edgead.uplink.forward import Forwarder, poster
from edgead.uplink.web import Web
from tests import packages
from tests.integration.test_rollout import NERVOUS, NERVOUS_ID, WINDOW, Device
from tests.server_process import ServerProcess
from tests.uplink import Gateway, Vendor

pytestmark = pytest.mark.campaign

FLEET = 1000 if os.environ.get("EDGEAD_SOAK") else 100
SHARE = 0.05


class Records:
    """Outcomes of one device, as its outbox would hold them."""

    def __init__(self, device: Device) -> None:
        bodies = [record("update", msgspec.json.encode(update)) for update in device.updates]
        self._rows = [OutboxRow(seq, body, device.now_ns) for seq, body in enumerate(bodies, 1)]

    def last_seq(self) -> int:
        return len(self._rows)

    def peek(self, *, after: int, through: int, limit: int) -> Sequence[OutboxRow]:
        return [row for row in self._rows if after < row.seq <= through][:limit]


def test_a_bad_model_stops_itself_on_every_device_and_the_publisher_sees_it(tmp_path: Path) -> None:
    vendor = Vendor(tmp_path / "vendor")
    release = vendor.add(NERVOUS, share=SHARE)
    names = [f"gw{number}" for number in range(FLEET)]
    takers = {}
    for name in names:
        gateway = Gateway(tmp_path / name, vendor.first_root, name=name)
        gateway.shelf.propose(packages.variant(1))
        if gateway.sync(vendor.repo, activate=False).state == "offered":
            takers[name] = gateway
    assert 0 < len(takers) < 3 * SHARE * FLEET
    with ServerProcess(tmp_path) as server:
        web = Web(UplinkConfig())
        for name, gateway in takers.items():
            device = Device(gateway.folder)
            device.start()
            device.run(2 * WINDOW)
            assert device.active == "pump@1.0.1"
            assert [event for event, _ in device.story] == ["offered", "rejected"]
            post = poster(web, server.url, name)
            sent = Forwarder(Records(device), post, gateway.folder / "uplink", lambda seqs: None).run()
            assert (sent.state, sent.accepted) == ("done", 2)
            # it is not offered again: not by the next sync, nor when the release grows
            assert gateway.sync(vendor.repo, activate=False).taken == []
            assert (gateway.folder / MODELS / "pump" / f"{NERVOUS_ID}.zip").exists() is False
        web.close()
        (seen,) = server.ask("GET", "/edgead/v1/updates?model=pump").json()["updates"]
    assert (seen["version"], seen["id"]) == (read_package(NERVOUS).manifest.version, NERVOUS_ID)
    assert seen["counts"] == {"offered": len(takers), "rejected": len(takers)}
    assert {each["device"] for each in seen["turnedDown"]} == set(takers)
    assert all("too many alarms" in each["reason"] for each in seen["turnedDown"])
    # the publisher takes it back, and nobody else ever gets it
    vendor.publisher.revoke(release.target)
    other = next(name for name in names if name not in takers)
    gateway = Gateway(tmp_path / other, b"", name=other)
    assert gateway.sync(vendor.repo, activate=False, only="pump").taken == []
