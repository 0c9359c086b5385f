"""A place with data to read and data that must never be read, for the tests of data sources."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgead.server.sources import Reader, SourceError, SourceSettings

SECRET = "top secret"
TABLE = "timestamp,flow,current\n2026-01-01T00:00:00Z,1,2\n2026-01-01T00:01:00Z,3,4\n"
VARIABLE = "timestamp,value\n2026-01-01T00:00:00Z,1\n"


class Place:
    """A data root with a table and a folder of variables; beside it a secret."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "data"
        self.into = base / "job"
        (self.root / "many").mkdir(parents=True)
        self.into.mkdir()
        (base / "secret.csv").write_text(SECRET)
        (self.root / "one.csv").write_text(TABLE)
        for name in ("flow", "current"):
            (self.root / "many" / f"{name}.csv").write_text(VARIABLE)

    def reader(self, *allowed: str, mapped: Mapping[str, str] | None = None, **settings: Any) -> Reader:
        """A reader of this root and the listed URLs."""
        return Reader(
            SourceSettings(roots=(str(self.root),), allowed=allowed, mapped=mapped or {}, **settings)
        )

    def fetch(self, reader: Reader, source: str, seconds: float = 20) -> Path:
        """Fetch into an empty folder."""
        return reader.fetch(source, empty(self.into), time.monotonic() + seconds)

    def code(self, reader: Reader, source: str, seconds: float = 20) -> str:
        """Code of the refusal; nothing secret may have been copied."""
        with pytest.raises(SourceError) as caught:
            self.fetch(reader, source, seconds)
        assert not holds_secret(self.into)
        assert SECRET not in caught.value.message
        return caught.value.code


def empty(folder: Path) -> Path:
    """A new folder below `folder`."""
    return Path(tempfile.mkdtemp(dir=folder))


def holds_secret(folder: Path) -> bool:
    """Whether a copy of the secret is anywhere below a folder."""
    return any(SECRET.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())
