"""One step of a registry under the shim, or that step failing at every change in turn.

``registry_worker.py MODELS STEP`` runs the step once.  ``registry_worker.py MODELS STEP SPARE`` copies SPARE to MODELS
again and again and lets the disk be full at change 1, 2, 3 ...; it prints the state each time.
"""

import ctypes
import errno
import json
import os
import shutil
import sys
from pathlib import Path

from edgead.errors import ModelPackageError
from edgead.registry.shelf import Shelf, Watch
from tests import packages

V = {number: packages.id_of(number) for number in (1, 2, 3)}
STEPS = {
    "first": lambda registry: registry.install(packages.variant(1)),
    "install": lambda registry: registry.install(packages.variant(2)),
    "activate": lambda registry: registry.activate("pump", V[2]),
    "third": lambda registry: registry.install(packages.variant(3)),
    "roll back": lambda registry: registry.roll_back("pump"),
    "propose": lambda registry: registry.propose(packages.variant(2)),
    "accept": lambda registry: accept(registry),
    "reject": lambda registry: registry.reject("pump", V[2], "too many alarms"),
    "withdraw": lambda registry: withdraw(registry),
}


def accept(registry: Shelf) -> None:
    if registry.active_id("pump") != V[2]:
        registry.accept("pump", V[2], watch=Watch(id=V[2], previous=V[1], until_ns=9))


def withdraw(registry: Shelf) -> None:
    if registry.active_id("pump") == V[2]:
        registry.withdraw("pump", "too many alarms")


def open_registry(models: Path) -> Shelf:
    return Shelf(models, trial=lambda data: None)


def active(models: Path) -> str:
    """Id of the active package, read and verified; "" where there is none."""
    if not (models / "pump" / "active").exists():
        return ""
    return open_registry(models).active("pump").manifest.id


def main() -> None:
    models, step = Path(sys.argv[1]), STEPS[sys.argv[2]]
    if len(sys.argv) == 3:
        step(open_registry(models))
        return
    shim = ctypes.CDLL(os.environ["LD_PRELOAD"])
    shim.store_faults_arm.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_int]
    shim.store_faults_changes.restype = ctypes.c_long
    told, at = [], 0
    while not told or told[-1]["reason"] or at <= told[-1]["changes"]:
        at += 1
        shutil.rmtree(models, ignore_errors=True)
        shutil.copytree(sys.argv[3], models)
        shim.store_faults_arm(at, 1, errno.ENOSPC)
        reason = ""
        try:
            step(open_registry(models))
        except ModelPackageError as error:
            reason = str(error)
        changes = shim.store_faults_changes()
        shim.store_faults_arm(-1, 0, 0)
        told.append({"changes": changes, "reason": reason, "active": active(models)})
        step(open_registry(models))
        told[-1]["again"] = active(models)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
