"""A process that ends without a farewell while a new model is on trial or watched speaks against that model."""

import functools
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edgead.agent.updates import Step, Update, names_of
from edgead.config import Config
from edgead.errors import ModelPackageError

if TYPE_CHECKING:
    from edgead.registry.shelf import Shelf, Watch

log = logging.getLogger("edgead")

#: Ends of the process without a farewell that turn a model down.
CRASHES = 2


def settle_crashes(config: Config, shelf: "Shelf", now_ns: int) -> list[Update]:
    """Turn down what the last process did not survive twice; call it before any model is loaded.

    A process that ended with the machine is not counted: a power cut says nothing about a model.
    """
    updates: list[Update] = []
    for name in sorted(names_of(config)):
        with suppress(ModelPackageError):  # what cannot be read or written now is no reason not to start
            watch = shelf.watch(name)
            if watch is None:
                continue
            crashes = watch.crashes + (watch.boot == _boot())
            if crashes < CRASHES:
                shelf.note(name, replace(watch, crashes=crashes, boot=_boot()))
            else:
                updates.append(_turn_down(shelf, name, watch.id, now_ns))
    return updates


def _turn_down(shelf: "Shelf", name: str, identity: str, now_ns: int) -> Update:
    reason = f"the process ended {CRASHES} times without a farewell while it was at work"
    version = next(
        (one.manifest.version for one in shelf.packages() if one.manifest.id == identity), "unknown"
    )
    event: Step = "rolled-back" if identity == shelf.active_id(name) else "rejected"
    if event == "rolled-back":
        shelf.withdraw(name, reason, at_ns=now_ns)
    else:
        shelf.reject(name, identity, reason, at_ns=now_ns)
    log.error("model", extra={"fields": {"model": name, "event": event, "reason": reason}})
    return Update(id=identity, event=event, ts=now_ns // 10**6, model=name, version=version, reason=reason)


def watch_over(identity: str, previous: str, until_ns: int, crashes: int) -> "Watch":
    """The watch over a package while this process lives; see `registry.shelf.Watch`."""
    from edgead.registry.shelf import Watch

    return Watch(id=identity, previous=previous, until_ns=until_ns, crashes=crashes, boot=_boot())


@functools.cache
def _boot() -> str:
    """Tells one run of the kernel from the next: its own id (random(4)), or, where the unit hides that, the time of a
    folder that systemd makes at boot and then leaves alone.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        with suppress(OSError):
            return str(os.stat("/run/systemd/inaccessible").st_ctime_ns)
    return "unknown"
