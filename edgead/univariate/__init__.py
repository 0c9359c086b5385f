"""Detectors of one variable."""

from edgead.univariate.changepoint import ChangePointResult, detect_change_points
from edgead.univariate.detect import EntireResult, LastResult, detect_entire, detect_last
from edgead.univariate.request import Request
from edgead.univariate.streaming import DETECTORS, DetectorSettings, StreamingDetector, make_detector

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
