"""What a call of the engine brought about."""

from edgead.records import Event, Verdict
from edgead.stream.batch import Batch


class Outcome:
    """What the engine's last call brought about.

    Parameters
    ----------
    batch : Batch, optional
        Where readings wait for one call of a network; without it each is judged at once.

    Attributes
    ----------
    verdicts : list of Verdict
        One for each reading that became final and each row of a group, in the order of judging.
    events : list of Event
        What is worth telling, in order.
    changed : set of str
        Series and groups (``group/{id}``) whose phase changed.
    """

    __slots__ = ("batch", "changed", "events", "verdicts")

    def __init__(self, batch: Batch | None = None) -> None:
        self.verdicts: list[Verdict] = []
        self.events: list[Event] = []
        self.changed: set[str] = set()
        self.batch = batch

    def settle(self) -> None:
        """Judge what waits: nothing that follows may find a series between reading and verdict."""
        if self.batch is not None:
            self.batch.judge(self)
