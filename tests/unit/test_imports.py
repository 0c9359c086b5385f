"""What must not be imported for nothing: start-up time and memory of a gateway."""

import subprocess
import sys

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
