"""Whatever a file holds, it is a Recording or an InvalidInput; what was written is read back bit for bit."""

import math
import os
import random
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgead.errors import InvalidInput
from edgead.recording import read_recording
from tests.property.test_config_fuzz import mutate

SEED = 20_240_612
RUNS = 10_000 if os.environ.get("EDGEAD_SOAK") else 1_000
HEAD = "timestamp,temp,state,flow\n"
EPOCH, START = datetime(1970, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
FILES = [
    HEAD + "".join(f"{1700000000 + row},{row / 7},on,{-row}\n" for row in range(30)),
    HEAD.replace(",", ";") + "".join(f"2024-01-01T00:00:{row:02}Z;{row},5;x;\n" for row in range(30)),
    "".join(f"2024/01/01 00:00:{row:02}\t{row}\tnull\n" for row in range(30)),
    '"time","a ""b"""\n' + "".join(f'"2024-01-01T00:00:00.{row:06}+01:00","1e{row}"\n' for row in range(30)),
]

TIMES = st.integers(min_value=0, max_value=200 * 365 * 86_400_000_000)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.campaign
def test_mutated_files_are_read_or_refused_with_reasons(tmp_path: Path):
    random_ = random.Random(SEED)
    path = tmp_path / "r.csv"
    read = 0
    for run in range(RUNS):
        path.write_bytes(mutate(random_.choice(FILES), random_))
        told = str(path)
        try:
            recording = read_recording(path)
        except InvalidInput as error:
            told = str(error)
        else:
            read += 1
            assert recording.times_ns.min() > 0, (SEED, run)
            assert recording.step_ns > 0, (SEED, run)
            for column in recording.columns.values():
                assert column.shape == recording.times_ns.shape, (SEED, run)
                assert not np.isinf(column).any(), (SEED, run)
        assert told.startswith(str(path)), (SEED, run)
    print(f"{RUNS} mutated recordings, seed {SEED}: {read} read, {RUNS - read} refused")
    assert 0 < read < RUNS


@given(
    st.lists(st.tuples(TIMES, NUMBERS), min_size=1, max_size=30),
    st.sampled_from(["us", "iso", "isoz", "east", "west"]),
)
def test_what_was_written_is_read_back_bit_for_bit(
    tmp_path_factory, rows: list[tuple[int, float]], form: str
):
    path = tmp_path_factory.mktemp("csv") / "r.csv"
    moments = [START + timedelta(microseconds=us) for us, _ in rows]
    written = {
        "us": lambda moment: str((moment - EPOCH) // timedelta(microseconds=1)),
        "iso": lambda moment: moment.replace(tzinfo=None).isoformat(" "),
        "isoz": lambda moment: moment.replace(tzinfo=None).isoformat() + "Z",
        "east": lambda moment: moment.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(),
        "west": lambda moment: moment.astimezone(timezone(timedelta(hours=-3))).isoformat(),
    }[form]
    lines = [f"{written(moment)},{value!r}" for moment, (_, value) in zip(moments, rows)]
    path.write_text("\n".join(["ts,v", *lines]) + "\n")
    recording = read_recording(path)
    whole_s = [(moment - EPOCH) // timedelta(microseconds=1) for moment in moments]
    assert recording.times_ns.tolist() == [us * 1000 for us in whole_s]
    for got, (_, value) in zip(recording.columns["v"].tolist(), rows):
        assert got == value
        assert math.copysign(1, got) == math.copysign(1, value)
