"""A sync that is killed, has no disk, no server or no clock: the old model runs or the new one, and it heals."""

import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgead.uplink import web
from edgead.uplink.record import read_record
from tests import packages
from tests.fault import store_faults as faults
from tests.fault import uplink_worker as worker
from tests.fault.clock_steps import Clocks
from tests.uplink import Gateway, Handler, RepositoryServer, Vendor

SEED = 20261125
OLD, NEW = packages.id_of(1), packages.id_of(2)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    return Vendor(tmp_path_factory.mktemp("vendor"))


@pytest.fixture(scope="module")
def before(vendor: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State of a device with the old model, and a repository that has the new one since."""
    folder = tmp_path_factory.mktemp("devices") / "before"
    device = Gateway(folder, vendor.first_root)
    vendor.add(packages.variant(1))
    assert device.sync(vendor.repo).state == "installed"
    vendor.publisher.rotate("timestamp")
    vendor.add(packages.variant(2))
    return folder


@pytest.fixture
def state(before: Path) -> Iterator[Path]:
    with faults.scratch() as folder:
        shutil.copytree(before, folder / "state")
        yield folder / "state"


def gateway(state: Path) -> Gateway:
    return Gateway(state, b"")


def settled(state: Path, where: str | Path) -> None:
    """After healing: the new model, nothing that grows, nothing degraded."""
    device = gateway(state)
    outcome = device.sync(where)
    assert outcome.exit_code == 0, outcome
    assert worker.active(state) == NEW
    assert not device.shelf.candidates()
    # a half file that a kill left is written over by the next of its name
    names = [path.name for path in state.rglob(".*.half")]
    assert set(names) <= {".notes.half", ".active.half", ".trust.json.half"}
    assert not list((state / "uplink" / "partial").glob("*"))
    assert not (state / "uplink" / "work").exists()
    assert not read_record(state).troubles(time.time())
    assert device.sync(where).state == "current"


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faults.build(tmp_path_factory.mktemp("shim"))


def run(
    shim: Path, state: Path, *arguments: object, **environment: object
) -> subprocess.CompletedProcess[str]:
    told = {"LD_PRELOAD": str(shim), "STORE_FAULTS_PREFIX": f"{state}/", "PYTHONPATH": str(faults.ROOT)}
    told |= {name: str(value) for name, value in environment.items()}
    command = [sys.executable, worker.__file__, str(state), *map(str, arguments)]
    return subprocess.run(command, env=os.environ | told, capture_output=True, text=True, timeout=300)


def test_a_full_disk_at_each_step(shim: Path, state: Path, before: Path, vendor: Vendor):
    done = run(shim, state, vendor.repo, before)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told) > 30
    assert told[-1] == {"ended": "installed", "active": NEW, "healed": "current", "then": NEW}
    for step in told:
        assert step["active"] in (OLD, NEW), step
        assert step["ended"] == "installed" or step["ended"].startswith("failed: "), step
        assert (step["then"], step["healed"] in ("installed", "current")) == (NEW, True), step
    assert all("No space left" in step["ended"] for step in told if step["ended"] != "installed")


@pytest.mark.campaign
def test_killed_at_each_change_of_the_disk(
    shim: Path, state: Path, before: Path, vendor: Vendor, tmp_path: Path
):
    trace = tmp_path / "trace"
    run(shim, state, vendor.repo, STORE_FAULTS_TRACE=trace)
    count = len(faults.read_trace(trace))
    assert count > 30
    seen = set()
    for change in faults.part(range(1, count + 1), random.Random(SEED)):
        shutil.rmtree(state)
        shutil.copytree(before, state)
        done = run(shim, state, vendor.repo, STORE_FAULTS_KILL=change)
        assert done.returncode == 137
        seen.add(worker.active(state))
        assert worker.active(state) in (OLD, NEW), change
        settled(state, vendor.repo)
    assert OLD in seen


def command(config: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "edgead", "sync", "-c", str(config), "--once", *options]


def configured(state: Path, url: str) -> Path:
    path = state.parent / "gw.toml"
    text = f'[node]\nid = "gw1"\nstate_dir = "{state}"\n[uplink]\nrepository = "{url}"\n[[series]]\ntopic = "a/b"\n'
    path.write_text(text)
    return path


@pytest.mark.campaign
def test_killed_at_random_moments_of_the_real_command(state: Path, before: Path, vendor: Vendor):
    rng = random.Random(SEED + 1)
    with RepositoryServer(vendor.repo) as server:
        config = configured(state, server.url)
        environment = os.environ | {"PYTHONPATH": str(faults.ROOT)}
        began = time.monotonic()
        subprocess.run(command(config), env=environment, check=True, capture_output=True)
        whole_s = time.monotonic() - began
        seen, rounds = {"killed": 0, OLD: 0, NEW: 0}, 100 if faults.SOAK else 10
        for _ in range(rounds):
            shutil.rmtree(state)
            shutil.copytree(before, state)
            quiet = subprocess.DEVNULL
            process = subprocess.Popen(command(config), env=environment, stdout=quiet, stderr=quiet)
            time.sleep(rng.uniform(0.2, 1.1) * whole_s)
            process.send_signal(signal.SIGKILL)
            seen["killed"] += process.wait() == -signal.SIGKILL
            seen[worker.active(state)] += 1
            settled(state, server.url)
        print(f"seed {SEED + 1}, {rounds} rounds: {seen}")
        assert seen["killed"]


def cut(handler: Handler) -> None:
    """The end of the connection, with a reset."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True


def silent(handler: Handler) -> None:
    handler.server.over.wait(3)
    handler.close_connection = True


def truncated(handler: Handler) -> None:
    path = handler.server.folder / handler.path.lstrip("/")
    body = path.read_bytes() if path.is_file() else b"no such file here"
    handler.give(body[: len(body) // 2], status=200 if path.is_file() else 404, length=len(body))
    handler.close_connection = True


KINDS = {
    "500": lambda handler: handler.give(b"trouble", status=500),
    "503": lambda handler: handler.give(b"", status=503),
    "silence": silent,
    "truncation": truncated,
    "reset": cut,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_fails_at_each_request(
    kind: str, state: Path, vendor: Vendor, before: Path, monkeypatch
):
    with RepositoryServer(vendor.repo) as server:
        gateway(state).sync(server.url)
        paths = server.paths()
        assert len(paths) == 6  # two roots, timestamp, snapshot, targets, the model
        for path in paths:
            shutil.rmtree(state)
            shutil.copytree(before, state)
            server.rules = {f"^{path}$": KINDS[kind]}
            with monkeypatch.context() as short:
                short.setattr(web, "SILENCE_S", 0.3)
                outcome = gateway(state).sync(server.url)
            known = outcome.state == "installed" and "3.root" in path  # half of a 404 is a 404
            assert known or (outcome.state, outcome.exit_code) == ("unreachable", 4), (path, outcome)
            assert known or worker.active(state) == OLD
            assert not read_record(state).troubles(time.time())  # being offline is no fault of the device
            server.rules.clear()
            outcome = gateway(state).sync(server.url)
            if "/targets/" in path and kind == "truncation":
                assert server.requests[-1][1]["Range"].startswith("bytes=")  # went on where it broke off
            assert worker.active(state) == NEW
            settled(state, server.url)


def test_no_server_at_all(state: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/", "http://edgead.invalid/"):
        outcome = gateway(state).sync(url)
        assert (outcome.state, outcome.exit_code) == ("unreachable", 4)
    assert worker.active(state) == OLD


def test_a_part_that_a_power_cut_spoiled_is_fetched_anew(state: Path, vendor: Vendor):
    with RepositoryServer(vendor.repo) as server:
        server.rules = {r"/targets/": truncated}
        assert gateway(state).sync(server.url).state == "unreachable"
        (part,) = (state / "uplink" / "partial").iterdir()
        part.write_bytes(b"\0" * part.stat().st_size)
        server.rules.clear()
        settled(state, server.url)


@pytest.mark.parametrize("file", ["trust.json", "sync.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 500, b'{"root": "x", "anchors": []}'])
def test_a_damaged_file_of_ours(file: str, content: bytes, state: Path, vendor: Vendor):
    (state / "uplink" / file).write_bytes(content)
    settled(state, vendor.repo)
    aside = state / "uplink" / "trust.json.corrupt"
    assert file != "trust.json" or aside.read_bytes() == content


def run_command(
    state: Path, url: str, clocks: Clocks | None, *options: str
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(faults.ROOT)} | (clocks.env if clocks else {})
    return subprocess.run(
        command(configured(state, url), *options), env=environment, capture_output=True, text=True, timeout=60
    )


def test_a_clock_in_1970(state: Path, vendor: Vendor, tmp_path: Path):
    """What is new is taken, and what has ended before the newest signed time is not."""
    clocks = Clocks(tmp_path)
    clocks.step_to(1000)
    frozen = Vendor(tmp_path / "frozen", begun=-40)
    with RepositoryServer(vendor.repo) as server:
        done = run_command(state, server.url, clocks)
        assert (done.returncode, worker.active(state)) == (0, NEW), done.stderr
        settled(state, server.url)
    # held back: a timestamp that ended ten days before the day on which the newest root was signed
    device = Gateway(tmp_path / "other", frozen.first_root)
    old = frozen.metadata("timestamp.json").read_bytes()
    frozen.shift = 0
    frozen.publisher.rotate("root")
    frozen.metadata("timestamp.json").write_bytes(old)
    done = run_command(device.folder, "", clocks, "--from", str(frozen.repo))
    assert (done.returncode, "freeze" in done.stderr) == (3, True), done.stderr


def test_a_clock_in_2100(state: Path, vendor: Vendor, tmp_path: Path):
    clocks = Clocks(tmp_path)
    clocks.step_to(4_102_444_800)
    with RepositoryServer(vendor.repo) as server:
        done = run_command(state, server.url, clocks)
        assert done.returncode == 3
        assert "freeze" in done.stderr or "expired" in done.stderr
        assert worker.active(state) == OLD
        assert any("keep running" in each for each in read_record(state).troubles(4_102_444_800))
        clocks.right()
        done = run_command(state, server.url, clocks)
        assert (done.returncode, worker.active(state)) == (0, NEW), done.stderr
        settled(state, server.url)
