"""A device and an honest repository: what is asked, taken, kept and told."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgead.cli import call
from edgead.config import load
from edgead.errors import ConfigError, UplinkError
from edgead.store import Store, StoreLimits
from edgead.uplink.disk import alone, folder_in
from edgead.uplink.fragments import FragmentFolder
from edgead.uplink.reasons import Refused
from edgead.uplink.record import read_record
from edgead.uplink.trust import give_root
from tests import packages
from tests.uplink import Gateway, Handler, RepositoryServer, Vendor

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path / "vendor")


@pytest.fixture
def device(vendor: Vendor, tmp_path: Path) -> Gateway:
    return Gateway(tmp_path / "state", vendor.first_root)


def test_a_sync_without_news_asks_for_two_files(vendor: Vendor, device: Gateway):
    vendor.add(packages.PUMP)
    with RepositoryServer(vendor.repo) as server:
        assert device.sync(server.url).state == "installed"
        server.requests.clear()
        outcome = device.sync(server.url)
        assert (outcome.state, outcome.requests) == ("current", 2)
        assert server.paths() == ["/metadata/2.root.json", "/metadata/timestamp.json"]
        assert outcome.received < 1000
        assert server.connections == 2  # one a sync
        heads = server.requests[0][1]
        assert heads["Accept-Encoding"] == "identity"
        assert "Authorization" not in heads


def test_what_is_new_is_fetched_once(vendor: Vendor, device: Gateway):
    vendor.add(packages.PUMP)
    with RepositoryServer(vendor.repo) as server:
        outcome = device.sync(server.url)
        assert [(each.name, each.version, each.state) for each in outcome.taken] == [
            ("pump", "1.0.0", "installed")
        ]
        new = vendor.add(packages.variant(1))
        told: list[str] = []
        outcome = device.sync(server.url, progress=told.append)
        assert (outcome.state, device.active()) == ("installed", new.terms.id)
        assert told[0] == "refreshing what is trusted"
        assert {"downloading pump 1.0.1", "downloading pump 1.0.1 100 %", "trying pump 1.0.1"} <= set(told)
        assert len([path for path in server.paths() if "/targets/" in path]) == 2


def test_while_an_agent_runs_a_model_waits_and_is_not_fetched_again(vendor: Vendor, device: Gateway):
    vendor.add(packages.PUMP)
    device.sync(vendor.repo)
    old = device.active()
    new = vendor.add(packages.variant(1))
    outcome = device.sync(vendor.repo, activate=False)
    assert (outcome.state, device.active()) == ("offered", old)
    assert [(each.name, each.id) for each in device.shelf.candidates()] == [("pump", new.terms.id)]
    with RepositoryServer(vendor.repo) as server:
        assert device.sync(server.url, activate=False).state == "current"
        outcome = device.sync(server.url)  # the agent has ended meanwhile
        assert (outcome.state, device.active()) == ("installed", new.terms.id)
        assert not any("/targets/" in path for path in server.paths())


def test_what_the_device_rejected_is_not_offered_again(vendor: Vendor, device: Gateway):
    first = vendor.add(packages.PUMP)
    device.sync(vendor.repo)
    bad = vendor.add(packages.variant(1))
    device.sync(vendor.repo, activate=False)
    device.shelf.reject("pump", bad.terms.id, "too many alarms")
    with RepositoryServer(vendor.repo) as server:
        assert device.sync(server.url, activate=False).state == "current"
        assert not any("/targets/" in path for path in server.paths())
    assert device.active() == first.terms.id
    better = vendor.add(packages.variant(2))
    assert device.sync(vendor.repo).state == "installed"
    assert device.active() == better.terms.id


def test_what_was_rolled_back_stays_rolled_back(vendor: Vendor, device: Gateway):
    first = vendor.add(packages.PUMP)
    device.sync(vendor.repo)
    vendor.add(packages.variant(1))
    device.sync(vendor.repo)
    device.shelf.roll_back("pump")  # an operator, by hand
    assert device.sync(vendor.repo).state == "current"
    assert device.active() == first.terms.id
    assert device.sync(vendor.repo, only="pump").state == "installed"  # and asks for it again, by name


def test_a_network_waits_beside_the_shipped_one_and_who_went_back_to_that_is_left_alone(
    vendor: Vendor, device: Gateway
):
    vendor.add(packages.network(2))
    assert device.sync(vendor.repo, activate=False).state == "offered"
    assert (device.shelf.active_id("srcnn"), len(device.shelf.candidates())) == ("", 1)
    assert device.sync(vendor.repo).state == "installed"  # without an agent nobody can compare
    assert device.shelf.roll_back("srcnn").version == "1.0.0"
    assert device.sync(vendor.repo).state == "current"
    assert device.shelf.active_id("srcnn") == ""
    assert device.sync(vendor.repo, only="srcnn").state == "installed"


def test_a_revoked_release_gives_way_to_the_one_before(vendor: Vendor, device: Gateway):
    first = vendor.add(packages.PUMP)
    device.sync(vendor.repo)
    bad = vendor.add(packages.variant(1))
    device.sync(vendor.repo)
    vendor.publisher.revoke(bad.target)
    assert device.sync(vendor.repo).state == "installed"
    assert device.active() == first.terms.id
    vendor.publisher.revoke(first.target)
    assert device.sync(vendor.repo).state == "current"  # nothing is left for it: it runs on
    assert device.active() == first.terms.id


def test_what_waits_and_is_revoked_does_not_become_active(vendor: Vendor, device: Gateway):
    first = vendor.add(packages.PUMP)
    device.sync(vendor.repo)
    bad = vendor.add(packages.variant(1))
    device.sync(vendor.repo, activate=False)
    device.shelf.propose(
        packages.with_manifest(lambda manifest: manifest.update(name="press")), note="by hand"
    )
    vendor.publisher.revoke(bad.target)
    assert device.sync(vendor.repo, activate=False).state == "current"
    assert (device.active(), device.shelf.candidates()) == (first.terms.id, [])
    assert device.shelf.rejections("pump") == ()  # nobody judged it


def test_what_was_taken_back_while_it_waited_is_taken_when_it_is_released_again(
    vendor: Vendor, device: Gateway
):
    vendor.add(packages.PUMP)
    device.sync(vendor.repo)
    wrong = vendor.add(packages.variant(1), groups=[])
    assert device.sync(vendor.repo, activate=False).state == "offered"
    vendor.publisher.revoke(wrong.target)
    assert device.sync(vendor.repo, activate=False).state == "current"
    assert device.shelf.candidates() == []
    vendor.add(packages.variant(1), share=1.0)
    assert device.sync(vendor.repo, activate=False).state == "offered"
    assert [each.id for each in device.shelf.candidates()] == [wrong.terms.id]


@pytest.mark.parametrize("left", [b"", b"PK\x03\x04 half of it"])
def test_what_waits_and_was_damaged_on_disk_is_fetched_again(vendor: Vendor, device: Gateway, left: bytes):
    vendor.add(packages.PUMP)
    device.sync(vendor.repo)
    new = vendor.add(packages.variant(1))
    device.sync(vendor.repo, activate=False)
    file = device.folder / "models" / "pump" / f"{new.terms.id}.zip"
    whole = file.read_bytes()
    file.write_bytes(left)
    assert device.sync(vendor.repo, activate=False).state == "current"  # it waits, as before
    assert file.read_bytes() == whole
    file.write_bytes(left)
    assert device.sync(vendor.repo).state == "installed"
    assert device.active() == new.terms.id


@pytest.mark.parametrize("file", ["{id}.zip", "active"])
def test_what_is_active_and_was_damaged_on_disk_is_fetched_again(vendor: Vendor, device: Gateway, file: str):
    first = vendor.add(packages.PUMP)
    device.sync(vendor.repo)
    path = device.folder / "models" / "pump" / file.format(id=first.terms.id)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + b"\xff" * 9)
    assert device.sync(vendor.repo, activate=False).state == "installed"
    assert path.read_bytes() == whole
    assert device.shelf.active("pump").manifest.id == first.terms.id
    assert device.sync(vendor.repo).state == "current"


def test_an_unusable_certificate_is_told_by_status(vendor: Vendor, tmp_path: Path):
    (tmp_path / "ca.pem").write_text("hello")
    device = Gateway(tmp_path / "state", vendor.first_root, ca=str(tmp_path / "ca.pem"))
    with pytest.raises(UplinkError, match="no usable certificate"):
        device.sync("https://127.0.0.1:9/")
    assert "no usable certificate" in read_record(device.folder).troubles(time.time())[0]


def test_a_rollout_that_grows_reaches_the_device(vendor: Vendor, tmp_path: Path):
    vendor.add(packages.PUMP)
    gateways = [
        Gateway(tmp_path / f"gw{number}", vendor.first_root, name=f"gw{number}") for number in range(1, 3)
    ]
    new = vendor.add(packages.variant(1), share=0.3)  # the places of gw1 and gw2 are 0.90 and 0.25
    for gateway in gateways:
        gateway.sync(vendor.repo)
    assert [gateway.active() == new.terms.id for gateway in gateways] == [False, True]
    assert "30.000% of the devices" in read_record(gateways[0].folder).left[0]
    vendor.publisher.rollout("pump 1.0.1", share=0.95)
    for gateway in gateways:
        gateway.sync(vendor.repo)
    assert [gateway.active() == new.terms.id for gateway in gateways] == [True, True]


def test_a_newer_edgead_only(vendor: Vendor, device: Gateway):
    vendor.add(packages.PUMP, minimum_edgead="99.0.0")
    assert device.sync(vendor.repo).state == "current"
    assert "needs edgead 99.0.0" in read_record(device.folder).left[0]


def test_a_broken_download_goes_on_where_it_broke_off(vendor: Vendor, device: Gateway):
    vendor.add(packages.PUMP)
    cut_at = iter([50_000, 120_000, 200_000])

    def broken(handler: Handler) -> None:
        at = next(cut_at, None)
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        if at is None:
            handler.give_file()
            return
        told = {"Content-Range": f"bytes {start}-{len(packages.PUMP) - 1}/{len(packages.PUMP)}"}
        body = packages.PUMP[start:at]
        handler.give(body, status=206 if start else 200, headers=told, length=len(packages.PUMP) - start)
        handler.close_connection = True

    with RepositoryServer(vendor.repo) as server:
        server.rules[r"/targets/"] = broken
        for _ in range(3):
            assert device.sync(server.url).state == "unreachable"
        assert device.sync(server.url).state == "installed"
        ranges = [headers.get("Range") for path, headers in server.requests if "/targets/" in path]
        assert ranges == [None, "bytes=50000-", "bytes=120000-", "bytes=200000-"]
        assert server.sent < 1.2 * len(packages.PUMP)


def test_a_server_that_knows_no_ranges_and_one_that_answers_another(vendor: Vendor, device: Gateway):
    vendor.add(packages.PUMP)
    part = packages.PUMP[:70_000]

    def half(handler: Handler) -> None:
        handler.give(part, length=len(packages.PUMP))
        handler.close_connection = True

    with RepositoryServer(vendor.repo) as server:
        server.rules[r"/targets/"] = half
        device.sync(server.url)
        other = {"Content-Range": f"bytes 5-{len(packages.PUMP) - 1}/{len(packages.PUMP)}"}
        server.rules[r"/targets/"] = lambda handler: handler.give(
            packages.PUMP[5:], status=206, headers=other
        )
        assert device.sync(server.url).state == "unreachable"
        server.rules[r"/targets/"] = lambda handler: handler.give(packages.PUMP)  # all of it, status 200
        assert device.sync(server.url).state == "installed"


def test_two_syncs_at_a_time(vendor: Vendor, device: Gateway):
    with alone(folder_in(device.folder)), pytest.raises(UplinkError, match="another sync is running"):
        device.sync(vendor.repo)


def test_no_address(device: Gateway):
    with pytest.raises(UplinkError, match="no address"):
        device.sync("")


def test_a_stick_without_a_repository(device: Gateway, tmp_path: Path):
    (tmp_path / "stick").mkdir()
    outcome = device.sync(tmp_path / "stick")
    assert (outcome.state, "no repository" in outcome.detail) == ("unreachable", True)


# ------------------------------------------------------------------ the root of trust


def test_trust_begins_with_a_root_from_elsewhere(vendor: Vendor, tmp_path: Path):
    device = Gateway(tmp_path / "state", b"")
    outcome = device.sync(vendor.repo)
    assert [each.reason for each in outcome.refused] == ["no-root"]
    folder = folder_in(device.folder)
    digest = hashlib.sha256(vendor.first_root).hexdigest()
    with pytest.raises(Refused, match=f"its SHA-256 is {digest}, expected 00"):
        give_root(folder, vendor.first_root, "00")
    timestamp = vendor.metadata("timestamp.json").read_bytes()
    for wrong in (b"", b"{}", timestamp, vendor.first_root.replace(b'"version":1', b'"version":2')):
        with pytest.raises(Refused, match="no-root"):
            give_root(folder, wrong, hashlib.sha256(wrong).hexdigest())
    assert not (folder / "root.json").exists()
    give_root(folder, vendor.first_root, digest.upper())
    assert device.sync(vendor.repo).exit_code == 0


def test_the_root_of_the_image_and_what_was_learned_since(vendor: Vendor, tmp_path: Path):
    image = tmp_path / "root.json"
    image.write_bytes(vendor.first_root)
    device = Gateway(tmp_path / "state", b"", root=str(image))
    assert device.sync(vendor.repo).versions["root"] == 1
    vendor.publisher.rotate("timestamp")
    assert device.sync(vendor.repo).versions["root"] == 2
    second = vendor.metadata("2.root.json").read_bytes()
    vendor.publisher.rotate("timestamp")
    assert device.sync(vendor.repo).versions["root"] == 3
    image.write_bytes(second)  # an image update with a root of the same chain: nothing is forgotten
    assert device.sync(vendor.repo).versions["root"] == 3
    other = Vendor(tmp_path / "other")
    assert device.sync(other.repo).exit_code == 3
    image.write_bytes(other.first_root)  # another vendor's image: its root counts
    assert device.sync(other.repo).exit_code == 0
    assert device.sync(vendor.repo).exit_code == 3


# ------------------------------------------------------------------ config fragments

FRAGMENT = b'[[series]]\ntopic = "press/{variable}"\nid = "press.{variable}"\n'


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    path = tmp_path / "gw.toml"
    path.write_text(
        f'[node]\nstate_dir = "{tmp_path / "state"}"\n[[series]]\ntopic = "own/topic"\nid = "own"\n'
    )
    return path


def test_a_fragment_is_checked_kept_and_taken_back(vendor: Vendor, device: Gateway, config_file: Path):
    folder = FragmentFolder(config_file, device.folder)
    release = vendor.add(FRAGMENT, name="lines")
    assert release.target.startswith("config/lines-")
    assert device.sync(vendor.repo).state == "current"  # who takes no fragments leaves them alone
    outcome = device.sync(vendor.repo, fragments=folder)
    assert [(each.kind, each.name, each.state) for each in outcome.taken] == [
        ("config", "lines", "installed")
    ]
    config = load(config_file)
    assert [block.topic for block in config.series] == ["own/topic", "press/{variable}"]
    assert config.digest != load_alone(config_file)
    assert device.sync(vendor.repo, fragments=folder).state == "current"
    vendor.publisher.revoke("lines")
    device.sync(vendor.repo, fragments=folder)
    assert [block.topic for block in load(config_file).series] == ["own/topic"]


def load_alone(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("fragment", "reason"),
    [
        (b'[mqtt]\nhost = "evil.example"\n', "expected [[series]] and [[group]] blocks only"),
        (b'[uplink]\nurl = "https://evil.example"\n', "blocks only"),
        (b'[[series]]\ntopic = "own/topic"\nid = "own"\n', "each topic and value once"),
        (b'[[series]]\ntopic = "x"\nwindow = 5\n', "expected a whole number 12..8640"),
        (b'[[group]]\nid = "g"\nmodel = "/etc/x.zip"\nvariables = {a = "own"}\n', "not a path"),
        (b"series = 5\n", "expected [[series]] blocks"),
        (b"not TOML", "not TOML"),
    ],
)
def test_a_fragment_that_does_not_fit_is_refused(
    fragment: bytes, reason: str, vendor: Vendor, device: Gateway, config_file: Path
):
    vendor.add(fragment, name="bad")
    vendor.add(FRAGMENT, name="good")
    outcome = device.sync(vendor.repo, fragments=FragmentFolder(config_file, device.folder))
    assert [each.reason for each in outcome.refused] == ["fragment"]
    assert reason in outcome.refused[0].detail
    assert [each.name for each in outcome.taken] == ["good"]
    assert len(load(config_file).series) == 2


def test_a_fragment_that_no_device_would_take_is_not_released(vendor: Vendor, tmp_path: Path, capfd):
    add = [
        "publish",
        "add",
        str(tmp_path / "lines.toml"),
        "--repo",
        str(vendor.repo),
        "--keys",
        str(vendor.keys),
    ]
    for text, mistake in (
        ('[node]\nid = "gw1"\n', "lines.toml: node: expected [[series]] and [[group]] blocks only"),
        ('[[group]]\nid = "press"\nseries = "press.*"\n', "lines.toml:1: group[0].model is missing"),
        ("[[series]\n", "lines.toml:1: not TOML"),
    ):
        (tmp_path / "lines.toml").write_text(text)
        assert call(add) == 2
        assert mistake in capfd.readouterr().err
    (tmp_path / "lines.toml").write_bytes(FRAGMENT)
    assert call(add) == 0
    assert capfd.readouterr().out.startswith("released config/lines-")


def test_a_fragment_that_fits_no_more_is_left_out(vendor: Vendor, device: Gateway, config_file: Path):
    vendor.add(FRAGMENT, name="lines")
    device.sync(vendor.repo, fragments=FragmentFolder(config_file, device.folder))
    text = config_file.read_text()
    config_file.write_text(f'{text}[[series]]\ntopic = "press/{{variable}}"\n')
    config = load(config_file)
    assert len(config.series) == 2
    assert config.left_out[0].startswith("the fragment lines is left out: ")
    config_file.write_text("[[series]]\n")
    with pytest.raises(ConfigError):
        load(config_file)


# ------------------------------------------------------------------ the command


def test_the_command(vendor: Vendor, tmp_path: Path, capfd):
    config = tmp_path / "gw.toml"
    state = tmp_path / "state"
    config.write_text(f'[node]\nid = "gw1"\nstate_dir = "{state}"\n[[series]]\ntopic = "a/b"\n')
    root = tmp_path / "root.json"
    root.write_bytes(vendor.first_root)
    digest = hashlib.sha256(vendor.first_root).hexdigest()
    sync = ["sync", "-c", str(config)]
    assert call([*sync, "--once"]) == 1
    assert "no address" in capfd.readouterr().err
    assert call([*sync, "--init-root", str(root)]) == 2
    assert call([*sync, "--init-root", str(root), "--sha256", "00"]) == 1
    assert call([*sync, "--init-root", str(tmp_path / "none"), "--sha256", digest]) == 1
    assert call([*sync, "--init-root", str(root), "--sha256", digest]) == 0
    assert "root of trust: version 1, 2 signatures" in capfd.readouterr().out
    vendor.add(packages.PUMP)
    vendor.add(packages.variant(1), groups=["mills"])
    assert call([*sync, "--from", str(vendor.repo)]) == 0
    assert capfd.readouterr().out == "model pump 1.0.0: active\n"
    assert call([*sync, "--from", str(vendor.repo), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["state"] == "current"
    assert call([*sync, "--from", str(vendor.repo), "--model", "press"]) == 3
    assert "not-for-us: no release is called press" in capfd.readouterr().err
    assert call([*sync, "--from", str(tmp_path / "none")]) == 4
    assert "not reachable" in capfd.readouterr().err


def test_status_of_a_repository(vendor: Vendor, capfd):
    vendor.add(packages.PUMP, groups=["presses"], share=0.25)
    where = ["--repo", str(vendor.repo), "--keys", str(vendor.keys)]
    assert call(["publish", "status", *where]) == 0
    out = capfd.readouterr().out
    assert "2 of 3" in out
    assert "pump 1.0.0  presses  25 %" in out
    assert call(["publish", "status", *where, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["releases"][0]["terms"]["share_ppm"] == 250_000
    vendor.shift = -29
    assert call(["publish", "add", "nowhere.zip", *where]) == 1
    assert call(["publish", "add", str(vendor.metadata("timestamp.json")), *where]) == 1
    assert "not a readable zip" in capfd.readouterr().err
    assert call(["publish", "rollout", "pump", "--share", "200%", *where]) == 2
    assert call(["publish", "rollout", "mill", "--share", "20%", *where]) == 1
    assert call(["publish", "init", *where]) == 1
    assert "a repository already" in capfd.readouterr().err


def test_check_and_status_tell_of_the_uplink(vendor: Vendor, tmp_path: Path, capfd):
    config, state = tmp_path / "gw.toml", tmp_path / "state"
    config.write_text(
        f'[node]\nid = "gw1"\nstate_dir = "{state}"\n[uplink]\nrepository = "http://127.0.0.1:9/"\ngroup = "presses"\n'
        '[[series]]\ntopic = "a/b"\n'
    )
    assert call(["check", "-c", str(config)]) == 0
    out = capfd.readouterr().out
    assert "uplink   http://127.0.0.1:9/ every 6h, group presses" in out
    assert "note: no root of trust, so no model is taken" in out
    Store.open(state, StoreLimits(), now_ns=1).close()
    assert call(["status", "-c", str(config)]) == 0
    assert "uplink  no sync yet" in capfd.readouterr().out
    root = tmp_path / "root.json"
    root.write_bytes(vendor.first_root)
    digest = hashlib.sha256(vendor.first_root).hexdigest()
    call(["sync", "-c", str(config), "--init-root", str(root), "--sha256", digest])
    vendor.add(packages.PUMP)
    vendor.add(packages.variant(1), groups=["mills"])
    call(["sync", "-c", str(config), "--from", str(vendor.repo)])
    vendor.edit("timestamp.json", lambda signed: signed.update(version=9))
    call(["sync", "-c", str(config), "--from", str(vendor.repo)])
    capfd.readouterr()
    assert call(["check", "-c", str(config)]) == 0
    assert "root of trust" not in capfd.readouterr().out
    assert call(["status", "-c", str(config)]) == 0
    out = capfd.readouterr().out
    assert "trusts root 1, targets 3, snapshot 3, timestamp 3" in out
    assert "uplink  refused" in out
    assert "changed-bytes: timestamp.json" in out
    assert "left alone: pump 1.0.1: for mills, and this device is in presses" in out
    assert call(["status", "-c", str(config), "--json"]) == 0
    told = json.loads(capfd.readouterr().out)["uplink"]
    assert (told["state"], told["refused"][0]["reason"], told["waiting"]) == ("refused", "changed-bytes", [])


def test_status_of_a_device_that_synced_and_never_judged(vendor: Vendor, tmp_path: Path, capfd):
    config, state = tmp_path / "gw.toml", tmp_path / "state"
    config.write_text(f'[node]\nid = "gw1"\nstate_dir = "{state}"\n[[series]]\ntopic = "a/b"\n')
    assert call(["status", "-c", str(config)]) == 1
    assert "no state in" in capfd.readouterr().err
    vendor.add(packages.PUMP)
    sync = ["sync", "-c", str(config)]
    assert call([*sync, "--from", str(vendor.repo)]) == 3
    root = tmp_path / "root.json"
    root.write_bytes(vendor.first_root)
    capfd.readouterr()
    assert call(["status", "-c", str(config)]) == 0
    assert "ago, no-root: " in capfd.readouterr().out
    call([*sync, "--init-root", str(root), "--sha256", hashlib.sha256(vendor.first_root).hexdigest()])
    assert call([*sync, "--from", str(vendor.repo)]) == 0
    capfd.readouterr()
    assert call(["status", "-c", str(config)]) == 0
    out = capfd.readouterr().out
    assert re.search(r"uplink  installed \d+s ago: pump 1\.0\.0", out)
    assert f"note: no agent has run with {state} yet" in out
    assert "no-root" not in out  # solved
    assert call(["status", "-c", str(config), "--json"]) == 0
    told = json.loads(capfd.readouterr().out)
    assert (told["uplink"]["state"], told["models"][0]["active"]) == ("installed", "1.0.0")


@pytest.mark.parametrize("command", [["sync", "-c", "FILE", "--once"], ["publish", "status", "--repo", "x"]])
def test_without_the_extra_the_command_says_what_to_install(command: list[str], tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['tuf'] = None\n")
    config = tmp_path / "gw.toml"
    config.write_text(f'[node]\nstate_dir = "{tmp_path}"\n[[series]]\ntopic = "a/b"\n')
    words = [str(config) if word == "FILE" else word for word in command]
    done = subprocess.run(
        [sys.executable, "-m", "edgead", *words],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (
        2,
        "edgead: error: tuf is not installed: pip install 'edgead[uplink]'\n",
    )
