"""The one place of the version number; packaging and ``edgead --version`` read it from here."""

VERSION = "0.1.0"
