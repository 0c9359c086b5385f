"""The one place of the version number; packaging and ``edgead --version`` read it from here."""

VERSION = "0.1.0"
#: A day (ISO 8601) before the release: a device whose clock says less has a wrong clock.  Raised with releases.
RELEASED = "2025-01-01"
