"""What must not be imported for nothing: start-up time and memory of a gateway."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import edgead.cli", ("numpy", "paho", "sqlite3", "edgead.stream")),
        ("import edgead", ("numpy", "msgspec")),
        ("import edgead.agent", ("numpy", "matplotlib", "torch", "onnxruntime")),
        ("import edgead.agent; import edgead.univariate as u; u.make_detector('spectral-residual', "
         "u.DetectorSettings()).judge(1.0, 0)", ("numpy",)),
    ],
)  # fmt: skip
def test_a_start_does_not_import_what_it_does_not_need(statement: str, absent: tuple[str, ...]):
    code = f"import sys; {statement}; print([n for n in {absent!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_onnxruntime_is_loaded_with_its_telemetry_off(tmp_path: Path):
    """Its wheels write an id into the temporary folder and report to their maker, unless told before the import."""
    code = "import edgead.onnx, os; assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, check=True)
    assert list(tmp_path.iterdir()) == []
