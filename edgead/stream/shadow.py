"""A model beside the one of a group: it sees what the group sees, tells nobody, and its alarms are counted."""

from edgead.stream.group import Group, GroupModel
from edgead.stream.outcome import Outcome


class Shadow(Group):
    """A second model of a group, fed after it.

    Parameters
    ----------
    group : Group
        The one that tells.
    model : GroupModel
        Of the same variables, in any order.

    Raises
    ------
    InvalidInput
        If the variables are not those of the model.
    """

    __slots__ = ("_before", "_group")

    def __init__(self, group: Group, model: GroupModel) -> None:
        super().__init__(group.group_id, group.settings, model, group.node)
        self._group = group
        self.begin()

    def begin(self) -> None:
        """Count anew."""
        self.rows = self.alarms = 0
        self._before = (self._group.rows, self._group.alarms)

    @property
    def beside(self) -> tuple[int, int]:
        """Rows that the group judged since this model judged its first, and how many of them are abnormal."""
        return self._group.rows - self._before[0], self._group.alarms - self._before[1]

    def swap(self) -> None:
        """Change places with the model of the group, each with its rows; count anew."""
        group = self._group
        group.model, self.model = self.model, group.model
        group.join, self.join = self.join, group.join
        group.series, self.series = self.series, group.series
        self.begin()

    def take(self, variable: int, time_ns: int, value: float, out: Outcome) -> None:
        """See `Group.take`; nothing comes of it."""
        super().take(variable, time_ns, value, Outcome())
        if not self.rows:
            self._before = (self._group.rows, self._group.alarms)

    def silent(self, out: Outcome) -> None:
        """See `Group.silent`."""
        super().silent(Outcome())

    def rewind(self, out: Outcome) -> None:
        """See `Group.rewind`."""
        super().rewind(Outcome())
