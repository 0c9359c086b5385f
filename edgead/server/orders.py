"""What a job's process is told, and what it tells: msgpack both ways, so neither side can make the other run code."""

from typing import Any

import msgspec

from edgead.multivariate import AlignPolicy, VariableState

#: Longest message a job may send: the answer about 20,000 rows of 300 variables is a quarter of it, as is a package.
MAX_MESSAGE = 64 * 2**20


class Limits(msgspec.Struct, frozen=True):
    """What a job may take.

    Attributes
    ----------
    memory_bytes : int
    time_s : float
        By the wall clock.
    """

    memory_bytes: int
    time_s: float


class TrainOrder(msgspec.Struct, frozen=True, kw_only=True, tag="train"):
    """Train a model on a source.

    Attributes
    ----------
    source, schema : str
        Where the rows lie; ``OneTable`` or ``MultiTable``.
    sources : dict
        Settings of the reader of sources, plain types.
    start_ns, end_ns : int
        First and last time of normal operation.
    window, epochs : int
    align : AlignPolicy
    name, version : str
        Of the package.
    trainer : str
        Module with `Options` and `train`; what the command line hands over.
    created : str
        ISO 8601.
    limits : Limits
    folder : str
        Empty folder of this job on the machine of the server; "" = the worker makes one.
    """

    source: str
    schema: str
    sources: dict[str, Any]
    start_ns: int
    end_ns: int
    window: int
    epochs: int
    align: AlignPolicy
    name: str
    version: str
    trainer: str
    created: str
    limits: Limits
    folder: str = ""


class DetectOrder(msgspec.Struct, frozen=True, kw_only=True, tag="detect"):
    """Judge the rows of a source; attributes as of `TrainOrder`, and the bytes of the model's package."""

    source: str
    schema: str
    sources: dict[str, Any]
    start_ns: int
    end_ns: int
    package: bytes
    limits: Limits
    folder: str = ""


Order = TrainOrder | DetectOrder


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """The data were read and aligned."""

    states: tuple[VariableState, ...]


class Epochs(msgspec.Struct, frozen=True, tag="epochs"):
    """Training got so far.

    Attributes
    ----------
    epoch : int
        The last one, from 1.
    loss, held_loss : float
        Of that epoch: on the rows learned from, on the rows held back.
    latency_s : float
        Mean seconds of an epoch since the one told before.
    """

    epoch: int
    loss: float
    held_loss: float
    latency_s: float


class Trained(msgspec.Struct, frozen=True, tag="trained"):
    """The package is ready."""

    package: bytes


class Detected(msgspec.Struct, frozen=True, tag="detected"):
    """The rows are judged.

    Attributes
    ----------
    states : tuple of VariableState
        Of the rows judged and the history before them.
    parts : tuple of bytes
        The answer as `edgead.server.answers` encodes it.
    """

    states: tuple[VariableState, ...]
    parts: tuple[bytes, ...]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """It cannot be done, and trying again would not help."""

    code: str
    message: str


Outcome = Trained | Detected | Failed
Told = Seen | Epochs | Outcome

_orders: msgspec.msgpack.Decoder[Order] = msgspec.msgpack.Decoder(Order)
_told: msgspec.msgpack.Decoder[Told] = msgspec.msgpack.Decoder(Told)


def encode(message: Order | Told) -> bytes:
    """One message as bytes."""
    return msgspec.msgpack.encode(message)


def decode_order(data: bytes) -> Order:
    """The order in these bytes; `msgspec.MsgspecError` when there is none."""
    return _orders.decode(data)


def decode_told(data: bytes | memoryview) -> Told:
    """What a job told; `msgspec.MsgspecError` when it is nothing of that kind."""
    return _told.decode(data)
