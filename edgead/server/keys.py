"""Who may call: the keys file, two keys a client, so that one can be changed while the other is in use.

A line is ``NAME:KEY1`` or ``NAME:KEY1:KEY2``; a key is plain, or ``sha256:`` and the 64 hexadecimal digits of its
SHA-256.  Empty lines and lines that begin with ``#`` say nothing.
"""

import hashlib
import hmac
import os
import re
from pathlib import Path

from edgead.errors import ConfigError

MAX_FILE_BYTES = 1024 * 1024
#: A longer key is hashed by nobody: headers are bounded anyway.
MAX_KEY_CHARS = 512
#: Mistakes that are told one by one; a wrong file has one in each line.
MAX_TOLD = 10
#: How often a change of the file is looked for.
LOOK_EVERY_S = 1.0

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DIGEST = re.compile(r"[0-9a-fA-F]{64}")

#: The client of a server without keys.
NOBODY = ""


class Keys:
    """The keys of a file, read again when it changes.

    Parameters
    ----------
    path : Path or None
        The file; None = no keys, and every caller is `NOBODY`.

    Raises
    ------
    ConfigError
        With the mistakes of the file.  Later a bad file changes nothing and is told by `reload`.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._next_look = 0.0
        self._seen = _stamp(path)
        self._keys = read_keys(path) if path else []
        self._count = len(self.clients)

    @property
    def needed(self) -> bool:
        """Whether a caller needs a key."""
        return self._path is not None

    @property
    def count(self) -> int:
        """How many clients have keys."""
        return self._count

    @property
    def clients(self) -> list[str]:
        """Names of the clients, sorted."""
        return sorted({name for name, _ in self._keys})

    def client_of(self, key: str) -> str | None:
        """The client that a key belongs to, or None.

        The time it takes depends on the number of keys, not on which matches or how much of it.
        """
        if self._path is None:
            return NOBODY
        presented = hashlib.sha256(key[:MAX_KEY_CHARS].encode()).digest()
        found = None
        for name, digest in self._keys:
            if hmac.compare_digest(digest, presented):
                found = name
        return found if len(key) <= MAX_KEY_CHARS else None

    def reload(self) -> str:
        """Read the file again; gives what is wrong with it ("" = nothing, and the new keys are in force)."""
        if self._path is None:
            return ""
        self._seen = _stamp(self._path)
        try:
            self._keys = read_keys(self._path)
            self._count = len(self.clients)
        except ConfigError as error:
            return "; ".join(error.mistakes)
        return ""

    def look(self, now_s: float) -> str | None:
        """Reload if the file changed, at most once a second; None = it did not, otherwise as `reload`."""
        if self._path is None or now_s < self._next_look:
            return None
        self._next_look = now_s + LOOK_EVERY_S
        return self.reload() if _stamp(self._path) != self._seen else None


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path) if path else None
    except OSError:
        return None
    return status and (status.st_ino, status.st_size, status.st_mtime_ns)


def read_keys(path: Path) -> list[tuple[str, bytes]]:
    """Client and SHA-256 of each key of a file.

    Raises
    ------
    ConfigError
        With the first mistakes and how many more there are; no key is ever in a message.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError([f"{path}: the keys cannot be read ({reason})"]) from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError([f"{path}: too large, expected at most 1 MiB"])
    return _parse(text, str(path))


def _parse(text: str, file: str) -> list[tuple[str, bytes]]:
    keys: list[tuple[str, bytes]] = []
    mistakes: list[str] = []
    owners: dict[bytes, str] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, _, rest = line.partition(":")
        digests = _digests(rest)
        if not _NAME.fullmatch(name) or digests is None:
            expected = "NAME:KEY or NAME:KEY1:KEY2, a key plain or sha256: and 64 hexadecimal digits"
            mistakes.append(f"{file}:{number}: expected {expected}")
        elif name in lines:  # who has written KEY:NAME has a key there
            mistakes.append(
                f"{file}:{number}: expected each client once, line {lines[name]} has the same name"
            )
        elif any(owners.setdefault(digest, name) != name for digest in digests):
            mistakes.append(f"{file}:{number}: expected keys of its own, another client has one of them")
        else:
            lines[name] = number
            keys += [(name, digest) for digest in digests]
    if not keys and not mistakes:
        mistakes.append(f"{file}: expected at least one line NAME:KEY")
    if len(mistakes) > MAX_TOLD:
        mistakes[MAX_TOLD:] = [
            f"{file}: {len(mistakes) - MAX_TOLD} more lines are wrong, is it the keys file?"
        ]
    if mistakes:
        raise ConfigError(mistakes)
    return keys


def _digests(text: str) -> list[bytes] | None:
    """SHA-256 of the one or two keys of a line, or None."""
    parts = text.split(":")
    digests = []
    while parts:
        key = parts.pop(0).strip()
        if key == "sha256" and parts:
            key = parts.pop(0).strip()
            if not _DIGEST.fullmatch(key):
                return None
            digests.append(bytes.fromhex(key))
        elif key and key.isprintable() and len(key) <= MAX_KEY_CHARS:
            digests.append(hashlib.sha256(key.encode()).digest())
        else:
            return None
    return digests if 1 <= len(digests) <= 2 else None
