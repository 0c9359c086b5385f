"""Mutated payloads through decoder, intake and engine, as the loop does it; run under the sanitizers.

``python tests/fault/mutation_worker.py COUNT SEED`` prints what became of them as JSON, or fails.
"""

import json
import random
import sys
from collections import Counter

from edgead.agent.intake import Intake
from edgead.bridge.inbox import Incoming
from edgead.bridge.messages import event_message, state_message
from edgead.bridge.payloads import PayloadError
from edgead.bridge.topics import Topics
from edgead.config import parse
from edgead.stream import Engine, EngineSettings
from edgead.stream.series import Outcome
from tests.property.test_bridge_payloads import MS, RULES, edited, mutated

BATCH = 256
COMMIT_EVERY = 20  # batches
TOPICS = 12  # of each rule


def payload_of(number: int, now_ms: int, rng: random.Random) -> bytes:
    """A payload that the rule of this number reads."""
    value = round(rng.gauss(0, 1) + 50 * (rng.random() < 0.02), 3)
    at = now_ms - rng.randrange(3000)
    return [
        b"%f" % value,
        b'{"value":%f,"ts":%d}' % (value, at),
        b'{"value":%f}' % value,
        b'{"a":{"b":[%f]},"ts":%d}' % (value, at),
        b'{"temp":%f,"a":{"b":[0,%f]},"values":1,"meta":{"ts":%d}}' % (value, -value, at),
        b'{"ts":%d,"dt":100,"values":[%f,%f,null]}' % (at, value, value),
        b'{"data":{"ts":%d,"dt":100,"values":[%f]}}' % (at, value),
    ][number % len(RULES)]


def gently(payload: bytes, rng: random.Random) -> bytes:
    """One to three characters of its numbers changed."""
    changed = bytearray(payload)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(changed))
        if chr(changed[at]) in "0123456789.-":
            changed[at] = ord(rng.choice("0123456789.-eE"))
    return bytes(changed)


def configuration() -> bytes:
    """One block for each way of reading a payload, with different settings of the series."""
    blocks = []
    for number, (value, time) in enumerate(RULES):
        lines = [f'topic = "r{number}/{{machine}}"', f"value = {json.dumps(value)}", "window = 64"]
        lines += [f'lateness = "{number % 3}s"', f"sensitivity = {60 + 5 * number}"]
        if value != "" and time is not None:
            lines.append(f'time = "{time}"')
        blocks.append("[[series]]\n" + "\n".join(lines))
    return "\n".join(["[limits]", "max_series = 100", *blocks]).encode()


class Campaign:
    """Everything between the network and the disk."""

    def __init__(self, seed: int) -> None:
        config = parse(configuration(), "mutations.toml")
        self.engine = Engine(EngineSettings(node="gw1", max_series=100))
        self.intake = Intake(config, Topics("gw1"), self.engine)
        self.fates: Counter[str] = Counter()
        self.seq = 0
        self._rng = random.Random(seed)

    def message(self, now_ns: int, number: int) -> Incoming:
        rng = self._rng
        rule, kind = rng.randrange(len(RULES) + 1), rng.random()
        topic = f"r{rule}/m{rng.randrange(TOPICS)}"
        payload = payload_of(rule, now_ns // 10**6, rng)
        payload = gently(payload, rng) if kind < 0.5 else edited(payload, rng) if kind < 0.8 else mutated(rng)
        if rng.random() < 0.01:
            topic += "".join(chr(rng.randrange(1, 0x3000)) for _ in range(rng.randrange(1, 6)))
        return Incoming(topic, payload, rng.random() < 0.05, now_ns + number, number)

    def run(self, count: int) -> None:
        now_ns = MS * 10**6
        for start in range(0, count, BATCH):
            now_ns += 10**9
            batch = [self.message(now_ns, number) for number in range(min(BATCH, count - start))]
            readings = [each for message in batch for each in self.read(message, now_ns)]
            self.tell(self.engine.feed(readings, now_ns))
            self.tell(self.engine.tick(now_ns))
            if start // BATCH % COMMIT_EVERY == 0:
                self.commit()
        self.tell(self.engine.flush())

    def read(self, message: Incoming, now_ns: int) -> list:
        """Readings of a message; every message has a fate that can be named."""
        before = self.intake.counts.total()
        readings = self.intake.read(message, now_ns)
        if readings:
            self.fates["read"] += 1
        elif self.intake.counts.total() > before:
            self.fates["counted"] += 1
        else:
            assert self.is_empty_array(message), ("no reading and no count", message)
            self.fates["empty array"] += 1
        return readings

    def is_empty_array(self, message: Incoming) -> bool:
        for number, rule in enumerate(self.intake.rules):
            if message.topic.startswith(f"r{number}/"):
                try:
                    return rule.decode(message.payload, message.received_ns) == []
                except PayloadError:
                    return False
        return False

    def tell(self, out: Outcome) -> None:
        """What goes out can be said."""
        self.fates["verdicts"] += len(out.verdicts)
        for verdict in out.verdicts[:4]:
            assert 0.0 <= verdict.severity <= 1.0, verdict
            json.loads(state_message(verdict).encode())
        for event in out.events:
            json.loads(event_message(event, seq=1, replay=False).encode())
        self.fates["events"] += len(out.events)

    def commit(self) -> None:
        self.seq += 1
        self.engine.journal_entry()
        self.engine.settle(self.seq, self.engine.checkpoint(10_000))


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2])
    campaign = Campaign(seed)
    campaign.run(count)
    counts = campaign.engine.counts
    unjudged = sum(counts[cause] for cause in ("gap", "out_of_range", "duplicate", "revision", "late"))
    assert counts["readings"] == campaign.fates["verdicts"] + unjudged, (counts, campaign.fates)
    assert campaign.intake.counts["payload_internal"] == 0, campaign.intake.dead_letters
    print(json.dumps({**campaign.fates, **campaign.intake.counts, **counts}))


if __name__ == "__main__":
    main()
