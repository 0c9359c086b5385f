"""On-device anomaly detection.  The public names; nothing else is promised.

Names are loaded on first use (PEP 562), so that ``edgead --help`` does not import numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgead._version import VERSION as __version__

_HOMES = {
    "Reading": "edgead.records",
    "Verdict": "edgead.records",
    "Event": "edgead.records",
    "EdgeADError": "edgead.errors",
    "InvalidInput": "edgead.errors",
    "detect": "edgead.univariate.rest",
}

__all__ = ["EdgeADError", "Event", "InvalidInput", "Reading", "Verdict", "__version__", "detect"]

if TYPE_CHECKING:
    from edgead.errors import EdgeADError, InvalidInput
    from edgead.records import Event, Reading, Verdict


def __getattr__(name: str) -> Any:
    """Import the home module of a public name on first use."""
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'edgead' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
