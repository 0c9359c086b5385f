"""Detectors of one variable: streaming, and the service's batch answers.

Names are loaded on first use: a device that judges readings one by one imports neither numpy nor the batch detectors.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "ChangePointResult": "changepoint",
    "DETECTORS": "streaming",
    "DetectorSettings": "streaming",
    "EntireResult": "detect",
    "LastResult": "detect",
    "Request": "request",
    "StreamingDetector": "streaming",
    "detect_change_points": "changepoint",
    "detect_entire": "detect",
    "detect_last": "detect",
    "make_detector": "streaming",
}

__all__ = [
    "DETECTORS",
    "ChangePointResult",
    "DetectorSettings",
    "EntireResult",
    "LastResult",
    "Request",
    "StreamingDetector",
    "detect_change_points",
    "detect_entire",
    "detect_last",
    "make_detector",
]

if TYPE_CHECKING:
    from edgead.univariate.changepoint import ChangePointResult, detect_change_points
    from edgead.univariate.detect import EntireResult, LastResult, detect_entire, detect_last
    from edgead.univariate.request import Request
    from edgead.univariate.streaming import DETECTORS, DetectorSettings, StreamingDetector, make_detector


def __getattr__(name: str) -> Any:
    """Import the home module of a public name on first use (PEP 562)."""
    if name in _HOMES:
        value = getattr(import_module(f"edgead.univariate.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'edgead.univariate' has no attribute {name!r}")
