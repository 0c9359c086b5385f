"""What a sync costs: bytes on the wire, seconds and memory of the device; what a fleet asks of a server.

Bytes are counted between device and server, TLS and all.  Seconds are those of the whole command ``edgead sync --once``
on loopback, beside the command that only reads the configuration (``edgead check``).  A fleet is computed from what one
device was measured to ask.  ``python tests/bench/bench_uplink.py [--rounds N]``.
"""

import argparse
import hashlib
import http.client
import io
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402
import numpy as np  # noqa: E402

from edgead.agent.syncing import COMMAND, Order  # noqa: E402
from edgead.agent.uplink import record  # noqa: E402
from edgead.config import parse  # noqa: E402
from edgead.store import Store, StoreLimits  # noqa: E402
from edgead.uplink.disk import folder_in  # noqa: E402
from edgead.uplink.trust import give_root  # noqa: E402
from tests import packages  # noqa: E402
from tests.cloud import Cloud  # noqa: E402
from tests.server_process import ServerProcess  # noqa: E402
from tests.uplink import Authority, RepositoryServer, Vendor  # noqa: E402

DEVICES = 100_000
INTERVAL_S = 6 * 3600
SPREAD_S = 1800
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


class Counter:
    """Passes TCP connections on to a server and counts their bytes."""

    def __init__(self, port: int) -> None:
        self.up = self.down = self.connections = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def taken(self) -> tuple[int, int, int]:
        """Bytes up, bytes down and connections since the last look."""
        time.sleep(0.05)
        seen = self.up, self.down, self.connections
        self.up = self.down = self.connections = 0
        return seen

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self._target))
            threading.Thread(target=self._pump, args=(client, server, "up"), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, "down"), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        try:
            while data := source.recv(65536):
                setattr(self, way, getattr(self, way) + len(data))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


def large_package() -> bytes:
    """A package of about a megabyte: the shipped one with a long self-test."""
    with np.load(io.BytesIO(packages.files_of()["selftest.npz"])) as loaded:
        rows = loaded["rows"]
    noise = np.random.default_rng(1).standard_normal((21_000, rows.shape[1]))
    return packages.with_file("selftest.npz", packages.arrays_with(rows=np.vstack([rows, noise])))


