"""The labelled recordings beside the project, as columns and as CSV files with times.

They stay where they are (../shared/data) and are read through the loader that comes with them.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

SHARED = Path(__file__).resolve().parents[2] / "shared"
DATA = SHARED / "data"
#: First time of a recording; they come without one.  2025-11-21T00:00:00Z.
START_MS = 1_763_683_200_000


def evaluate() -> ModuleType:
    """The evaluation harness as a module."""
    spec = importlib.util.spec_from_file_location("evaluate", DATA / "evaluate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(data_set: str, series: str) -> dict[str, object]:
    """A recording: ``x`` of shape (n, d), ``names``, ``interval`` in seconds, labels ``y``, ``n_train``."""
    return evaluate().load({"file": f"public/{data_set}/{series}.npz"})


def write_csv(
    path: Path,
    data_set: str,
    series: str,
    rows: int | None = None,
    columns: int = 1,
    *,
    add: Callable[[int], float] = lambda row: 0.0,
) -> list[str]:
    """Write the first columns of a recording as a CSV with a ``ts`` column; returns their names.

    `add` is added to every value of a row: faults of the test's own.
    """
    recording = load(data_set, series)
    values = np.asarray(recording["x"])[:rows, :columns]
    names = [f"v{i}" for i in range(values.shape[1])]
    step_ms = round(float(str(recording["interval"])) * 1000)
    with open(path, "w") as file:
        file.write(",".join(["ts", *names]) + "\n")
        for row, line in enumerate(values.tolist()):
            file.write(",".join([str(START_MS + row * step_ms), *(repr(v + add(row)) for v in line)]) + "\n")
    return names
