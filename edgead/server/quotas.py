"""What clients and jobs of a server may take."""

import msgspec

from edgead.errors import InvalidInput
from edgead.server.orders import Limits

#: Code of detections beyond the quota, which ends by itself.
BUSY = "TooManyRunningDetections"


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """What clients and jobs may take.

    Attributes
    ----------
    models, trainings, detections : int
        Of one client: models kept, jobs not finished.
    at_a_time : int
        Jobs of each kind that run at a time.
    keep_results_ns : int
        Life of a result, from when it was asked for.
    results_bytes : int
        Of all clients' results together; beyond it the oldest go before their time.
    attempts : int
        Times a job is begun whose worker dies.
    epochs : int
        Most epochs of a training.
    limits : Limits
        Memory and time of a job.
    shared : bool
        Whether every client sees the models and results of all, instead of its own.
    """

    models: int = 1000
    trainings: int = 20
    detections: int = 60
    at_a_time: int = 1
    keep_results_ns: int = 7 * 86_400 * 10**9
    results_bytes: int = 4 * 2**30
    attempts: int = 3
    epochs: int = 100
    limits: Limits = Limits(4 * 2**30, 6 * 3600.0)
    shared: bool = False


def within(count: int, most: int, what: str, code: str) -> None:
    """Raise `InvalidInput` with the code when a client has as many of something as it may."""
    if count >= most:
        raise InvalidInput(
            f"There are {count} {what} already, at most {most} are allowed for a client.", code=code
        )
