"""What a hostile network, mirror or key thief can try: each refused by its name, and nothing changed on the device."""

import json
import shutil
import time
from pathlib import Path

import msgspec
import pytest
from tuf.api.metadata import TargetFile

from edgead.registry.trial import run_trial
from edgead.uplink import fetch
from edgead.uplink.publish.publisher import _named
from edgead.uplink.record import read_record
from edgead.uplink.sync import SyncOutcome
from tests import packages
from tests.uplink import Authority, Gateway, Handler, RepositoryServer, Vendor, passed

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    vendor = Vendor(tmp_path / "vendor")
    vendor.add(packages.PUMP)
    return vendor


@pytest.fixture
def server(vendor: Vendor):
    with RepositoryServer(vendor.repo) as server:
        yield server


@pytest.fixture
def device(vendor: Vendor, server: RepositoryServer, tmp_path: Path) -> Gateway:
    """A device that has the first model."""
    device = Gateway(tmp_path / "state", vendor.first_root)
    assert device.sync(server.url).state == "installed"
    return device


def refused(device: Gateway, url: str, reason: str, **options: object) -> SyncOutcome:
    """One sync, which must be refused by this name, change nothing, and be told afterwards."""
    before = device.state()
    outcome = device.sync(url, **options)
    assert (outcome.state, [each.reason for each in outcome.refused]) == ("refused", [reason]), outcome
    assert outcome.exit_code == 3
    assert device.state() == before
    record = read_record(device.folder)
    assert record.refused[0].reason == reason
    assert any(reason in trouble for trouble in record.troubles(time.time()))
    return outcome


def healed(device: Gateway, url: str, identity: str) -> None:
    """Afterwards the honest repository is taken again."""
    outcome = device.sync(url)
    assert outcome.exit_code == 0, outcome
    assert device.active() == identity
    assert not read_record(device.folder).troubles(time.time())


def test_rollback(vendor: Vendor, server: RepositoryServer, device: Gateway, tmp_path: Path):
    old = tmp_path / "old"
    shutil.copytree(vendor.repo, old)
    new = vendor.add(packages.variant(1))
    device.sync(server.url)
    server.folder = old
    refused(device, server.url, "rollback")
    server.folder = vendor.repo
    healed(device, server.url, new.terms.id)


def test_rollback_of_the_targets_under_a_new_timestamp(
    vendor: Vendor, server: RepositoryServer, device: Gateway
):
    vendor.add(packages.variant(1))
    device.sync(server.url)
    publisher = vendor.publisher
    now = publisher._load()
    now.snapshot.signed.version = 1  # the thief of the online keys names an older list
    now.snapshot.signed.meta["targets.json"].version = 1
    now.timestamp.signed.version += 1
    publisher._write_down(now, (now.root.signed,), ("timestamp",))
    data = publisher._sign(now.root.signed, now.snapshot)
    vendor.metadata("1.snapshot.json").write_bytes(data)
    now.timestamp.signed.snapshot_meta = _named(1, data)
    publisher._write_down(now, (now.root.signed,), ("timestamp",))
    refused(device, server.url, "rollback")


def test_freeze(tmp_path: Path):
    vendor = Vendor(tmp_path / "vendor", begun=-40)
    vendor.add(packages.PUMP)
    device = Gateway(tmp_path / "state", vendor.first_root)
    with RepositoryServer(vendor.repo) as server:
        refused(device, server.url, "freeze")
        vendor.shift = 0
        vendor.publisher.refresh()
        healed(device, server.url, vendor.publisher.status().releases[0].terms.id)


def test_freeze_of_a_device_that_had_it_all(
    vendor: Vendor, server: RepositoryServer, device: Gateway, monkeypatch: pytest.MonkeyPatch
):
    """The model keeps running on what has ended, and status says so."""
    active = device.active()
    now = passed(monkeypatch, days=31)
    outcome = refused(device, server.url, "freeze", now=now)
    assert outcome.refused[0].target == "timestamp.json"
    assert outcome.expired
    assert device.active() == active
    assert any("keep running" in each for each in read_record(device.folder).troubles(now()))
    vendor.shift = 31
    vendor.publisher.refresh()
    assert device.sync(server.url, now=now).exit_code == 0


