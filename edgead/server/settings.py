"""What a server is told: the ``[server]`` table of a configuration file, and where its state lies."""

import ipaddress
import os
from pathlib import Path

import msgspec

from edgead.config import Config, NodeConfig, ServerConfig
from edgead.errors import ConfigError


class ServerSettings(ServerConfig, frozen=True, kw_only=True):
    """Every setting of ``[server]``, and the state directory.

    Attributes
    ----------
    state_dir : str
        Folder of models, results and jobs; made when missing.
    trainer : str
        Module that trains models, which the command line hands over; "" where none is installed.
    """

    state_dir: str = NodeConfig().state_dir
    trainer: str = ""

    @classmethod
    def of(cls, config: Config, **changes: object) -> "ServerSettings":
        """The settings of a configuration; `changes` that are not None win.

        Raises
        ------
        ConfigError
            If a change is not of the setting's type or out of its range.
        """
        told = {**msgspec.structs.asdict(config.server), "state_dir": config.node.state_dir}
        told |= {name: value for name, value in changes.items() if value is not None}
        try:
            return msgspec.convert(told, cls)
        except msgspec.ValidationError as error:
            raise ConfigError([f"{error}"]) from None

    @property
    def state(self) -> Path:
        """The state directory."""
        return Path(self.state_dir)

    @property
    def on_this_host_only(self) -> bool:
        """Whether `host` can be reached from this machine only."""
        return is_loopback(self.host)

    @property
    def worker_threads(self) -> int:
        """Univariate calls answered at a time: all processors that this process may use, unless told."""
        return self.threads or len(os.sched_getaffinity(0))

    def check(self) -> None:
        """Refuse what must not be started.

        Raises
        ------
        ConfigError
            If others could reach the server and there are no keys, or half a certificate is given.
        """
        mistakes = []
        if not (self.on_this_host_only or self.keys_file or self.without_keys):
            mistakes.append(
                f"server.host = {self.host!r} can be reached from other machines and there are no keys: expected "
                "keys_file (--keys-file), or without_keys = true (--without-keys) if that is meant"
            )
        if bool(self.tls_cert) != bool(self.tls_key):
            mistakes.append("server.tls_cert and server.tls_key belong together: expected both or neither")
        if mistakes:
            raise ConfigError(mistakes)


def is_loopback(host: str) -> bool:
    """Whether a name or address, as in a URL or to listen on, is of this machine only."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
