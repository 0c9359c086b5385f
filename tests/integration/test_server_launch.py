"""Processes of jobs that die, hang, babble or start others."""

import json
import os
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from edgead.multivariate import AlignPolicy
from edgead.server import orders
from edgead.server.launch import STDERR_BYTES, ProcessLauncher, WorkerDied
from tests.served import alive

ORDER = orders.DetectOrder(
    source="x", schema="", sources={}, start_ns=0, end_ns=1, package=b"", limits=orders.Limits(2**30, 60.0)
)
READ = "import os, struct, sys; sys.stdin.buffer.read(8); out = int(sys.argv[1]); "
TELL = (
    READ + "from edgead.server import orders; say = lambda m: os.write(out, struct.pack('<Q', len(m)) + m); "
)


def run(
    program: str,
    order: orders.Order = ORDER,
    unwanted: threading.Event | None = None,
    told: list | None = None,
):
    launcher = ProcessLauncher((sys.executable, "-c", program))
    tell = (told if told is not None else []).append
    return launcher.run(order, tell, unwanted or threading.Event())


def test_what_a_job_tells_is_heard_in_order_and_its_outcome_returned():
    told: list[object] = []
    epochs = "[say(orders.encode(orders.Epochs(n, 0.5, 0.25, 0.1))) for n in range(1, 4)]; "
    found = run(TELL + epochs + "say(orders.encode(orders.Failed('NoData', 'none')))", told=told)
    assert found == orders.Failed("NoData", "none")
    assert told == [orders.Epochs(n, 0.5, 0.25, 0.1) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (READ + "sys.exit('torch is angry')", "ended with status 1"),
        (READ + "os.kill(os.getpid(), 9)", "signal 9 (SIGKILL, as when memory is short)"),
        (READ + "os.abort()", "signal 6 (SIGABRT)"),
        (READ + "os.close(out); import time; time.sleep(60)", "stopped telling"),
        (READ + "os.write(out, struct.pack('<Q', 3) + b'abc')", "what nobody understands"),
        (READ + "os.write(out, struct.pack('<Q', 2**60))", "bytes at once"),
        (READ + "os.write(out, struct.pack('<Q', 100) + b'cut')", "ended with status 0"),
        ("", "ended with status 0"),
    ],
)
def test_a_job_that_ends_without_an_outcome_is_told(program: str, words: str):
    with pytest.raises(WorkerDied) as caught:
        run(program)
    assert words in str(caught.value)
    if "angry" in program:
        assert caught.value.log == "torch is angry"


def test_a_flood_on_stderr_neither_blocks_nor_fills_memory():
    with pytest.raises(WorkerDied) as caught:
        run(READ + "sys.stderr.write('x' * 5_000_000 + 'end'); sys.stderr.flush(); sys.exit(2)")
    assert caught.value.log.endswith("end")
    assert len(caught.value.log) <= STDERR_BYTES


def test_a_job_that_takes_too_long_fails():
    order = orders.DetectOrder(
        source="x", schema="", sources={}, start_ns=0, end_ns=1, package=b"", limits=orders.Limits(2**30, 0.5)
    )
    found = run("import time; time.sleep(60)", order)
    assert found == orders.Failed("UnexpectedError", "it took longer than the 0.5 s that a job may take")


def test_an_unwanted_job_ends_with_all_it_started(tmp_path: Path):
    pids = tmp_path / "pids"
    start = "import subprocess; p = subprocess.Popen(['sleep', '60']); "
    start += f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{p.pid}}')"
    unwanted = threading.Event()
    found: list[object] = []
    runner = threading.Thread(
        target=lambda: found.append(run(READ + start + "; p.wait()", unwanted=unwanted)), daemon=True
    )
    runner.start()
    until = time.monotonic() + 20
    while not (pids.exists() and len(pids.read_text().split()) == 2):
        assert time.monotonic() < until
        time.sleep(0.02)
    unwanted.set()
    runner.join(20)
    assert found == [None]
    until = time.monotonic() + 20  # the kill is sent; the kernel may take its time on a busy machine
    while any(alive(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < until
        time.sleep(0.02)


SECRETS = {
    "EDGEAD_KEY_PASSPHRASE": "s3cret",
    "EDGEAD_MQTT_PASSWORD": "s3cret",
    "CREDENTIALS_DIRECTORY": "/run/credentials",
    "ApiKey": "s3cret",
    "GITHUB_TOKEN": "s3cret",
    "LCX": "s3cret",
}
NEEDED = {
    "OMP_NUM_THREADS": "1",
    "LC_ALL": "C.UTF-8",
    "TMPDIR": "/tmp",
    "PYTHONHASHSEED": "7",
    "SSL_CERT_FILE": "/x",
}
OF_S3 = {"AWS_ACCESS_KEY_ID": "a", "FSSPEC_S3_ENDPOINT_URL": "http://x", "https_proxy": "http://y"}
OF_ABFS = {"AZURE_STORAGE_SAS_TOKEN": "b", "IDENTITY_ENDPOINT": "http://z", "https_proxy": "http://y"}


@pytest.mark.parametrize(
    ("source", "cloud"),
    [("x.csv", {}), ("https://x.example/a.csv", {}), ("s3://b/x.csv", OF_S3), ("abfss://c@a/x.csv", OF_ABFS)],
)
def test_a_job_sees_what_it_needs_of_the_environment_and_nothing_else(
    source: str, cloud: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    for name, value in {**SECRETS, **NEEDED, **OF_S3, **OF_ABFS}.items():
        monkeypatch.setenv(name, value)
    told = "import json; say(orders.encode(orders.Failed('', json.dumps(dict(os.environ)))))"
    found = run(TELL + told, msgspec.structs.replace(ORDER, source=source))
    assert isinstance(found, orders.Failed)
    seen = json.loads(found.message)
    wanted = {**NEEDED, **cloud, "OMP_WAIT_POLICY": "PASSIVE", "PATH": os.environ["PATH"]}
    assert {name: seen.get(name) for name in wanted} == wanted
    foreign = {*SECRETS, *OF_S3, *OF_ABFS} - set(cloud)
    assert not foreign & set(seen)


def test_a_stop_of_the_whole_service_is_the_server_s_to_heed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A supervisor may send SIGTERM to every process: a job that died of it would count as one that failed."""
    (tmp_path / "stopped.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    order = orders.TrainOrder(
        source="x.csv",
        schema="OneTable",
        sources={},
        start_ns=0,
        end_ns=1,
        window=28,
        epochs=1,
        align=AlignPolicy(),
        name="a",
        version="1.0.0",
        trainer="stopped",
        created="2024-01-01T00:00:00Z",
        limits=orders.Limits(2**32, 60.0),
    )
    found = ProcessLauncher().run(order, lambda told: None, threading.Event())
    assert isinstance(found, orders.Failed)
    assert found.code == "StorageReadError"  # it went on as far as to its source