def test_mix_and_match(vendor: Vendor, server: RepositoryServer, device: Gateway):
    vendor.add(packages.variant(1))
    old = vendor.metadata("2.snapshot.json").read_bytes()
    server.rules[r"/3\.snapshot\.json"] = lambda handler: handler.give(old)
    refused(device, server.url, "mix-and-match")
    del server.rules[r"/3\.snapshot\.json"]
    old_targets = vendor.metadata("2.targets.json").read_bytes()
    server.rules[r"/3\.targets\.json"] = lambda handler: handler.give(old_targets)
    refused(device, server.url, "mix-and-match")


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.over.is_set():
        handler.wfile.write(b" " * 65536)


def test_endless_data(vendor: Vendor, server: RepositoryServer, device: Gateway):
    vendor.add(packages.variant(1))
    for name in ("timestamp", "3.snapshot", "3.targets"):
        server.rules = {rf"/{name}\.json": endless}
        refused(device, server.url, "endless-data")
    server.rules = {r"/2\.root\.json": endless}
    refused(device, server.url, "endless-data")
    server.rules = {r"/targets/": endless}
    refuse_target(device, server.url, "wrong-length")


def refuse_target(device: Gateway, url: str, reason: str) -> None:
    """As `refused`, for a target: what is trusted is newer then, the models are as before."""
    models = device.active(), [each.manifest.id for each in device.shelf.packages()]
    outcome = device.sync(url)
    assert (outcome.state, [each.reason for each in outcome.refused]) == ("refused", [reason]), outcome
    assert (device.active(), [each.manifest.id for each in device.shelf.packages()]) == models
    assert not device.shelf.candidates()
    assert read_record(device.folder).refused[0].reason == reason


