"""Jobs on the workers of a real Dask cluster, whose parts are killed under them."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.served import ModelServer, alive, machine, status_of, write_table


class Cluster:
    """A scheduler and one worker, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        self._folder = folder
        self._port = self.address.rpartition(":")[2]
        self.begin()

    def begin(self) -> None:
        """Scheduler and worker, at the same address each time."""
        self.scheduler = self._begin(
            "scheduler", "--host", "127.0.0.1", "--port", self._port, "--no-dashboard"
        )
        self.worker = self.begin_worker()

    def begin_worker(self) -> "subprocess.Popen[bytes]":
        return self._begin("worker", self.address, "--no-nanny", "--no-dashboard", "--nthreads", "2")

    def _begin(self, *arguments: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]],
            cwd=self._folder,
            stderr=subprocess.DEVNULL,
            env={
                **os.environ,
                "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
                "OMP_NUM_THREADS": "1",
            },
        )

    def jobs(self) -> list[int]:
        """Processes of jobs below the worker."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == self.worker.pid and b"edgead.server.worker" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except (OSError, ValueError):
                continue
        return found

    def wait_for_job(self) -> int:
        until = time.monotonic() + 60
        while not (found := self.jobs()):
            assert time.monotonic() < until, "no job began"
            time.sleep(0.05)
        return found[0]

    def end(self) -> None:
        for process in (self.worker, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path):
    found = Cluster(tmp_path)
    yield found
    found.end()


@pytest.fixture
def server(tmp_path: Path, cluster: Cluster):
    made = ModelServer(tmp_path, arguments=["--scheduler", cluster.address])
    write_table(made.data / "machine.csv", machine(440, fault=20))
    with made:
        yield made


def gone(pid: int) -> bool:
    until = time.monotonic() + 20
    while alive(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_a_cluster_trains_and_judges_and_is_killed(cluster: Cluster, server: ModelServer):
    model = server.train()
    document = server.wait(f"models/{model}")
    assert status_of(document) == "READY"
    diagnostics = document["modelInfo"]["diagnosticsInfo"]
    assert (diagnostics["modelState"]["epochIds"], len(diagnostics["variableStates"])) == ([2], 2)
    result = server.detect(model, first=400, last=439)
    rows = server.wait(f"detect-batch/{result}")["results"]
    assert [row["value"]["isAnomaly"] for row in rows][-15:] == [True] * 15

    # deleting a model ends its process on the worker
    unwanted = server.train()
    job = cluster.wait_for_job()
    assert server.v11("DELETE", f"models/{unwanted}").status == 204
    assert gone(job)

    # a worker dies: another one takes the job
    second = server.train()
    cluster.wait_for_job()
    cluster.worker.kill()
    cluster.worker.wait()
    cluster.worker = cluster.begin_worker()
    assert status_of(server.wait(f"models/{second}")) == "READY"

    # the server dies: the cluster forgets its job, and the next server gives it again
    third = server.train()
    job = cluster.wait_for_job()
    server.kill()
    assert gone(job)
    server.start()
    assert status_of(server.wait(f"models/{third}")) == "READY"
    assert server.v11("GET", f"detect-batch/{result}").json()["results"] == rows

    # the scheduler dies: the job waits for another
    fourth = server.train()
    cluster.wait_for_job()
    cluster.end()
    cluster.begin()
    assert status_of(server.wait(f"models/{fourth}")) == "READY"
    assert server.stop() == 0
