"""Threads for short work: bounded queues, clients in turn, nothing lost when somebody leaves."""

import asyncio
import threading

import pytest

from edgead.server.turns import Turns
from edgead.server.wire import GatewayError


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario, 20))


class Gate:
    """Work that ends when the test says so."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.order: list[str] = []

    def work(self, name: str) -> str:
        self.open.wait(10)
        self.order.append(name)
        return name


def test_results_and_exceptions_come_back():
    async def scenario():
        turns = Turns(2, 10, 5.0)
        assert await turns.run("a", lambda x: x + 1, 1) == 2
        with pytest.raises(ZeroDivisionError):
            await turns.run("a", lambda: 1 / 0)
        assert await turns.run("a", lambda: 3) == 3
        turns.close()

    run(scenario())


def test_clients_take_turns_whatever_their_queues():
    async def scenario():
        turns, gate = Turns(1, 10, 5.0), Gate()
        calls = [asyncio.create_task(turns.run("a", gate.work, f"a{i}")) for i in range(4)]
        await asyncio.sleep(0)
        calls += [asyncio.create_task(turns.run("b", gate.work, f"b{i}")) for i in range(2)]
        await asyncio.sleep(0.05)
        assert turns.waiting == 5
        gate.open.set()
        await asyncio.gather(*calls)
        assert gate.order == ["a0", "a1", "b0", "a2", "b1", "a3"]
        assert turns.waiting == 0
        turns.close()

    run(scenario())


def test_a_full_queue_refuses_its_client_only():
    async def scenario():
        turns, gate = Turns(1, 2, 5.0), Gate()
        calls = [asyncio.create_task(turns.run("a", gate.work, "a")) for _ in range(3)]
        await asyncio.sleep(0.05)
        with pytest.raises(GatewayError) as told:
            await turns.run("a", gate.work, "late")
        assert told.value.status == 429
        assert told.value.headers["retry-after"] == "1"
        calls.append(asyncio.create_task(turns.run("b", gate.work, "b")))
        await asyncio.sleep(0.05)
        gate.open.set()
        assert await asyncio.gather(*calls) == ["a", "a", "a", "b"]
        turns.close()

    run(scenario())


def test_who_waits_too_long_is_told_to_come_again():
    async def scenario():
        turns, gate = Turns(1, 5, 0.05), Gate()
        first = asyncio.create_task(turns.run("a", gate.work, "first"))
        await asyncio.sleep(0)
        with pytest.raises(GatewayError, match="no thread came free"):
            await turns.run("b", gate.work, "late")
        assert turns.waiting == 0
        gate.open.set()
        assert await first == "first"
        assert await turns.run("b", gate.work, "again") == "again"
        turns.close()

    run(scenario())


def test_who_leaves_keeps_neither_place_nor_thread():
    async def scenario():
        turns, gate = Turns(1, 5, 5.0), Gate()
        running = asyncio.create_task(turns.run("a", gate.work, "running"))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(turns.run("b", gate.work, "waiting"))
        await asyncio.sleep(0)
        last = asyncio.create_task(turns.run("c", gate.work, "last"))
        await asyncio.sleep(0.02)
        for task in (running, waiting):
            task.cancel()
        await asyncio.gather(running, waiting, return_exceptions=True)
        assert not last.done()  # the thread is still busy with what nobody waits for
        gate.open.set()
        assert await last == "last"
        assert gate.order == ["running", "last"]
        assert await turns.run("b", gate.work, "again") == "again"
        turns.close()

    run(scenario())
