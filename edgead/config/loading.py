"""A TOML file into a `Config`, or every mistake in it at once."""

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from edgead.config.mistakes import Mistakes, nearest
from edgead.config.rules import UPLINK_FILES, check
from edgead.config.settings import (
    BLOCKS,
    SERVER_FILES,
    TABLES,
    Config,
    GroupConfig,
    Section,
    ServerConfig,
    TlsConfig,
    describe,
)
from edgead.errors import ConfigError, OuterWorldError

MAX_FILE_BYTES = 4 * 1024 * 1024
MAX_BLOCKS = 10_000
_TLS_PORT = 8883
#: Keys of ``[server]`` that name a folder.
SERVER_FOLDERS = ("repository", "repository_keys")
#: Folder of config fragments that came over the uplink, in the state directory, and how many are read.
FRAGMENTS = "uplink/config"
MAX_FRAGMENTS = 32


def load(path: str | Path) -> Config:
    """Read and check a configuration file.

    Parameters
    ----------
    path : str or Path
        A TOML file of at most 4 MiB.

    Raises
    ------
    ConfigError
        With every mistake found, each naming file, line, key, value and what was expected.
    OuterWorldError
        If the state directory, where fragments may be, is another user's.
    """
    data = _read(path)
    config = parse(data, path)
    found: dict[str, bytes] = {}
    left_out = []
    # each on its own: one that does not fit the file any more must not keep the others, and the device, from working
    for name in _fragments(config.node.state_dir):
        try:
            with_it = {**found, name.stem: _read(name)}
            config, found = parse(data, path, fragments=with_it), with_it
        except ConfigError as error:
            left_out.append(f"the fragment {name.stem} is left out: {error.mistakes[0]}")
    return replace(config, left_out=tuple(left_out))


def _fragments(state_dir: str) -> list[Path]:
    """Files of the fragments in a state directory, in the order of their names."""
    folder = Path(state_dir) / FRAGMENTS
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".toml"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise OuterWorldError(
            f"state directory {state_dir}: {error.strerror}; run this as the user of the agent, or as root"
        ) from error
    return [folder / name for name in names[:MAX_FRAGMENTS]]


