"""Detectors of one variable."""

from edgead.univariate.streaming import DETECTORS, DetectorSettings, StreamingDetector, make_detector

__all__ = ["DETECTORS", "DetectorSettings", "StreamingDetector", "make_detector"]
