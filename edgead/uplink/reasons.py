"""Why something was not taken: a name for programs, a sentence for people."""

from typing import Literal, get_args

import msgspec

from edgead.errors import UplinkError

#: Names of refusals; docs/uplink.md has a line on each.
Reason = Literal[
    "rollback",
    "fast-forward",
    "freeze",
    "expired",
    "mix-and-match",
    "unknown-key",
    "below-threshold",
    "bad-metadata",
    "endless-data",
    "slow",
    "changed-bytes",
    "wrong-length",
    "redirect",
    "tls",
    "target-name",
    "package",
    "trial",
    "fragment",
    "no-root",
    "not-for-us",
]
REASONS: tuple[str, ...] = get_args(Reason)


class Refusal(msgspec.Struct, frozen=True):
    """One thing that was not taken.

    Attributes
    ----------
    reason : str
        One of `REASONS`.
    detail : str
        A sentence.
    target : str
        The target, or the metadata file; "" = the whole repository.
    at_ms : int
        Epoch milliseconds, by the device's clock.
    """

    reason: str
    detail: str
    target: str = ""
    at_ms: int = 0


class Refused(UplinkError):
    """What came is not to be trusted, or not to be used here.

    Parameters
    ----------
    reason : str
        One of `REASONS`.
    detail : str
        A sentence.
    target : str, optional
        What was refused.
    """

    def __init__(self, reason: Reason, detail: str, target: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail
        self.target = target


class Unreachable(UplinkError):
    """The other side did not answer, or broke off; trying again later may help."""