def trickle(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "400")
    handler.end_headers()
    while not handler.server.over.wait(0.1):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def trickled_head(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
    while not handler.server.over.wait(0.1):
        handler.wfile.write(b"x")
        handler.wfile.flush()


@pytest.mark.parametrize("way", [trickle, trickled_head])
def test_slow_retrieval_of_metadata(way, server: RepositoryServer, device: Gateway):
    server.rules[r"timestamp"] = way
    began = time.monotonic()
    refused(device, server.url, "slow", refresh_s=1.5)
    assert time.monotonic() - began < 20


def test_slow_retrieval_of_a_model_is_refused_and_resumed(
    vendor: Vendor, server: RepositoryServer, device: Gateway, monkeypatch: pytest.MonkeyPatch
):
    new = vendor.add(packages.variant(1))
    monkeypatch.setattr(fetch, "GRACE_S", 1.0)
    data = packages.variant(1)

    def slowly(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data[:100])
        for at in range(100, len(data), 10):
            handler.wfile.write(data[at : at + 10])
            handler.wfile.flush()
            if handler.server.over.wait(0.1):
                return

    server.rules[r"/targets/"] = slowly
    refuse_target(device, server.url, "slow")
    server.rules.clear()
    healed(device, server.url, new.terms.id)
    asked = server.requests[-1][1]["Range"]
    assert 100 <= int(asked.removeprefix("bytes=").rstrip("-")) < len(data)


def test_changed_bytes(vendor: Vendor, server: RepositoryServer, device: Gateway):
    new = vendor.add(packages.variant(1))
    data = bytearray(packages.variant(1))
    data[1000] ^= 1
    server.rules = {r"/targets/": lambda handler: handler.give(bytes(data))}
    refuse_target(device, server.url, "changed-bytes")
    server.rules.clear()
    healed(device, server.url, new.terms.id)


@pytest.mark.parametrize("name", ["timestamp.json", "3.snapshot.json", "3.targets.json"])
def test_changed_bytes_of_metadata(name: str, vendor: Vendor, server: RepositoryServer, device: Gateway):
    vendor.add(packages.variant(1))
    vendor.edit(name, lambda signed: signed.update(expires="2039-01-01T00:00:00Z"))
    refused(device, server.url, "changed-bytes")


def test_wrong_length(vendor: Vendor, server: RepositoryServer, device: Gateway):
    vendor.add(packages.variant(1))
    data = packages.variant(1)
    server.rules = {r"/targets/": lambda handler: handler.give(data[:-1])}
    refuse_target(device, server.url, "wrong-length")
    server.rules = {r"/targets/": lambda handler: handler.give(data + b"!")}
    refuse_target(device, server.url, "wrong-length")


def test_unknown_key(vendor: Vendor, server: RepositoryServer, device: Gateway, tmp_path: Path):
    other = Vendor(tmp_path / "other")
    for _ in range(3):
        other.publisher.refresh()
    server.folder = other.repo
    refused(device, server.url, "unknown-key")


def test_root_of_an_unknown_key(vendor: Vendor, server: RepositoryServer, device: Gateway, tmp_path: Path):
    other = Vendor(tmp_path / "other")
    other.publisher.rotate("timestamp")
    server.folder = other.repo
    refused(device, server.url, "unknown-key")


def test_below_threshold(vendor: Vendor, server: RepositoryServer, device: Gateway):
    vendor.publisher.rotate("timestamp")
    path = vendor.metadata("2.root.json")
    told = json.loads(path.read_bytes())
    del told["signatures"][1:]
    path.write_text(json.dumps(told))
    refused(device, server.url, "below-threshold")


def test_a_signature_counts_once_however_often_it_is_there(
    vendor: Vendor, server: RepositoryServer, device: Gateway
):
    vendor.publisher.rotate("timestamp")
    path = vendor.metadata("2.root.json")
    told = json.loads(path.read_bytes())
    told["signatures"] = [told["signatures"][0]] * 3
    path.write_text(json.dumps(told))
    refused(device, server.url, "bad-metadata")


def test_expired_root(tmp_path: Path):
    days = {"root": 1, "targets": 365, "snapshot": 90, "timestamp": 30}
    vendor = Vendor(tmp_path / "vendor", begun=-2, days=days)
    vendor.shift = 0
    vendor.publisher.refresh()
    device = Gateway(tmp_path / "state", vendor.first_root)
    with RepositoryServer(vendor.repo) as server:
        outcome = refused(device, server.url, "expired")
        assert outcome.refused[0].target == "root.json"
        vendor.publisher.rotate("root")
        assert device.sync(server.url).exit_code == 0


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_fast_forward(role: str, vendor: Vendor, server: RepositoryServer, device: Gateway, tmp_path: Path):
    honest = tmp_path / "honest"
    shutil.copytree(vendor.repo, honest)
    vendor.jump(role, 10**6)
    refused(device, server.url, "fast-forward")
    server.folder = honest
    assert device.sync(server.url).exit_code == 0


def test_fast_forward_that_was_believed_ends_with_new_online_keys(
    vendor: Vendor, server: RepositoryServer, device: Gateway, tmp_path: Path
):
    honest = vendor.copy(tmp_path / "honest")
    for role in ("timestamp", "snapshot"):
        vendor.jump(role, 90_000)
    assert device.sync(server.url).exit_code == 0  # within what a busy publisher may do
    server.folder = honest.repo
    refused(device, server.url, "rollback")
    for role in ("snapshot", "timestamp"):
        honest.publisher.rotate(role)
    new = honest.add(packages.variant(1))
    healed(device, server.url, new.terms.id)


def test_a_signed_time_of_the_far_future_does_not_lock_a_device_out(
    vendor: Vendor, server: RepositoryServer, device: Gateway, tmp_path: Path
):
    honest = vendor.copy(tmp_path / "honest")
    vendor.shift = 40  # the online keys' thief, or a machine with a wrong clock
    vendor.publisher.refresh()
    assert device.sync(server.url).exit_code == 0
    server.folder = honest.repo
    honest.publisher.refresh()
    honest.publisher.refresh()
    refused(device, server.url, "freeze")
    honest.publisher.rotate("timestamp")
    new = honest.add(packages.variant(1))
    healed(device, server.url, new.terms.id)


def test_a_target_for_another_group(vendor: Vendor, server: RepositoryServer, device: Gateway):
    before = device.active()
    release = vendor.add(packages.variant(1), groups=["presses"])
    outcome = device.sync(server.url)
    assert (outcome.state, device.active()) == ("current", before)
    assert not any("/targets/" in path for path in server.paths()[2:] if release.sha256 in path)
    assert read_record(device.folder).left == ["pump 1.0.1: for presses, and this device is in no group"]
    device.config["group"] = "presses"
    healed(device, server.url, release.terms.id)


def test_a_target_for_another_group_that_is_asked_for(
    vendor: Vendor, server: RepositoryServer, device: Gateway
):
    name = {"name": "press"}
    press = packages.with_manifest(lambda manifest: manifest.update(**name))
    vendor.add(press, groups=["presses"])
    device.sync(server.url)
    outcome = refused(device, server.url, "not-for-us", only="press")
    assert "for presses" in outcome.refused[0].detail
    refused(device, server.url, "not-for-us", only="pomp")


def test_the_package_of_another_group_under_our_name(
    vendor: Vendor, server: RepositoryServer, device: Gateway
):
    vendor.add(packages.variant(1))
    other = vendor.add(packages.variant(2), groups=["presses"])
    size = len(packages.variant(1))
    server.rules[r"pump-1\.0\.1"] = lambda handler: handler.give(
        (vendor.repo / "targets" / other.file).read_bytes().ljust(size)[:size]
    )
    refuse_target(device, server.url, "changed-bytes")


def test_a_package_that_verifies_but_fails_the_trial_run(
    vendor: Vendor, server: RepositoryServer, device: Gateway
):
    device.shelf._trial = run_trial
    bad = packages.with_file("selftest.npz", packages.arrays_with(scores=packages.wrong_scores()))
    vendor.add(bad)
    refuse_target(device, server.url, "trial")
    asked = len([path for path in server.paths() if "/targets/" in path])
    outcome = device.sync(server.url)
    assert outcome.state == "current"  # told before, and not fetched again
    assert len([path for path in server.paths() if "/targets/" in path]) == asked
    new = vendor.add(packages.variant(1))
    healed(device, server.url, new.terms.id)


@pytest.mark.parametrize(
    "target",
    [
        "../../etc/passwd",
        "models/../../x.zip",
        "/etc/passwd",
        "models/",
        "models//x",
        "other/x",
        "models/a b",
    ],
)
def test_a_target_name_that_leads_elsewhere(
    target: str, vendor: Vendor, server: RepositoryServer, device: Gateway
):
    before = device.active()
    vendor.release_unchecked(
        packages.variant(1), target=target, name="pump", version="1.0.1", id=packages.id_of(1)
    )
    outcome = device.sync(server.url)
    assert [each.reason for each in outcome.refused] == ["target-name"]
    assert device.active() == before
    new = vendor.add(packages.variant(2))  # the others are not held up by it
    device.sync(server.url)
    assert device.active() == new.terms.id


@pytest.mark.parametrize("name", ["../pump", "", "a/b", "." + "x" * 90])
def test_a_model_name_that_leads_elsewhere(
    name: str, vendor: Vendor, server: RepositoryServer, device: Gateway
):
    target = "models/pump-9.zip"
    vendor.release_unchecked(packages.variant(1), target=target, name=name, version="1.0.1", id="x")
    before = device.state()
    outcome = device.sync(server.url)
    assert [each.reason for each in outcome.refused] == ["target-name"]
    assert {key: value for key, value in device.state().items() if "models" in key} == {
        key: value for key, value in before.items() if "models" in key
    }


def test_terms_that_make_no_sense(vendor: Vendor, server: RepositoryServer, device: Gateway):
    for terms in ({"name": "pump"}, {"name": "pump", "id": "x", "kind": "firmware"}, {"name": 5, "id": "x"}):
        vendor.release_unchecked(b"x", target="models/x.zip", **terms)
        assert [each.reason for each in device.sync(server.url).refused] == ["bad-metadata"]


@pytest.mark.parametrize("target", ["models/" + "x" * 700_000, "models/x.zip"])
def test_a_list_of_long_or_many_bad_targets_locks_no_device_out(
    target: str, vendor: Vendor, server: RepositoryServer, device: Gateway
):
    publisher = vendor.publisher
    now = publisher._load()
    for number in range(2 if len(target) > 100 else 3000):
        custom = {"kind": "firmware" + "y" * 200, "name": "x", "id": "x", "release": 1}
        path = f"{target[:-4]}{number}.zip"
        now.targets.signed.targets[path] = TargetFile(1, {"sha256": "0" * 64}, path, {"custom": custom})
    publisher._release(now, targets=True)
    outcome = device.sync(server.url)
    assert outcome.state == "refused"
    assert len(msgspec.json.encode(outcome)) < 40_000  # a line of the uplink's process
    assert (device.folder / "uplink" / "sync.json").stat().st_size < 40_000
    for path in list(now.targets.signed.targets):
        if path.startswith(target[:-4]):
            del now.targets.signed.targets[path]
    publisher._release(now, targets=True)
    assert device.sync(server.url).state == "current"


def test_zip_bomb(vendor: Vendor, server: RepositoryServer, device: Gateway):
    bomb = packages.zip_of({**packages.files_of(), "zeros": b"\0" * 2**23})
    vendor.release_unchecked(bomb, target="models/pump-9.9.9-x.zip", name="pump", version="9.9.9", id="x")
    refuse_target(device, server.url, "package")
    assert "zip bomb" in read_record(device.folder).refused[0].detail


def test_another_package_than_its_terms_say(vendor: Vendor, server: RepositoryServer, device: Gateway):
    press = packages.with_manifest(lambda manifest: manifest.update(name="press"))
    vendor.release_unchecked(press, target="models/pump-2.0.0-x.zip", name="pump", version="2.0.0", id="x")
    refuse_target(device, server.url, "package")


def test_a_package_larger_than_any(vendor: Vendor, server: RepositoryServer, device: Gateway):
    target = "models/pump-9.9.9-x.zip"
    vendor.release_unchecked(b"\0" * (2**24 + 1), target=target, name="pump", version="9.9.9", id="x")
    sent = server.sent
    refuse_target(device, server.url, "package")
    assert server.sent - sent < 100_000


def test_redirect_to_another_host(vendor: Vendor, server: RepositoryServer, device: Gateway, tmp_path: Path):
    with RepositoryServer(vendor.repo) as other:
        for where in (other.url, "http://localhost:1/", "https://127.0.0.1/", "//evil.example/", ""):
            server.rules[r"timestamp"] = lambda handler, where=where: handler.give(
                b"", status=302, headers={"Location": f"{where}metadata/timestamp.json" if where else ""}
            )
            refused(device, server.url, "redirect")
        assert not other.requests


def test_redirect_on_the_same_host_is_followed_three_times_at_most(server: RepositoryServer, device: Gateway):
    def elsewhere(handler: Handler) -> None:
        if "/moved" in handler.path:
            handler.path = handler.path.replace("/moved", "")
            handler.give_file()
        else:
            handler.give(b"", status=307, headers={"Location": f"/moved{handler.path}"})

    server.rules[r"timestamp"] = elsewhere
    assert device.sync(server.url).exit_code == 0
    server.rules[r"timestamp"] = lambda handler: handler.give(
        b"", status=301, headers={"Location": handler.path}
    )
    refused(device, server.url, "redirect")


def test_wrong_tls_certificate(vendor: Vendor, device: Gateway, tmp_path: Path):
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    device.config["ca"] = str(ours.file)
    wrong = {
        "unknown authority": (theirs, theirs.issue("server")),
        "another host": (ours, ours.issue("other", host="evil.example")),
        "ended": (ours, ours.issue("old", days=-3)),
    }
    for authority, certificate in wrong.values():
        with RepositoryServer(vendor.repo, authority.server(certificate)) as server:
            refused(device, server.url, "tls")
            assert not server.requests
    with RepositoryServer(vendor.repo, ours.server(ours.issue("right"))) as server:
        assert device.sync(server.url).exit_code == 0
    with RepositoryServer(vendor.repo, ours.server(ours.issue("mutual"), clients=True)) as server:
        # TLS 1.3: the server's alert comes after our part of the handshake, or the end of the connection before it
        assert device.sync(server.url).exit_code in (3, 4)
        device.config["client_cert"] = str(ours.issue("device"))
        assert device.sync(server.url).exit_code == 0
