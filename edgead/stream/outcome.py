"""What a call of the engine brought about."""

from edgead.records import Event, Verdict


class Outcome:
    """What the engine's last call brought about.

    Attributes
    ----------
    verdicts : list of Verdict
        One for each reading that became final and each row of a group, in the order of judging.
    events : list of Event
        What is worth telling, in order.
    changed : set of str
        Series and groups (``group/{id}``) whose phase changed.
    """

    __slots__ = ("changed", "events", "verdicts")

    def __init__(self) -> None:
        self.verdicts: list[Verdict] = []
        self.events: list[Event] = []
        self.changed: set[str] = set()
