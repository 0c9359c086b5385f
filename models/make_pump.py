"""Recipe of models/pump.zip: ``python models/make_pump.py`` (needs the extra `train`).

Trained on the pump of `edgead.simulate` alone; the same seed gives the same package.
"""

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from edgead.multivariate import AlignPolicy, align  # noqa: E402
from edgead.simulate import PUMP, simulate  # noqa: E402
from edgead.training import Options, train  # noqa: E402

ROWS, SEED = 24_000, 20260101
START_NS = 1_767_225_600_000_000_000
CREATED = "2026-01-01T00:00:00Z"


def _tell(epoch: int, loss: float, held_back: float) -> None:
    print(f"epoch {epoch}: {loss:.4f}, held back {held_back:.4f}")


def main() -> None:
    """Write the package and print what is known of it."""
    columns = simulate(PUMP, ROWS, seed=SEED)
    times = START_NS + np.arange(ROWS, dtype=np.int64) * 1_000_000_000
    table = align({name: (times, column.values) for name, column in columns.items()}, AlignPolicy())
    units = {name: sensor.unit for name, sensor in PUMP.sensors.items()}
    options = Options(name="pump", units=units, seed=SEED)
    trained = train(table, options, created=CREATED, progress=_tell)
    (ROOT / "models" / "pump.zip").write_bytes(trained.package)
    print(
        f"{len(trained.package)} bytes, {trained.parameters} numbers, parity {trained.parity:.1g}, "
        f"{trained.held_alarm_rate:.5f} of held-back rows alarm"
    )


if __name__ == "__main__":
    main()
