"""What is known of jobs on the way: how training goes, what is wrong."""

import msgspec

from edgead.multivariate import VariableState
from edgead.server import orders


class Fault(msgspec.Struct, frozen=True):
    """One entry of `errors`."""

    code: str
    message: str


class ModelState(msgspec.Struct, rename="camel"):
    """How training went: four lists of equal length."""

    epoch_ids: list[int] = []
    train_losses: list[float] = []
    validation_losses: list[float] = []
    latencies_in_seconds: list[float] = []

    def add(self, told: orders.Epochs) -> None:
        """One more entry."""
        self.epoch_ids.append(told.epoch)
        self.train_losses.append(told.loss)
        self.validation_losses.append(told.held_loss)
        self.latencies_in_seconds.append(round(told.latency_s, 6))


class Diagnostics(msgspec.Struct):
    """What is known of a training."""

    model_state: ModelState = msgspec.field(default_factory=ModelState)
    states: tuple[VariableState, ...] = ()


def faults(code: str, message: str) -> bytes:
    """One entry of `errors` as it is stored."""
    return msgspec.json.encode([Fault(code, message)])
