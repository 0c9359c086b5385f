"""The engine: readings in, verdicts and events out.  Pure: time comes in as ``now_ns``, results are return values.

It is deterministic: the same readings, ticks and commands with the same ``now_ns`` give the same events, which is
what lets a journal of inputs stand in for state that was not saved yet.
"""

from edgead.stream.engine import Engine
from edgead.stream.outcome import Outcome
from edgead.stream.settings import EngineSettings, GroupSettings, SeriesSettings

__all__ = ["Engine", "EngineSettings", "GroupSettings", "Outcome", "SeriesSettings"]
