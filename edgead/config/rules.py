"""Rules between keys, and the topics, ids and files they name."""

from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from edgead.config.mistakes import Mistakes, nearest, show
from edgead.config.settings import SERVER_FILES, Config, MqttConfig, SeriesConfig, ServerConfig, UplinkConfig
from edgead.config.topics import field_name, literal_ids, pattern_fault, template_fault
from edgead.config.units import show_duration
from edgead.univariate import DETECTORS
from edgead.univariate.streaming import lacking

_Key = TypeVar("_Key")
#: Keys of ``[uplink]`` that name files.
UPLINK_FILES = ("root", "credentials_file", "client_cert", "ca")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def check(config: Config, mistakes: Mistakes) -> None:
    """Note every mistake of a config whose single values are right (or have been replaced by defaults)."""
    _check_mqtt(config.mqtt, mistakes)
    _check_uplink(config.uplink, mistakes)
    _check_server(config.server, mistakes)
    topics: dict[tuple[str, str], int] = {}
    ids: dict[str, int] = {}
    for number, block in enumerate(config.series):
        path = f"series[{number}]"
        _check_paths(path, block, mistakes)
        if block.topic and _check_topic(path, block, config, mistakes):
            first = _taken(topics, [(block.topic, value) for value in block.values], number)
            if first is not None:
                expected = f"each topic and value once, series[{first}] has it"
                mistakes.expected(f"{path}.topic", block.topic, expected)
                continue
            for series_id in literal_ids(block.topic, block.id, block.fields):
                first = _taken(ids, [series_id], number)
                if first is not None:
                    mistakes.expected(f"{path}.id", series_id, f"each id once, series[{first}] has it")
    _check_groups(config, mistakes)


def _taken(owners: dict[_Key, int], keys: list[_Key], number: int) -> int | None:
    """The earlier block that has one of these keys; the others now belong to this one."""
    earlier = [first for key in keys if (first := owners.setdefault(key, number)) != number]
    return min(earlier, default=None)


def _check_groups(config: Config, mistakes: Mistakes) -> None:
    """Each id once, and variables that some block measures, each by a series of its own."""
    ids: dict[str, int] = {}
    for number, group in enumerate(config.group):
        path = f"group[{number}]"
        first = _taken(ids, [group.id], number) if group.id else None
        if first is not None:
            mistakes.expected(f"{path}.id", group.id, f"each id once, group[{first}] has it")
        measured: dict[str, str] = {}
        for variable, series_id in group.variables.items():
            key = f"{path}.variables.{variable}"
            other = measured.setdefault(series_id, variable)
            if other != variable:
                mistakes.expected(key, series_id, f"each series once, {other} has it")
            elif config.block_of(series_id) is None:
                mistakes.expected(key, series_id, "a series that a [[series]] block of this file makes")


def _check_mqtt(mqtt: MqttConfig, mistakes: Mistakes) -> None:
    """Files exist, a certificate has its key, a password its user."""
    files = {"mqtt.password_file": mqtt.password_file}
    if mqtt.tls:
        files |= {f"mqtt.tls.{name}": getattr(mqtt.tls, name) for name in ("ca", "cert", "key")}
        for name, other in (("cert", "key"), ("key", "cert")):
            if getattr(mqtt.tls, name) and not getattr(mqtt.tls, other):
                mistakes.add(f"mqtt.tls.{other}", f" is missing: expected the file that belongs to {name}")
    for path, file in files.items():
        if file and not _is_file(Path(file)):
            mistakes.add(path, f" = {show(file)}: no such file, expected one that can be read")
    if mqtt.password_file and not mqtt.username:
        mistakes.add("mqtt.username", " is missing: expected the user that password_file belongs to")


def _check_uplink(uplink: UplinkConfig, mistakes: Mistakes) -> None:
    """Files exist, a key is not sent in clear, times belong together."""
    for name in UPLINK_FILES:
        file = getattr(uplink, name)
        if file and not _is_file(Path(file)):
            mistakes.add(f"uplink.{name}", f" = {show(file)}: no such file, expected one that can be read")
    for name in ("url", "repository"):
        parts = urlsplit(getattr(uplink, name))
        in_clear = parts.scheme == "http" and parts.hostname not in _LOOPBACK
        if in_clear and (uplink.credentials_file or uplink.client_cert):
            mistakes.expected(f"uplink.{name}", getattr(uplink, name), "https where a key is sent along")
    data = uplink.data
    if data is not None and data.window > data.every:
        mistakes.expected("uplink.data.window", show_duration(data.window), "at most every")
    if data is not None and not uplink.url:
        mistakes.add("uplink.url", " is missing: expected the server that [uplink.data] goes to")
    if uplink.jitter > uplink.interval:
        mistakes.expected("uplink.jitter", show_duration(uplink.jitter), "at most the interval")


def _check_server(server: ServerConfig, mistakes: Mistakes) -> None:
    """Files and folders exist, and a certificate has its key."""
    for name, other in (("tls_cert", "tls_key"), ("tls_key", "tls_cert")):
        if getattr(server, name) and not getattr(server, other):
            mistakes.add(f"server.{other}", f" is missing: expected the file that belongs to {name}")
    for name in SERVER_FILES:
        file = getattr(server, name)
        if file and not _is_file(Path(file)):
            sentence = f" = {show(file)}: no such file, expected one that can be read"
            mistakes.add(f"server.{name}", sentence)
    folders = {
        "server.data_roots": server.data_roots,
        "server.blob_folders": server.blob_folders.values(),
        "server.repository": [server.repository] * bool(server.repository),
        "server.repository_keys": [server.repository_keys] * bool(server.repository_keys),
    }
    for path, names in folders.items():
        for folder in names:
            if not _is_folder(Path(folder)):
                mistakes.add(path, f" = {show(folder)}: no such folder, expected one that can be read")


def _check_topic(path: str, block: SeriesConfig, config: Config, mistakes: Mistakes) -> bool:
    fault = pattern_fault(block.topic)
    own = f"{config.mqtt.topic_root}/{config.node.id}/"
    if not fault and f"{block.topic}/".startswith(own):
        fault = f'a topic outside "{own}", where edgead itself publishes'
    if fault:
        mistakes.expected(f"{path}.topic", block.topic, fault)
    elif fault := template_fault(block.id, block.topic):
        mistakes.expected(f"{path}.id", block.id, fault)
    return not fault


def _check_paths(path: str, block: SeriesConfig, mistakes: Mistakes) -> None:
    for key, paths in (("value", block.values), ("time", (block.time,))):
        for one in paths:
            if field_name(one) is None or len(one) > 256:
                mistakes.expected(f"{path}.{key}", one, 'a path such as "value", "a.b" or "a.b[0]"')
    if not block.values or len({field_name(value) for value in block.values}) < len(block.values):
        mistakes.expected(f"{path}.value", block.value, "at least one path, each with another name")
    elif isinstance(block.value, list) and "" in block.value:
        mistakes.expected(f"{path}.value", block.value, 'paths only, "" (bare number) stands alone')
    if block.value == "" and block.time not in ("", "ts"):
        mistakes.expected(f"{path}.time", block.time, 'no path, a bare number (value = "") carries no time')
    if block.detector not in DETECTORS:
        choices = ", ".join(f'"{name}"' for name in DETECTORS) + nearest(block.detector, DETECTORS)
        mistakes.expected(f"{path}.detector", block.detector, f"one of {choices}")
    elif reason := lacking(block.detector):
        expected = f'"default", which takes what there is: {reason}'
        mistakes.expected(f"{path}.detector", block.detector, expected)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a NUL
        return False
