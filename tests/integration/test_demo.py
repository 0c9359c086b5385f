"""The demo as people start it: passes, ends by itself, stays on loopback, leaves nothing."""

import os
import re
import signal
import subprocess
import sys
import time

import psutil
import pytest

SECONDS, SEED = 20, 1


@pytest.fixture
def start(tmp_path):
    """Starts `edgead demo` in a group of its own, with a temporary folder that the test can look into."""
    started = []

    def run(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "edgead", "demo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def family(process):
    """The demo and what it has started."""
    try:
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def listening(processes):
    addresses = set()
    for each in processes:
        try:
            found = each.net_connections(kind="inet")
        except psutil.Error:
            continue
        addresses |= {c.laddr for c in found if c.status == psutil.CONN_LISTEN or c.type.name == "SOCK_DGRAM"}
    return addresses


def wait_until_playing(process):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if " readings " in line:
            return lines
    raise AssertionError("".join(lines) + process.stderr.read())


def check_nothing_is_left(tmp_path, seen):
    gone, alive = psutil.wait_procs(seen, timeout=5)
    assert not alive, [each.cmdline() for each in alive]
    assert len(gone) >= 2, "the demo and its broker were seen"
    assert list(tmp_path.iterdir()) == []


def test_a_short_demo_passes_on_loopback_and_leaves_nothing(start, tmp_path):
    begin = time.monotonic()
    process = start("--seconds", str(SECONDS), "--seed", str(SEED))
    head = wait_until_playing(process)
    seen = family(process)
    listeners = listening(seen)
    out, err = process.communicate(timeout=115)
    assert time.monotonic() - begin < 120
    assert listeners, "the broker listens"
    assert {address.ip for address in listeners} == {"127.0.0.1"}
    text = "".join(head) + out
    assert process.returncode == 0, text + err
    assert err == ""
    found, missed, false = text.splitlines()[-3:]
    assert re.match(r"found +\d+ of \d+ ", found)
    assert re.match(r"missed +\d+$", missed)
    assert re.match(r"false alarms +\d+ ", false)
    assert "passed" in text.splitlines()[-4]
    check_nothing_is_left(tmp_path, seen)


@pytest.mark.parametrize(
    ("number", "to_group"), [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGHUP, True)]
)
def test_a_demo_that_is_interrupted_takes_everything_down(start, tmp_path, number, to_group):
    process = start("--seconds", "60")
    wait_until_playing(process)
    seen = family(process)
    if to_group:  # what a terminal does
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    check_nothing_is_left(tmp_path, seen)


def test_a_demo_that_is_killed_takes_the_broker_with_it(start):
    process = start("--seconds", "60")
    wait_until_playing(process)
    seen = family(process)
    process.kill()
    process.communicate(timeout=20)
    assert psutil.wait_procs(seen, timeout=5)[1] == []


@pytest.mark.parametrize("arguments", [("--seconds", "5"), ("--seconds", "600"), ("--seed", "-1")])
def test_arguments_out_of_range_are_refused(start, arguments):
    process = start(*arguments)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert arguments[1] in err
