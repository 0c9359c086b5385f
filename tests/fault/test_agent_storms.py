"""Too much of something: told, counted by cause, bounded in memory, over without a restart, and the events right."""

import contextlib
import json
import os
import resource
import signal
import socket
import struct
import time
from pathlib import Path

import pytest

from tests.agent_process import wait_for
from tests.fault.agent_world import SOAK, World, memory_bytes, metrics
from tests.fault.clock_steps import Clocks
from tests.recordings import START_MS

MIB = 1 << 20

pytestmark = pytest.mark.campaign


@contextlib.contextmanager
def at_most(growth_mib: int, world: World):
    """The agent's memory never rises by more than this meanwhile."""
    before = memory_bytes(world.agent.pid)
    yield
    growth = memory_bytes(world.agent.pid, "VmHWM") - before
    print(f"memory rose by {growth / MIB:.1f} MiB")
    assert growth <= growth_mib * MIB


def test_payloads_of_a_megabyte_and_more_cost_those_payloads(tmp_path: Path):
    bad = {
        "payload_not_json": b"\x7b" + b"x" * (MIB - 1),
        "payload_not_text": b"\xff" * MIB,
        "payload_too_large": b"1" + b" " * (MIB + 50_000),  # below the packet limit: looked at, refused
        "skipped": b"1" + b" " * (9 * MIB),  # above it: skipped on the wire
    }
    rounds = 40 if SOAK else 4
    with World(tmp_path, shipped=False).running() as world:
        world.send(300)
        world.settle()
        with at_most(64, world):
            for _ in range(rounds):
                for payload in world.rng.sample(list(bad.values()), len(bad)):
                    world.publisher.publish("plant/press/v0", payload)
                    world.send(20)
                world.settle()
            padded = json.dumps({"ts": START_MS, "value": 1.0, "pad": "x" * (MIB - 100)}).encode()
            world.publisher.publish("plant/big/v0", padded)
            world.send(400)
            world.settle()
        for cause in ("payload_not_json", "payload_not_text"):
            world.wait_for_dropped(cause, rounds)
        world.wait_for_dropped("payload_too_large", 2 * rounds)
        assert metrics(world.http)["edgead_series"] == 2  # a megabyte that can be read is a reading
        letters = [json.loads(p) for t, p in world.heard.messages if t == "edgead/gw1/deadletter"]
        assert {letter["cause"] for letter in letters} >= {"not_json", "not_text", "too_large"}


def test_a_flood_of_new_topics_is_refused_counted_and_forgotten(tmp_path: Path):
    topics = 100_000 if SOAK else 10_000
    clocks = Clocks(tmp_path)
    with World(tmp_path, env=clocks.env).running() as world:
        world.send(300)
        world.settle()
        with at_most(48, world):
            for number in range(topics):
                world.publisher.publish(f"plant/flood{number}/v0", b'{"ts":%d,"value":1}' % START_MS)
                if number % 20 == 0:
                    world.send(1)
            world.settle()
        world.wait_for_problem("limits:")
        world.wait_for_dropped("refused", topics - 19)
        assert metrics(world.http)["edgead_series"] == 20
        assert any("limits:" in " ".join(reasons) for reasons in world.health())
        assert "max_series = 20" in world.agent.log.read_text()
        world.send(300)
        clocks.suspend(700)  # ten minutes later
        wait_for(lambda: not any(p.startswith("limits:") for p in world.problems()), "the flood forgotten")
        world.send(300)


def test_a_storm_of_retained_messages_at_every_subscribe_is_no_reading(tmp_path: Path):
    count = 20_000 if SOAK else 2000
    with World(tmp_path).running() as world:
        world.send(300)
        world.settle()
        assert world.agent.stop() == 0
        for number in range(count):
            for kind, payload in (("bare", b"7"), ("own", b'{"ts":%d,"value":7}' % START_MS)):
                topic = f"plant/{'press' if number == 0 else f'old{number}'}/{kind}"
                world.publisher._client.publish(topic, payload, qos=0, retain=True)
        world.publisher.drain()
        for _ in range(3):
            world.agent.start()
            with at_most(48, world):
                world.send(150)
                world.settle()
                world.wait_for_dropped("retained", count)
                world.wait_for_dropped("refused", count - 19)
            assert world.agent.stop() == 0
        world.agent.start()
        world.send(300)
        world.settle()


def connect_as(client_id: str, port: int) -> socket.socket:
    """A client that takes over a session and acknowledges nothing (MQTT 3.1.1 section 3.1, clean session 0)."""
    name = client_id.encode()
    body = struct.pack(">H4sBBH", 4, b"MQTT", 4, 0, 60) + struct.pack(">H", len(name)) + name
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    sock.sendall(bytes([0x10, len(body)]) + body)
    assert sock.recv(4)[:2] == b"\x20\x02"
    return sock


