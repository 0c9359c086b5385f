"""What routes need, built once for a server."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from edgead.server.jobs import Jobs
from edgead.server.keys import Keys
from edgead.server.measures import Measures
from edgead.server.settings import ServerSettings
from edgead.server.turns import Turns
from edgead.store.fleet import Used

log = logging.getLogger("edgead")

Step = Callable[[], Awaitable[None]]


@dataclass
class ServerContext:
    """The parts of one server.

    Attributes
    ----------
    settings : ServerSettings
    keys : Keys
    measures : Measures
    turns : Turns
        The threads that univariate calls (or other short work without the GIL) are answered by.
    at_start, at_stop : list of async functions
        Called once in the server's loop: before the first request, and after the last (in reverse order).
    open_prefixes : list of str
        Paths that need no key; whoever adds one answers for what lies below.
    device_keys : list of callable
        Each tells whether a key is a device's; devices may read the repository of models.
    problems : dict of str to callable
        Name -> what keeps the server from being ready ("" = nothing).
    in_flight : int
        Requests being answered.
    tasks : set
        uvicorn's tasks, one for each request that has come.
    stopping : bool
        Set when the server takes no more work.
    jobs : Jobs
        Models and detections; there from the start to the stop.
    fleet_used : callable
        What is kept of devices.
    """

    settings: ServerSettings
    keys: Keys
    measures: Measures
    turns: Turns
    at_start: list[Step] = field(default_factory=list)
    at_stop: list[Step] = field(default_factory=list)
    open_prefixes: list[str] = field(default_factory=list)
    device_keys: list[Callable[[str], bool]] = field(default_factory=list)
    problems: dict[str, Callable[[], str]] = field(default_factory=dict)
    in_flight: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    stopping: bool = False
    jobs: Jobs = field(init=False)
    fleet_used: Callable[[], Used] = lambda: Used(records=0, readings=0)

    @classmethod
    def of(cls, settings: ServerSettings) -> "ServerContext":
        """Build the parts that need no loop.

        Raises
        ------
        ConfigError
            If the settings must not be started, or the keys file is wrong.
        """
        settings.check()
        keys = Keys(Path(settings.keys_file) if settings.keys_file else None)
        measures = Measures()
        turns = Turns(settings.worker_threads, settings.max_waiting, settings.request_time / 1e9)
        measures.waiting.set_function(lambda: turns.waiting)
        return cls(settings, keys, measures, turns)

    async def start(self) -> None:
        """Run `at_start`."""
        for step in self.at_start:
            await step()

    async def stop(self) -> None:
        """Run `at_stop`; one that fails is told and does not keep the others from running."""
        self.stopping = True
        for step in reversed(self.at_stop):
            try:
                await step()
            except Exception:
                log.exception("a part did not stop")
        self.turns.close()
