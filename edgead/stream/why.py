"""Why a reading was, or was not, called abnormal: its verdict taken again, with the parts it was made of.

A verdict is explained by judging the journal again from the last snapshot and stopping at the reading asked for, which
is exact.  What lies before the snapshot cannot be judged again: that is said, not guessed.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, cast

import msgspec

from edgead.records import Verdict
from edgead.stream import journal, snapshot
from edgead.stream.outcome import Outcome
from edgead.stream.series import Pending, Series
from edgead.stream.settings import SeriesSettings
from edgead.univariate.streaming import Judgement, StreamingDetector

#: Readings before the one explained that are shown.
READINGS_SHOWN = 10


class Explanation(msgspec.Struct, frozen=True):
    """One verdict and what it was made of.

    Attributes
    ----------
    verdict : Verdict
    parts : dict of str to float or str
        The detector's own account of the judgement, see its ``explain``; empty before the first judgement that this
        device still has the inputs of.
    missing : int
        Rows missing before the reading.
    episode_since_ns : int
        When the open episode began; 0 = none is open after this reading.
    gates : dict of str to float or str
        ``min_abs``, ``min_rel``, ``direction``, ``hold_s``, as they were set.
    held_back_by : str
        Why a score of at least 1 was no anomaly; "" where that is not the case.
    needed : int
        Readings still missing until judgements count.
    before : list of (int, float)
        Times and values of the last readings before, oldest first.
    """

    verdict: Verdict
    parts: dict[str, float | str]
    missing: int
    episode_since_ns: int
    gates: dict[str, float | str]
    held_back_by: str
    needed: int
    before: list[tuple[int, float]]


class _Witness:
    """A detector that notes what every judgement was made of."""

    def __init__(self, detector: StreamingDetector) -> None:
        self._detector = detector
        self.accounts: list[tuple[dict[str, float | str], int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)

    def judge(self, value: float, missing: int) -> Judgement:
        judgement = self._detector.judge(value, missing)
        self.accounts.append((self._detector.explain(), missing))
        return judgement


def explain(
    series_id: str,
    saved: tuple[int, bytes] | None,
    entries: Iterable[tuple[int, bytes]],
    settings: SeriesSettings,
    node: str,
    at_ns: int | None = None,
) -> Explanation | None:
    """Explain the newest verdict of a series, or the one about a time.

    Parameters
    ----------
    series_id : str
        Name of the series.
    saved : (int, bytes) or None
        The last journal entry a snapshot includes, and the snapshot.
    entries : iterable of (int, bytes)
        The journal, ascending.
    settings : SeriesSettings
        Of the series.
    node : str
        Id of the device.
    at_ns : int or None
        The last reading at or before this time is explained; None = the newest.

    Returns
    -------
    Explanation or None
        None when no reading of the series can be judged again up to that time.
    """
    if settings.late == "replay":  # what came too late is judged by a twin; it is not asked for here
        settings = msgspec.structs.replace(settings, late="learn")
    through, blob = saved or (0, b"")
    series = snapshot.restore(series_id, snapshot.decode(blob), settings, node) if blob else None
    found = None
    if (
        series is not None
        and series.verdict is not None
        and (at_ns is None or series.verdict.time_ns <= at_ns)
    ):
        found = _explanation(series, series.verdict, series.detector.explain(), 0)
    for _, entry in (each for each in entries if each[0] > through):
        for noted in journal.decode(entry):
            if series is not None:
                found = _take(series, noted, at_ns) or found
            elif isinstance(noted, journal.Added) and noted.series_id == series_id:
                series = Series(series_id, noted.key, noted.source, settings, node)
    return found


def _take(series: Series, noted: journal.Input, at_ns: int | None) -> Explanation | None:
    """Feed one input; the explanation of the last verdict in time that it brought."""
    found = None
    for step in _steps(series, noted):
        detector = series.detector
        witness = _Witness(detector)
        series.detector = cast(StreamingDetector, witness)
        out = Outcome()
        step(out)
        if series.detector is witness:  # else it relearned meanwhile
            series.detector = detector
        for verdict, account in zip(out.verdicts, witness.accounts, strict=False):
            if at_ns is None or verdict.time_ns <= at_ns:
                found = _explanation(series, verdict, *account)
    return found


def _steps(series: Series, noted: journal.Input) -> Iterator[Callable[[Outcome], None]]:
    """What an input means for this series, reading by reading."""
    counts: Counter[str] = Counter()
    if isinstance(noted, journal.Fed):
        for key, row in journal.rows(noted):
            if key == series.key:
                yield partial(_feed, series, row, noted.now_ns, counts)
    elif isinstance(noted, journal.Ticked):
        for key, asked in zip(noted.keys, noted.actions, strict=True):
            if key == series.key:
                yield partial(series.act, asked)
    elif isinstance(noted, journal.Commanded) and noted.series_id == series.series_id:
        yield partial(series.obey, noted.verb, noted.until_ns)


def _feed(series: Series, row: Pending, now_ns: int, counts: Counter[str], out: Outcome) -> None:
    series.feed(row, now_ns, out, counts)


def _explanation(
    series: Series, verdict: Verdict, parts: dict[str, float | str], missing: int
) -> Explanation:
    settings = series.settings
    judging = settings.judging
    rows = series.recent.last(READINGS_SHOWN + 1)
    return Explanation(
        verdict=verdict,
        parts=parts,
        missing=missing,
        episode_since_ns=series.episode.since_ns if series.episode.is_open else 0,
        gates={
            "min_abs": judging.min_abs,
            "min_rel": judging.min_rel,
            "direction": judging.direction,
            "hold_s": settings.hold_ns / 1e9,
        },
        held_back_by=_held_back_by(verdict, settings),
        needed=series.detector.needed,
        before=[row for row in rows if row[0] < verdict.time_ns],
    )


def _held_back_by(verdict: Verdict, settings: SeriesSettings) -> str:
    """The gate that kept a value outside the band from being an anomaly, or ``budget``: louder ones used it up."""
    judging = settings.judging
    if verdict.is_anomaly or verdict.score < 1.0:
        return ""
    if verdict.phase == "learning":
        return "learning"
    deviation = verdict.value - verdict.expected
    if (judging.direction == "above" and deviation < 0) or (judging.direction == "below" and deviation > 0):
        return "direction"
    if abs(deviation) < judging.min_abs:
        return "min_abs"
    return "min_rel" if abs(deviation) < judging.min_rel * abs(verdict.expected) else "budget"
