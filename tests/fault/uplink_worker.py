"""One sync from a folder under the shim, or that sync failing at every change of the disk in turn.

``uplink_worker.py STATE REPOSITORY`` syncs once and makes what it brings active.  With SPARE behind it, it copies SPARE
to STATE again and again and lets the disk be full at change 1, 2, 3 ...; it prints what came of it.
"""

import ctypes
import errno
import json
import os
import shutil
import sys
from pathlib import Path

from edgead.config import UplinkConfig
from edgead.errors import EdgeADError
from edgead.registry.shelf import Shelf
from edgead.uplink.sync import run_sync


def sync(state: Path, repository: Path) -> str:
    """How it ended, or why it failed."""
    shelf = Shelf(state / "models", trial=lambda data: None)
    try:
        outcome = run_sync(
            UplinkConfig(), shelf, device="gw1", state_dir=state, activate=True, source=repository
        )
    except EdgeADError as error:
        return f"failed: {error}"
    return outcome.state


def active(state: Path) -> str:
    """Id of the active package, read and verified."""
    return Shelf(state / "models").active("pump").manifest.id


def main() -> None:
    state, repository = Path(sys.argv[1]), Path(sys.argv[2])
    if len(sys.argv) == 3:
        print(sync(state, repository))
        return
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.store_faults_arm.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_int]
    shim.store_faults_changes.restype = ctypes.c_long
    told, at, changes = [], 0, 1
    while at <= changes:
        at += 1
        shutil.rmtree(state, ignore_errors=True)
        shutil.copytree(sys.argv[3], state)
        shim.store_faults_arm(at, 10**6, errno.ENOSPC)  # full from there on
        ended = sync(state, repository)
        changes = shim.store_faults_changes()
        shim.store_faults_arm(-1, 0, 0)
        told.append({"ended": ended, "active": active(state)})
        told[-1]["healed"] = sync(state, repository)
        told[-1]["then"] = active(state)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
