"""Settings of the engine and of one series: the defaults, ranges and units that ``config`` reads."""

from typing import Literal

import msgspec

from edgead.univariate.streaming import MAX_ROWS_PER_DAY, DetectorSettings

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
LatePolicy = Literal["learn", "drop", "replay"]


class SeriesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one series is read, judged and told about.

    Attributes
    ----------
    step_ns : int, > 0
        Nominal spacing of readings.  A longer spacing counts as missing rows; a shorter one is judged all the same.
    detector : str
        A name of ``univariate.DETECTORS``.
    judging : DetectorSettings
        Window, sensitivity and gates.
    allowed_lateness_ns : int, >= 0
        How long a reading waits for an earlier one that is still under way.
    late : {"learn", "drop", "replay"}
        What a reading does that comes after its row was judged: correct the history, nothing, or correct the
        history and raise events marked as replay.
    stale_after_ns : int, >= 0
        Silence (processing time) after which the series is stale; 0 = ten steps, at least one minute.
    hold_ns : int, >= 0
        How long readings must stay abnormal before an event opens.
    close_after : int, >= 1
        Normal readings in a row that close an episode.
    update_every_ns : int, > 0
        Event time between updates of an open episode.
    unit : str
        Shown to people and sent with events.
    """

    step_ns: int = SECOND_NS
    detector: str = "default"
    judging: DetectorSettings = DetectorSettings()
    allowed_lateness_ns: int = 2 * SECOND_NS
    late: LatePolicy = "learn"
    stale_after_ns: int = 0
    hold_ns: int = 0
    close_after: int = 5
    update_every_ns: int = 60 * SECOND_NS
    unit: str = ""

    @property
    def detecting(self) -> DetectorSettings:
        """What the detector is made with: `judging`, and the rows of a day on this grid, where they can be counted."""
        rows = round(DAY_NS / self.step_ns)
        return msgspec.structs.replace(self.judging, rows_per_day=rows if rows <= MAX_ROWS_PER_DAY else 0)


class GroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which series a model of many variables reads, and how it is told about.

    Attributes
    ----------
    variables : dict of str to str
        Name in the model -> series id.
    hold_ns, close_after, update_every_ns : int
        As of a series; rows for readings.
    max_gap_ns : int, >= 0
        Longest hole of a variable that is filled (event time); when one is missing for longer the group is stale, and
        its window starts anew.  0 = ten steps of the model, at least one minute.
    """

    variables: dict[str, str]
    hold_ns: int = 0
    close_after: int = 5
    update_every_ns: int = 60 * SECOND_NS
    max_gap_ns: int = 0


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the whole engine.

    Attributes
    ----------
    node : str
        Id of this device; part of every event id.
    max_series : int, >= 1
        More series than this are refused, and counted.
    memory_budget_bytes : int, > 0
        Upper bound of all detector states together; a series that would not fit is refused.
    """

    node: str = "edge"
    max_series: int = 1000
    memory_budget_bytes: int = 64 * 1024 * 1024
