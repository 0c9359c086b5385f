"""Alarms against labels: what was found, how late, what was missed and what was a false alarm.

The rules, chosen so that neither a detector that always alarms nor one that never does can pass:

* A fault is found when an episode of its series *opens* while the fault lasts; a fault shorter than the grace
  counts as lasting that long.  An episode that was open before earns nothing.
* An episode that opens outside every fault of its series is a false alarm.  Opening within the settling time
  after a fault (the value jumps back to normal) is neither found nor false.
* Passed: at least 90 % of the faults found, with at most one false alarm per 1000 readings.
"""

import statistics
from collections.abc import Iterable, Sequence

import msgspec

from edgead.simulate import FAULT_KINDS, FaultKind, Label

FOUND_SHARE, FALSE_PER_1000 = 0.9, 1.0


class Episode(msgspec.Struct, frozen=True):
    """One anomaly of one series as it was told: when it opened."""

    series_id: str
    open_ns: int


class Found(msgspec.Struct, frozen=True):
    """A fault and how long after its first faulty reading the alarm opened, nanoseconds."""

    label: Label
    delay_ns: int


class Grade(msgspec.Struct, frozen=True):
    """How a detector did.

    Attributes
    ----------
    found : tuple of Found
    missed : tuple of Label
    false_alarms : tuple of Episode
    readings : int, > 0
        Readings over which false alarms are counted.
    """

    found: tuple[Found, ...]
    missed: tuple[Label, ...]
    false_alarms: tuple[Episode, ...]
    readings: int

    @property
    def found_share(self) -> float:
        """Share of the faults that were found; 0 when there were none."""
        faults = len(self.found) + len(self.missed)
        return len(self.found) / faults if faults else 0.0

    @property
    def false_per_1000(self) -> float:
        """False alarms per 1000 readings."""
        return 1000.0 * len(self.false_alarms) / self.readings

    @property
    def passed(self) -> bool:
        """Enough found with few enough false alarms."""
        return self.found_share >= FOUND_SHARE and self.false_per_1000 <= FALSE_PER_1000

    def by_kind(self) -> dict[FaultKind, tuple[int, int, float | None]]:
        """By kind of fault: found, of how many, median delay in seconds (None when none was found)."""
        out: dict[FaultKind, tuple[int, int, float | None]] = {}
        for kind in FAULT_KINDS:
            delays = [one.delay_ns / 1e9 for one in self.found if one.label.kind == kind]
            total = len(delays) + sum(label.kind == kind for label in self.missed)
            if total:
                out[kind] = len(delays), total, statistics.median(delays) if delays else None
        return out


def grade(
    labels: Sequence[Label],
    episodes: Iterable[Episode],
    *,
    readings: int,
    grace_ns: int,
    settling_ns: int,
) -> Grade:
    """Hold the episodes against the labels by the rules of this module.

    Parameters
    ----------
    labels : sequence of Label
        Faults of one series do not overlap.
    episodes : iterable of Episode
        In any order.
    readings : int, > 0
        Readings over which false alarms are counted.
    grace_ns, settling_ns : int, >= 0
        See above.
    """
    opened: dict[str, list[int]] = {}
    for episode in episodes:
        opened.setdefault(episode.series_id, []).append(episode.open_ns)
    found, missed = [], []
    for label in labels:
        until_ns = max(label.end_ns, label.start_ns + grace_ns)
        inside = [at for at in opened.get(label.series_id, ()) if label.start_ns <= at <= until_ns]
        if inside:
            found.append(Found(label, min(inside) - label.start_ns))
        else:
            missed.append(label)
    false = [
        Episode(series_id, at)
        for series_id, times in opened.items()
        for at in times
        if not any(
            label.start_ns <= at <= max(label.end_ns, label.start_ns + grace_ns) + settling_ns
            for label in labels
            if label.series_id == series_id
        )
    ]
    false.sort(key=lambda episode: (episode.open_ns, episode.series_id))
    return Grade(tuple(found), tuple(missed), tuple(false), readings)
