"""Files that hold tables: their names in a folder, and what a snapshot turns out to be."""

import re
from pathlib import Path

from edgead.recording import ENDINGS
from edgead.server.sources.budget import SourceError

#: Tables of a folder; the service took 300 variables, and the reader of the recording says so by its own code.
MAX_TABLES = 1000
_PLAIN = re.compile(r"[^/\\\x00-\x1f\x7f]{1,255}")


def is_table(name: str) -> bool:
    """Whether a file of this name is read as a variable; hidden files are not."""
    return name.lower().endswith(ENDINGS) and not name.startswith(".")


class TableNames:
    """Names of the tables of one folder, checked as they are met."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._stems: set[str] = set()

    def add(self, name: str) -> None:
        """Take one more name.

        Raises
        ------
        SourceError
            ``ReadingFileError`` for a name that is not plain, ``DuplicatedVariables``, ``DataExceedsLimit``.
        """
        if not _PLAIN.fullmatch(name) or not _is_text(name):
            raise SourceError(f"{self._source}: {name!r} is no plain file name", code="ReadingFileError")
        stem = Path(name).stem
        if stem in self._stems:
            raise SourceError(
                f"{self._source}: two files of the variable {stem!r}", code="DuplicatedVariables"
            )
        self._stems.add(stem)
        if len(self._stems) > MAX_TABLES:
            raise SourceError(f"{self._source}: more than {MAX_TABLES} tables", code="DataExceedsLimit")

    def expect_some(self) -> None:
        """Raise ``NoVariablesFound`` if there was none."""
        if not self._stems:
            endings = ", ".join(ENDINGS)
            raise SourceError(f"{self._source}: no files of variables ({endings})", code="NoVariablesFound")


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def kind_of(path: Path) -> str:
    """``zip``, ``parquet`` or ``csv``, by the first bytes: names and content types of a server lie."""
    with open(path, "rb") as file:
        start = file.read(4)
    if start in (b"PK\x03\x04", b"PK\x05\x06"):
        return "zip"
    return "parquet" if start == b"PAR1" else "csv"
