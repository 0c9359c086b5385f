"""Where a mistake is and how it is told: one line each with file, line, key, value and what was expected."""

import difflib
import json
import re
from collections.abc import Iterable

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\-\s]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"\s*([A-Za-z0-9_\-]+(?:\s*\.\s*[A-Za-z0-9_\-]+)*)\s*=")
_PARENT = re.compile(r"(^|\.)[^.\[]+$|\[[0-9]+\]$")
_SHOWN = 60


def show(value: object) -> str:
    """A value as it could stand in the file, cut where it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (RecursionError, ValueError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def nearest(name: str, known: Iterable[str], cutoff: float = 0.5) -> str:
    """``; did you mean "x"?`` or nothing."""
    name, written = name[:64].lower(), {candidate.lower(): candidate for candidate in known}
    longer = [candidate for candidate in written if len(name) > 2 and candidate.startswith(name)]
    close = longer or difflib.get_close_matches(name, written, n=1, cutoff=cutoff)
    return f'; did you mean "{written[close[0]]}"?' if close else ""


class Mistakes:
    """Collects what is wrong in one file.

    Parameters
    ----------
    file : str
        Shown at the head of each line.
    text : str
        Searched for the line of each key; a key that cannot be found is told without a line.
    """

    def __init__(self, file: str, text: str = "") -> None:
        self._file = file
        self._lines = _line_numbers(text)
        self._found: list[tuple[int, str]] = []

    def add(self, path: str, sentence: str) -> None:
        """Note a mistake at a key path such as ``series[2].interval``."""
        line = self._line(path)
        where = f"{self._file}:{line}" if line else self._file
        self._found.append((line, f"{where}: {path}{sentence}"))

    def expected(self, path: str, value: object, expectation: str) -> None:
        """Note a value that is not what it should be; the value of a secret is never shown."""
        shown = "" if "password" in path else f" = {show(value)}"
        self.add(path, f"{shown}: expected {expectation}")

    def unknown(self, path: str, known: Iterable[str]) -> None:
        """Note a key that does not exist, with the nearest that does; its value may be a secret."""
        name = path.rpartition(".")[2]
        if name in ("password", "passwd", "secret", "token"):
            self.add(path, ": unknown key; secrets do not belong here, use password_file")
        else:
            self.add(path, f": unknown key{nearest(name, known) or '; known here: ' + ', '.join(known)}")

    @property
    def sentences(self) -> list[str]:
        """Every mistake in the order of the file."""
        return [sentence for _, sentence in sorted(self._found, key=lambda found: found[0])]

    def __len__(self) -> int:
        return len(self._found)

    def _line(self, path: str) -> int:
        while path:
            if path in self._lines:
                return self._lines[path]
            path = _PARENT.sub("", path)
        return 0


def _line_numbers(text: str) -> dict[str, int]:
    """Line of each key path of a TOML text written the usual way, one key a line."""
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if header := _HEADER.fullmatch(line):
            name = re.sub(r"\s", "", header[2])
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                name = f"{name}[{counts[name]}]"
            lines.setdefault(name, number)
            prefix = name + "."
        elif key := _KEY.match(line):
            lines.setdefault(prefix + re.sub(r"\s", "", key[1]), number)
    return lines
