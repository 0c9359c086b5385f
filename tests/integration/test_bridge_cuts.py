"""A network that cuts connections in the middle of packets: nothing is lost, in or out."""

import os
import random
import threading
import time
from pathlib import Path

import pytest

from edgead.bridge.inbox import Delivered, Disconnected, Incoming
from tests.integration.bridge_world import listener, publish, wait_for, world
from tests.mosquitto import Mosquitto
from tests.proxy import FlakyProxy

SEED = int(os.environ.get("EDGEAD_CUT_SEED", "20251121"))
CUTS = 100 if os.environ.get("EDGEAD_SOAK") else 10


@pytest.mark.campaign
@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
def test_cuts_at_any_byte_lose_nothing(tmp_path: Path, protocol: str) -> None:
    rng = random.Random(SEED)
    print(f"EDGEAD_CUT_SEED={SEED}")
    wanted = [str(number).encode() for number in range(200 * CUTS)]
    with (
        Mosquitto(tmp_path / "broker", shipped=True) as broker,
        FlakyProxy(broker.port, rng, max_delay_s=0.002) as proxy,
        listener(broker.port, "out/#") as heard,
        world(proxy.port, protocol=protocol) as here,
    ):
        here.until_subscribed()
        source = threading.Thread(target=publish, args=(broker.port, "plant/a", wanted))
        source.start()
        to_publish = dict.fromkeys(range(10 * CUTS))
        under_way: dict[int, int] = {}
        received: set[bytes] = set()
        came = 0
        next_cut = time.monotonic()
        deadline = next_cut + 30 + 2 * CUTS
        while len(received) < len(wanted) or to_publish or proxy.cuts < CUTS:
            assert time.monotonic() < deadline, (
                len(received),
                len(to_publish),
                proxy.cuts,
                here.reasons()[-1:],
            )
            if proxy.cuts < CUTS and time.monotonic() >= next_cut and here.bridge.connected:
                proxy.cut()
                here.bridge.publish(
                    "out/more", b"", qos=0
                )  # a cut falls into data: of an idle connection, too
                next_cut = time.monotonic() + rng.uniform(0.02, 0.2)
            batch = here.inbox.take(rng.choice((1, 50, 500)), 0.01)
            for each in batch:
                if type(each) is Disconnected:
                    under_way.clear()
                elif type(each) is Delivered:
                    to_publish.pop(under_way.pop(each.handle, -1), None)
            messages = [each for each in batch if type(each) is Incoming]
            received.update(each.payload for each in messages)
            here.bridge.acknowledge([each.token for each in messages])
            for number in [each for each in list(to_publish)[:20] if each not in under_way.values()]:
                handle = here.bridge.publish("out/a", str(number).encode())
                if handle is not None:
                    under_way[handle] = number
            came += len(messages)
        source.join()
        assert received == set(wanted)
        wait_for(
            lambda: {each.payload for each in heard} >= {str(number).encode() for number in range(10 * CUTS)}
        )
    print(f"{proxy.cuts} cuts, {came - len(wanted)} of {len(wanted)} messages came twice")


def test_a_connection_that_goes_silent_is_given_up_and_made_again(tmp_path: Path) -> None:
    with (
        Mosquitto(tmp_path / "broker", shipped=True) as broker,
        FlakyProxy(broker.port, random.Random(1)) as proxy,
        world(proxy.port, keepalive_s=1) as here,
    ):
        here.until_subscribed()
        proxy.silent = True
        here.until_kind(Disconnected)
        assert "nothing was heard" in here.reasons()[0]
        publish(broker.port, "plant/a", [b"meanwhile"])
        proxy.silent = False
        here.until(lambda: b"meanwhile" in here.payloads())
