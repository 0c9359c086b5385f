"""What the last syncs came to, kept on the device: for `status`, `info` and the next sync.  Needs no extra."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from edgead.uplink.disk import FOLDER, read_bounded, write_whole
from edgead.uplink.reasons import Refusal

FILE = "sync.json"
#: Refusals remembered.
REFUSALS_KEPT = 16
#: Releases for others that are told.
LEFT_TOLD = 16
#: Seconds after which a package that failed its trial may be tried again: the device may have been short of memory.
RETRY_S = 86_400
#: Characters of a sentence, and of the name of what was refused, that are kept: part of it is a stranger's text.
DETAIL_CHARS, TARGET_CHARS = 500, 260
_MAX_BYTES = 1_000_000

State = Literal["never", "current", "offered", "installed", "refused", "unreachable", "failed"]


class Taken(msgspec.Struct, frozen=True):
    """Something a sync brought.

    Attributes
    ----------
    kind : {"model", "config"}
    name, version, id : str
    target : str
        Path in the repository.
    state : {"offered", "installed"}
        A model that waits for the agent's shadow run; or what is active now.
    """

    kind: str
    name: str
    version: str
    id: str
    target: str
    state: Literal["offered", "installed"]


class SyncRecord(msgspec.Struct, frozen=True):
    """State of the sync.

    Attributes
    ----------
    attempt_ms, success_ms : int
        Epoch milliseconds of the last attempt, and of the last that refreshed everything; 0 = none.
    state : str
        How the last attempt ended.
    detail : str
        A sentence on it.
    source : str
        Where the repository lay.
    versions : dict of str to int
        Of the roles of the repository that are trusted.
    ends : dict of str to str
        When their signatures end, ISO 8601 UTC.
    signed : str
        The newest signed time there is: no clock that is right says less.
    refused : list of Refusal
        Newest first.
    handled : dict of str to str
        ``kind/name`` to the id that was taken last; what an operator does with it afterwards stays.
    failed : dict of str to int
        Ids that were refused for what they are, and when (epoch ms).
    taken : list of Taken
        Of the last sync that brought something.
    left : list of str
        Releases that are not for this device, and why.
    """

    attempt_ms: int = 0
    success_ms: int = 0
    state: State = "never"
    detail: str = ""
    source: str = ""
    versions: dict[str, int] = {}
    ends: dict[str, str] = {}
    signed: str = ""
    refused: list[Refusal] = []
    handled: dict[str, str] = {}
    failed: dict[str, int] = {}
    taken: list[Taken] = []
    left: list[str] = []

    def with_refusals(self, refusals: list[Refusal]) -> "SyncRecord":
        """The record with more refusals; the same one again moves to the front."""
        same = {(each.reason, each.target) for each in refusals}
        older = [each for each in self.refused if (each.reason, each.target) not in same]
        return msgspec.structs.replace(self, refused=[*refusals, *older][:REFUSALS_KEPT])

    def troubles(self, now_s: float) -> list[str]:
        """What makes a device degraded, in sentences; being offline does not.

        Parameters
        ----------
        now_s : float
            Epoch seconds.
        """
        found = []
        if self.state == "refused" and self.refused:
            found.append(f"uplink: refused, {self.refused[0].reason}: {self.refused[0].detail}")
        if self.state == "failed":
            found.append(f"uplink: {self.detail}")
        now = datetime.fromtimestamp(min(max(now_s, 0.0), 4e9), UTC)
        for role, end in self.ends.items():
            if datetime.fromisoformat(end) <= now:
                found.append(
                    f"uplink: what was signed as {role} ended on {end}; the active models keep running"
                )
        return found


def read_record(state_dir: Path) -> SyncRecord:
    """The record of a device; an empty one when there is none, or it is damaged or longer than it may be.

    Raises
    ------
    UplinkError
        If the file cannot be read.
    """
    path = state_dir / FOLDER / FILE
    with suppress(OSError):
        if path.stat().st_size > _MAX_BYTES:
            return SyncRecord()
    data = read_bounded(path, _MAX_BYTES)
    try:
        return msgspec.json.decode(data, type=SyncRecord) if data else SyncRecord()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return SyncRecord()


def write_record(state_dir: Path, record: SyncRecord) -> None:
    """Replace the record in one step.

    Raises
    ------
    UplinkError
        If the disk refuses.
    """
    write_whole(state_dir / FOLDER / FILE, msgspec.json.encode(record))
