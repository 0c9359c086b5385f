"""Config fragments on the device: more ``[[series]]`` and ``[[group]]`` blocks, checked together with its own file.

Nothing else can be set from outside: not the broker, not where models come from, not a path.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

from edgead.config import parse
from edgead.config.loading import FRAGMENTS
from edgead.durable import sync_folder
from edgead.uplink.disk import read_bounded, write_whole

_MAX_BYTES = 1_000_000


class FragmentFolder:
    """The fragments of one device.

    Parameters
    ----------
    config_file : Path
        The device's own file, as it is now.
    state_dir : Path
        Its state directory.
    """

    def __init__(self, config_file: Path, state_dir: Path) -> None:
        self._config_file = config_file
        self._folder = state_dir / FRAGMENTS

    def take(self, name: str, data: bytes) -> None:
        """Check a fragment together with the file and the other fragments, and put it beside them.

        Raises
        ------
        ConfigError
            If it is wrong; nothing has changed.
        UplinkError
            If the disk refuses.
        """
        others = {path.stem: path.read_bytes() for path in self._folder.glob("*.toml") if path.stem != name}
        parse(self._config_file.read_bytes(), self._config_file, fragments={**others, name: data})
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_whole(self._folder / f"{name}.toml", data)

    def id_of(self, name: str) -> str:
        """Id of the fragment there is: the beginning of its SHA-256; "" when there is none."""
        data = read_bounded(self._folder / f"{name}.toml", _MAX_BYTES)
        return "" if data is None else hashlib.sha256(data).hexdigest()[:16]

    def keep(self, names: set[str]) -> None:
        """Remove the other fragments."""
        gone = [path for path in self._folder.glob("*.toml") if path.stem not in names]
        for path in gone:
            with suppress(OSError):
                path.unlink()
        if gone:
            sync_folder(self._folder)
