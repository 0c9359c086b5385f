"""Whatever a configuration file holds, it is a Config or a ConfigError."""

import os
import random
from pathlib import Path

import pytest

from edgead.config import parse
from edgead.errors import ConfigError

PROFILES = Path(__file__).parents[2] / "firmware-config" / "profiles"
SEED = 20_240_611
RUNS = 10_000 if os.environ.get("EDGEAD_SOAK") else 1_000

FRAGMENTS = [
    "nan", "-inf", "1e999", "99999999999999999999", "true", "''", '"\\u0000"', "[]", "{}", "[[[", "1979-05-27",
    '"{x}"', '"#"', '"+/+"', '"-1s"', '"1s"', "0", "-0.0", "[[series]]", "[mqtt.tls]", "series = 1", "=", "\n",
    "é", "\ud7ff", '"""', "x = {y = {z = 1}}", '"$share/a"', "65536", "0x7fffffffffffffff",
]  # fmt: skip


def mutate(text: str, random_: random.Random) -> bytes:
    lines = text.split("\n")
    for _ in range(random_.randint(1, 6)):
        at = random_.randrange(len(lines))
        line, kind = lines[at], random_.randrange(7)
        if kind == 0:
            lines[at] = line.split("=")[0] + "= " + random_.choice(FRAGMENTS)
        elif kind == 1:
            lines.insert(at, lines[random_.randrange(len(lines))])
        elif kind == 2:
            lines.insert(at, random_.choice(FRAGMENTS))
        elif kind == 3 and len(lines) > 1:
            del lines[at]
        elif kind == 4 and line:
            cut = random_.randrange(len(line))
            lines[at] = line[:cut] + random_.choice(FRAGMENTS) + line[cut:]
        elif kind == 5 and line:
            cut = random_.randrange(len(line))
            lines[at] = line[:cut] + chr(random_.randrange(0x300)) + line[cut + 1 :]
        else:
            lines[at] = "".join(random_.sample(line, len(line)))
    data = bytearray("\n".join(lines).encode())
    if random_.random() < 0.1 and data:
        data[random_.randrange(len(data))] = random_.randrange(256)
    return bytes(data)


@pytest.mark.campaign
def test_mutated_configs_are_read_or_refused_with_reasons():
    profiles = [path.read_text() for path in sorted(PROFILES.glob("*.toml"))]
    random_ = random.Random(SEED)
    read = 0
    for run in range(RUNS):
        data = mutate(random_.choice(profiles), random_)
        told: list[str] = []
        try:
            config = parse(data, "gw.toml")
        except ConfigError as error:
            told = error.mistakes or [""]
        else:
            assert all(block.settings for block in config.series), (SEED, run)
            read += 1
        assert all(sentence.startswith("gw.toml") for sentence in told), (SEED, run)
    print(f"{RUNS} mutated configs, seed {SEED}: {read} read, {RUNS - read} refused")
    assert 0 < read < RUNS