def _read(path: str | Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError([f"{path}: cannot be read ({reason}), expected a TOML file"]) from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError([f"{path}: too large, expected at most 4 MiB"])
    return data


def parse(
    data: bytes, path: str | Path = "edgead.toml", *, fragments: Mapping[str, bytes] | None = None
) -> Config:
    """Check the bytes of a configuration file; files they name are looked for beside `path`.

    Parameters
    ----------
    data : bytes
        TOML.
    path : str or Path, optional
        Of the file.
    fragments : mapping of str to bytes, optional
        More ``[[series]]`` and ``[[group]]`` blocks, by the name of their fragment.

    Raises
    ------
    ConfigError
        With every mistake found.
    """
    text, raw = _toml(data, str(path))
    for name, fragment in (fragments or {}).items():
        raw = _joined(raw, _toml(fragment, f"{name}.toml")[1], name)
        data += fragment
    mistakes = Mistakes(str(path), text)
    for name in raw:
        if name not in BLOCKS and name not in TABLES:
            mistakes.unknown(name, (*TABLES, *BLOCKS))
    tables: dict[str, Any] = {
        name: kind(**_fields(raw.get(name, {}), kind, name, mistakes)) for name, kind in TABLES.items()
    }
    blocks: dict[str, Any] = {name: _blocks(name, raw.get(name, []), mistakes) for name in BLOCKS}
    digest = hashlib.sha256(data).hexdigest()
    config = Config(**tables, **blocks, path=str(path), digest=digest, sections=frozenset(raw))
    config = _resolved(config, Path(path).parent, port_given="port" in raw.get("mqtt", {}))
    check(config, mistakes)
    if mistakes:
        raise ConfigError(mistakes.sentences)
    return config


def check_fragment(data: bytes, name: str) -> None:
    """Refuse a fragment that no device would take; whether it fits one's own file only that device knows.

    Raises
    ------
    ConfigError
        With every mistake found.
    """
    text, raw = _toml(data, f"{name}.toml")
    mistakes = Mistakes(f"{name}.toml", text)
    for key, blocks in _joined({}, raw, name).items():
        _blocks(key, blocks, mistakes)
    if mistakes:
        raise ConfigError(mistakes.sentences)


def _toml(data: bytes, path: str) -> tuple[str, dict[str, Any]]:
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError([f"{path}:{line}: not UTF-8 (byte {error.start}), expected a TOML file"]) from None
    except RecursionError:
        raise ConfigError([f"{path}: nested too deep, expected a TOML file"]) from None
    except ValueError as error:  # TOMLDecodeError, and what int() and datetime say about absurd numbers
        sentence = str(error)
        place = re.search(r" \(at line (\d+), column \d+\)$", sentence)
        where = f"{path}:{place[1]}" if place else path
        reason = sentence[: place.start()] if place else sentence
        raise ConfigError([f"{where}: not TOML: {reason}"]) from None


def _joined(raw: dict[str, Any], fragment: dict[str, Any], name: str) -> dict[str, Any]:
    """The file with the blocks of a fragment behind its own."""
    odd = [
        f"{name}.toml: {key}: expected [[series]] and [[group]] blocks only"
        for key in fragment
        if key not in BLOCKS
    ]
    if odd:
        raise ConfigError(odd)
    more = {key: raw.get(key, []) for key in BLOCKS}
    for key, blocks in fragment.items():
        if not isinstance(blocks, list) or not isinstance(more[key], list):
            raise ConfigError([f"{name}.toml: {key}: expected [[{key}]] blocks"])
        for block in blocks:
            if isinstance(block, dict) and str(block.get("model", "")).endswith(".zip"):
                raise ConfigError([f"{name}.toml: {key}.model: expected the name of a model, not a path"])
        more[key] = [*more[key], *blocks]
    return {**raw, **more}


def _fields(raw: object, kind: type[Section], path: str, mistakes: Mistakes) -> dict[str, Any]:
    """The keys of one table that are right; each of the others is a mistake."""
    if not isinstance(raw, dict):
        header = f"[[{path[:-3]}]]" if path.endswith("]") else f"[{path}]"
        mistakes.expected(path, raw, f"a table, e.g. {header}")
        return {}
    types = _types(kind)
    fields = {}
    for name, value in raw.items():
        if name not in types:
            mistakes.unknown(f"{path}.{name}", types)
        elif (typed := _value(value, types[name], f"{path}.{name}", mistakes)) is not _WRONG:
            fields[name] = typed
    return fields


@cache
def _types(kind: type[Section]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


_WRONG = object()


def _value(raw: object, kind: Any, path: str, mistakes: Mistakes) -> object:
    """The typed value of a key, or ``_WRONG`` after noting the mistake."""
    for option in get_args(kind):
        if isinstance(option, type) and issubclass(option, Section):
            return option(**_fields(raw, option, path, mistakes))
    typed = raw
    try:
        for note in getattr(kind, "__metadata__", ()):
            if isinstance(note, Meta) and note.extra:
                typed = note.extra["read"](raw)
        return msgspec.convert(typed, kind)
    except (ValueError, msgspec.ValidationError):
        mistakes.expected(path, raw, describe(kind) + _near_choice(raw, kind))
        return _WRONG


def _near_choice(raw: object, kind: Any) -> str:
    choices = get_args(kind)
    if isinstance(raw, str) and choices and all(isinstance(choice, str) for choice in choices):
        return nearest(raw, choices, cutoff=0.7)
    return ""


def _blocks(name: str, raw: object, mistakes: Mistakes) -> tuple[Section, ...]:
    if not isinstance(raw, list):
        mistakes.expected(name, raw, f"[[{name}]] blocks")
        return ()
    if len(raw) > MAX_BLOCKS:
        mistakes.add(name, f": {len(raw)} blocks, expected at most {MAX_BLOCKS}; use bindings")
        return ()
    kind, required = BLOCKS[name]
    blocks = []
    for number, block in enumerate(raw):
        path = f"{name}[{number}]"
        for key in required:
            if isinstance(block, dict) and key not in block:
                mistakes.add(f"{path}.{key}", f" is missing: every [[{name}]] needs one")
        # a key that is missing or wrong must not hide the other mistakes of its block
        stand_ins = {key: {} if key == "variables" else "" for key in required}
        blocks.append(kind(**{**stand_ins, **_fields(block, kind, path, mistakes)}))
    return tuple(blocks)


def _resolved(config: Config, base: Path, port_given: bool) -> Config:
    """File names made relative to the working directory, and the port that goes with TLS."""
    mqtt, tls = config.mqtt, config.mqtt.tls
    if tls:
        tls = TlsConfig(**{name: _beside(base, getattr(tls, name)) for name in ("ca", "cert", "key")})
    port = _TLS_PORT if tls and not port_given else mqtt.port
    password_file = _beside(base, mqtt.password_file)
    return replace(
        config,
        mqtt=replace(mqtt, tls=tls, port=port, password_file=password_file),
        uplink=replace(
            config.uplink, **{name: _beside(base, getattr(config.uplink, name)) for name in UPLINK_FILES}
        ),
        node=replace(config.node, state_dir=_beside(base, config.node.state_dir)),
        server=_server_beside(base, config.server),
        group=tuple(_group_beside(base, group) for group in config.group),
    )


def _server_beside(base: Path, server: ServerConfig) -> ServerConfig:
    return replace(
        server,
        **{name: _beside(base, getattr(server, name)) for name in (*SERVER_FILES, *SERVER_FOLDERS)},
        data_roots=tuple(_beside(base, folder) for folder in server.data_roots),
        blob_folders={url: _beside(base, folder) for url, folder in server.blob_folders.items()},
    )


def _group_beside(base: Path, group: GroupConfig) -> GroupConfig:
    return replace(group, model=_beside(base, group.model)) if group.model.endswith(".zip") else group


def _beside(base: Path, file: str) -> str:
    return str(base / file) if file else ""
