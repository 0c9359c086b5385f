"""Mutated payloads through decoder, intake and engine under the sanitizers: each is read, or counted by its cause."""

import json
import os

import pytest

from tests import sanitized

SOAK = bool(os.environ.get("EDGEAD_SOAK"))
SEED = int(os.environ.get("EDGEAD_SEED", "20251121"))
COUNT = 1_000_000 if SOAK else 100_000


@pytest.mark.campaign
@pytest.mark.timeout(0 if SOAK else 900)
def test_every_mutated_payload_is_read_or_counted_and_no_memory_is_misused():
    print(f"seed {SEED}")
    done = sanitized.run(
        "tests/fault/mutation_worker.py", str(COUNT), str(SEED), timeout=None if SOAK else 280
    )
    assert done.returncode == 0, done.stderr[-4000:]
    print(done.stdout)
    fates = json.loads(done.stdout)
    assert fates["read"] + fates["counted"] + fates["empty array"] == COUNT
    assert fates["read"] > COUNT // 10
    assert fates["counted"] > COUNT // 10
    assert fates["events"] > 0
