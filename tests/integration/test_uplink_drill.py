"""The key ceremony and its accidents, played through with the real commands as a user would."""

import os
import subprocess
import sys
from pathlib import Path

from tests import packages

ROOT = Path(__file__).resolve().parents[2]


def test_the_drill_of_the_documents(tmp_path: Path):
    old, new = tmp_path / "old.zip", tmp_path / "new.zip"
    old.write_bytes(packages.variant(1))
    new.write_bytes(packages.variant(2))
    told = {"EDGEAD": f"{sys.executable} -m edgead", "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        ["sh", ROOT / "firmware-config/uplink/key-drill.sh", old, new],
        env=os.environ | told,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert done.stdout.endswith("drill: all right\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.zip", "old.zip"]
    assert not [line for line in done.stderr.splitlines() if "passphrase of" in line]
