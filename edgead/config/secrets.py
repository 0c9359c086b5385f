"""Where a password comes from: never from an argument, never printed."""

import os
from collections.abc import Mapping
from pathlib import Path

from edgead.config.settings import MqttConfig
from edgead.errors import ConfigError

CREDENTIAL = "mqtt-password"
VARIABLE = "EDGEAD_MQTT_PASSWORD"
_MAX_BYTES = 64 * 1024


def mqtt_password(mqtt: MqttConfig, environ: Mapping[str, str] = os.environ) -> str | None:
    """The broker password, from the first of: password_file, a systemd credential, the environment.

    Parameters
    ----------
    mqtt : MqttConfig
        As loaded.
    environ : mapping, optional
        Holds ``CREDENTIALS_DIRECTORY`` (the credential is its file ``mqtt-password``) and
        ``EDGEAD_MQTT_PASSWORD``.

    Returns
    -------
    str or None
        Without the line end of a file; None when no user name is set or no source has one.

    Raises
    ------
    ConfigError
        If a file is there but cannot be read as text.
    """
    if not mqtt.username:
        return None
    if mqtt.password_file:
        return _read(Path(mqtt.password_file))
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder and (Path(folder) / CREDENTIAL).is_file():
        return _read(Path(folder) / CREDENTIAL)
    return environ.get(VARIABLE)


def _read(path: Path) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read(_MAX_BYTES).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError([f"{path}: the password cannot be read ({reason})"]) from None
