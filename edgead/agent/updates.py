"""What becomes of packages: which models a configuration asks for, what an explosion of alarms is, and what is told."""

from typing import Literal

import msgspec

from edgead.agent.network import network_of
from edgead.config import Config

#: Alarms on so many of the rows, or on so many rows where that is more, are no explosion whatever the other says.
TOLERATED_SHARE, TOLERATED_ROWS = 0.01, 3

Step = Literal["offered", "activated", "rejected", "rolled-back", "kept", "refused"]


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a package: told to the log and, with an uplink, to the server.

    Attributes
    ----------
    id : str
        Of the package.
    event : {"offered", "activated", "rejected", "rolled-back", "kept", "refused"}
        Its shadow run began; it is at work; it was turned down before or after that; the watch over it is over; the
        sync did not take it.
    ts : int
        Epoch milliseconds.
    model, version : str
    reason : str
        In words; "" where there is nothing to say.
    rows, alarms, rows_beside, alarms_beside : int
        Rows it judged and how many of them are abnormal, and the same of the model beside it.
    """

    id: str
    event: Step
    ts: int
    model: str
    version: str
    reason: str = ""
    rows: int = 0
    alarms: int = 0
    rows_beside: int = 0
    alarms_beside: int = 0


class Tally(msgspec.Struct, frozen=True):
    """Two models on the same rows."""

    rows: int
    alarms: int
    rows_beside: int
    alarms_beside: int

    def explosion(self, planned: int, ratio: float, unit: str = "rows") -> str:
        """Why a model has too many alarms, in words; "" when it has not.

        Parameters
        ----------
        planned : int
            Rows that a comparison has, a share of which may be abnormal whatever the other says.
        ratio : float
            Alarms for each of the other.
        unit : str
            What rows are, for people.
        """
        scale = self.rows / self.rows_beside if self.rows_beside else 1.0
        allowed = ratio * scale * self.alarms_beside + max(TOLERATED_ROWS, TOLERATED_SHARE * planned)
        if self.alarms <= allowed:
            return ""
        beside = f"the other model on {self.alarms_beside} of {self.rows_beside}"
        return f"too many alarms: on {self.alarms} of {self.rows} {unit}, {beside}"


def uses_models(config: Config) -> bool:
    """Whether a group asks for an installed model, or a series for a network."""
    return bool(names_of(config))


def names_of(config: Config) -> set[str]:
    """Names of the models that groups and series ask for, and that can be installed."""
    groups = {group.model for group in config.group if not group.model.endswith(".zip")}
    return groups | ({network_of(config)} - {""})