def test_a_second_client_with_our_id_is_told_in_a_sentence_and_loses_nothing(tmp_path: Path):
    question = "does another client use the id edgead-gw1?"
    with World(tmp_path).running() as world:
        world.send(300)

        def connections() -> int:
            return world.agent.log.read_text().count("broker connected")

        for kick in range(12 if SOAK else 4):
            before = connections()
            connect_as("edgead-gw1", world.broker.port).close()
            world.send(50)
            if kick == 3:
                wait_for(lambda: any(question in each for each in world.problems()), "the question asked")
            wait_for(lambda before=before: connections() > before, "connected again", within_s=90)
        assert question in world.agent.log.read_text()
        world.send(400)
        world.wait_until_well()


def cpu_s(pid: int) -> float:
    """CPU seconds a process has used, proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_file_descriptors_it_judges_on_and_says_so(tmp_path: Path):
    with World(tmp_path).running() as world:
        world.send(300)
        world.settle()
        pid = world.agent.pid
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
        free = next(number for number in range(10_000) if number not in used)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, limits[1]))
        with at_most(32, world), contextlib.ExitStack() as probes:
            for _ in range(50):
                probe = probes.enter_context(socket.socket())
                probe.setblocking(False)
                probe.connect_ex(("127.0.0.1", world.http))
            before, began = cpu_s(pid), time.monotonic()
            world.send(300)
            world.settle()
            wait_for(lambda: any("files:" in " ".join(each) for each in world.health()), "told over MQTT")
            time.sleep(2.0)
            assert (cpu_s(pid) - before) / (time.monotonic() - began) < 0.6, "it spins"
            world.publisher.close()
            world.broker.stop()  # saves its sessions
            world.broker.start()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        world.publisher = type(world.publisher)("127.0.0.1", world.broker.port)
        with world.publisher:
            wait_for(lambda: world.problems() == [], lambda: f"well again: {world.problems()}", within_s=60)
            world.send(400)
            world.settle()
            wait_for(lambda: world.health()[-1] == [], "told that it is over")


def test_ten_times_the_load_presses_back_and_loses_nothing(tmp_path: Path):
    messages, values = (150_000, 64) if SOAK else (6000, 64)
    with World(tmp_path, inbox=500).running() as world:
        world.send(300)
        world.settle()
        fullest, told = 0.0, False
        with at_most(48, world):
            for number in range(messages):
                machine, at = number % 10, START_MS + number // 10 * values * 1000
                batch = {
                    "ts": at,
                    "dt": 1000,
                    "value": [round(world.rng.gauss(0, 1), 3) for _ in range(values)],
                }
                world.publisher.publish(f"plant/load{machine}/calm", json.dumps(batch).encode())
                if number % 10 == 0:
                    world.send(1)
                if number % 500 == 0:
                    fullest = max(fullest, metrics(world.http)["edgead_inbox"])
                    told = told or any(each.startswith("load:") for each in world.problems())
            world.settle()
        print(f"at most {fullest:.0f} messages in the inbox; told: {told}")
        sent = 300 + messages * values + messages // 10
        wait_for(
            lambda: metrics(world.http)["edgead_readings_total"] >= sent,
            lambda: f"{sent} readings, got {metrics(world.http)['edgead_readings_total']}",
        )
        assert metrics(world.http)["edgead_readings_total"] == sent
        assert "are being dropped" not in world.broker.log
        assert metrics(world.http)["edgead_spool_dropped_total"] == 0
        world.wait_until_well()
        world.send(300)


def test_a_process_that_was_stopped_goes_on_where_it_was(tmp_path: Path):
    with World(tmp_path, keepalive="5s").running() as world:
        world.send(300)
        world.settle()
        # mosquitto looks every 5 s for who was silent for 1.5 times the keepalive
        for pause_s in [1.0, 15.0, *([30.0] * 5 if SOAK else [])]:
            os.kill(world.agent.pid, signal.SIGSTOP)
            world.send(150)
            world.publisher.drain()
            time.sleep(pause_s)
            os.kill(world.agent.pid, signal.SIGCONT)
            world.send(100)
            world.settle()
        states = [json.loads(p)["state"] for t, p in world.heard.messages if t == "edgead/gw1/status"]
        assert "offline" in states, "a pause longer than the keepalive is told by the last will"
        assert states[-1] == "online"
        world.wait_until_well()