def command(*arguments: str) -> tuple[float, float]:
    """Wall and CPU seconds of one command."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "edgead", *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
    )
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - start, used


class Device:
    """A configured device of the bench."""

    def __init__(self, folder: Path, root: bytes, url: str, ca: Path) -> None:
        folder.mkdir()
        self.config = folder / "gw.toml"
        self.config.write_text(
            f'[node]\nid = "gw1"\nstate_dir = "{folder}/state"\n[uplink]\nrepository = "{url}"\nca = "{ca}"\n'
            '[[series]]\ntopic = "a/b"\n'
        )
        give_root(folder_in(folder / "state"), root, hashlib.sha256(root).hexdigest())

    def sync(self) -> tuple[float, float]:
        return command("sync", "-c", str(self.config), "--once")


def show(title: str, counter: Counter, runs: list[tuple[float, float]], base: float) -> int:
    """One line; gives the bytes of one run, both ways."""
    up, down, connections = (count / len(runs) for count in counter.taken())
    wall, cpu = (statistics.median(each) for each in zip(*runs))
    print(
        f"{title:34} {down:10.0f} bytes down {up:7.0f} up, {connections:.0f} connection, "
        f"{wall:5.2f} s, CPU {cpu:4.2f} s = {cpu / base:.1f} x check"
    )
    return round(up + down)


def bench_syncs(folder: Path, rounds: int) -> int:
    """No news, a first model, a model of a megabyte; gives the bytes of a sync without news."""
    vendor, authority = Vendor(folder / "vendor"), Authority(folder / "ca")
    vendor.add(packages.PUMP)
    with RepositoryServer(vendor.repo, authority.server(authority.issue("server"))) as server:
        counter = Counter(server.server_address[1])
        url = f"https://127.0.0.1:{counter.port}/"
        devices = [Device(folder / f"gw{n}", vendor.first_root, url, authority.file) for n in range(rounds)]
        base = statistics.median(command("check", "-c", str(devices[0].config))[1] for _ in range(rounds))
        print(f"edgead check: CPU {base:.2f} s")
        show(
            f"first sync, {len(packages.PUMP)} bytes of model",
            counter,
            [each.sync() for each in devices],
            base,
        )
        quiet = show("no news", counter, [each.sync() for each in devices], base)
        model = large_package()
        vendor.add(packages.with_file("selftest.npz", packages.files_of(model)["selftest.npz"]))
        show(f"a model of {len(model)} bytes", counter, [each.sync() for each in devices], base)
        vendor.publisher.refresh()
        show("a new timestamp only", counter, [each.sync() for each in devices], base)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest process of them (sync, or the trial run it starts): {peak:.0f} MiB")
    return quiet


def bench_sending(folder: Path, rounds: int) -> None:
    """One event by itself, as the agent sends it between two syncs, with the news of the device that go along."""
    with Cloud() as cloud:
        counter = Counter(int(cloud.url.rsplit(":", 1)[1]))
        config = parse(
            f'[node]\nid = "gw1"\nstate_dir = "{folder}/sender"\n[uplink]\nurl = "http://127.0.0.1:{counter.port}"\n'.encode()
        )
        order = msgspec.json.encode(Order(config=config, models=False))
        store = Store.open(folder / "sender", StoreLimits(), now_ns=time.time_ns())
        runs, environment = [], {**os.environ, "PYTHONPATH": str(ROOT)}
        for number in range(rounds):
            body = {
                "id": f"id-{number}",
                "event": "open",
                "series": "pump1.flow",
                "ts": 1_763_750_000_123,
                "value": 1.5,
            }
            told = {"status": "ok", "reasons": [], "counters": {f"counter_{n}": n for n in range(30)}}
            records = [
                record("event", msgspec.json.encode(body)),
                record("health", msgspec.json.encode(told)),
            ]
            store.commit(outbox=records, now_ns=time.time_ns())
            before, start = os.times(), time.perf_counter()
            subprocess.run(COMMAND, input=order, stdout=subprocess.DEVNULL, check=True, env=environment)
            after = os.times()
            used = after.children_user + after.children_system - before.children_user - before.children_system
            runs.append((time.perf_counter() - start, used))
            store.acknowledge_outbox([row.seq for row in store.peek_outbox(limit=10)])
        store.close()
    up, down, connections = (count / rounds for count in counter.taken())
    wall, cpu = (statistics.median(each) for each in zip(*runs))
    print(
        f"an event by itself (no TLS): {down:.0f} bytes down {up:.0f} up, {connections:.0f} connection, "
        f"{wall:.2f} s, CPU {cpu:.2f} s"
    )


def bench_fleet(folder: Path, quiet: int, count: int) -> None:
    """What 100 000 devices ask, and what `edgead serve` answers on one core."""
    vendor = Vendor(folder / "fleet")
    settings = folder / "server.toml"
    settings.write_text(f'[server]\nrepository = "{vendor.repo}"\n')
    with ServerProcess(folder, ["-c", str(settings)]) as server:
        cpu = lambda: sum(map(int, Path(f"/proc/{server.process.pid}/stat").read_text().split()[13:15]))  # noqa: E731
        began, start = cpu(), time.perf_counter()
        for _ in range(count):
            connection = http.client.HTTPConnection("127.0.0.1", server.port)
            for path in ("2.root.json", "timestamp.json"):
                connection.request("GET", f"/edgead/v1/tuf/metadata/{path}")
                connection.getresponse().read()
            connection.close()
        used, took = (cpu() - began) / CLOCK_TICKS, time.perf_counter() - start
    print(
        f"edgead serve: {count} syncs without news in {took:.1f} s, {1000 * used / count:.2f} ms CPU each (no TLS)"
    )
    rate, peak = DEVICES / INTERVAL_S, DEVICES / SPREAD_S
    month = quiet * DEVICES * 30 * 86_400 / INTERVAL_S
    print(
        f"{DEVICES} devices every {INTERVAL_S // 3600} h: {rate:.1f} syncs/s = {2 * rate:.1f} requests/s, "
        f"{rate * quiet / 1e6:.3f} MB/s, {month / 1e9:.0f} GB a month, {100 * rate * used / count:.1f} % of a core;"
    )
    model = 2**20
    print(
        f"all powered on at once: {peak:.0f} syncs/s over the {SPREAD_S // 60} minutes of jitter; "
        f"a model of 1 MiB to all: {DEVICES * model / 1e9:.0f} GB, {rate * model / 1e6:.0f} MB/s over an interval"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        quiet = bench_syncs(Path(name), rounds)
        bench_sending(Path(name), rounds)
        bench_fleet(Path(name), quiet, 100 * rounds)


if __name__ == "__main__":
    main()
