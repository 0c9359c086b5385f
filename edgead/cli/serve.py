"""``edgead serve``: the cloud API, self-hosted."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgead.config import Config

#: Settings that the former container wanted before it started, lower case -> as they were written; nothing is licensed
#: or billed here.
_IGNORED = {"eula": "Eula", "billing": "Billing", "apikey": "ApiKey"}
#: How its optional settings began.
_OPTIONAL = ("applicationinsights", "fluentd", "http proxy", "httpproxy", "logging:", "mounts:")


@click.command(short_help="Answer as the retired cloud service did.")
@click.argument("settings", nargs=-1, metavar="[Eula=accept Billing=... ApiKey=...]")
@click.option("--host", metavar="ADDRESS", help="Where to listen [127.0.0.1].")
@click.option("--port", type=click.IntRange(0, 65535), help="Port, 0 = any free one [5000].")
@click.option(
    "-c",
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Take [server] from it.",
)
@click.option(
    "--keys-file",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="Lines NAME:KEY1[:KEY2]; a key is plain or sha256:HEX.",
)
@click.option("--without-keys", is_flag=True, help="Let other machines call although there are no keys.")
@click.option("--tls-cert", metavar="FILE", type=click.Path(dir_okay=False), help="Certificate (PEM).")
@click.option("--tls-key", metavar="FILE", type=click.Path(dir_okay=False), help="Its key (PEM).")
@click.option(
    "--data-root",
    "data_roots",
    multiple=True,
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Folder that data sources may lie in (repeatable).",
)
@click.option(
    "--allow-source",
    "allow_sources",
    multiple=True,
    metavar="URL",
    help="Prefix of URLs to read (repeatable).",
)
@click.option(
    "--state-dir", metavar="DIR", type=click.Path(file_okay=False), help="Folder of models, results and jobs."
)
@click.option("--scheduler", metavar="ADDRESS", help="Jobs on a Dask cluster, tcp://HOST:PORT (extra fleet).")
def serve(settings: tuple[str, ...], config_file: str | None, **options: Any) -> None:
    """Serve the Anomaly Detector API (v1.0, v1.1 and its previews) until SIGTERM or Ctrl-C.

    Programs written for the cloud service keep working when only their endpoint changes, and their key. Options
    win over the configuration file. SIGHUP reads keys and certificate again; a change of the keys is seen within a
    second. What the former container was started with (Eula=, Billing=, ApiKey=) is accepted and has no effect; any
    other argument is refused.

    \b
    Examples:
      edgead serve                                          for programs on this machine, without keys
      edgead serve --keys-file keys.txt --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem
      edgead serve -c server.toml                           everything from a file
      edgead serve --data-root /data                        training and detection with the files below /data
      curl http://127.0.0.1:5000/ready
    """
    from edgead import logs
    from edgead.config import Config, load

    _check_settings(settings)
    config = load(config_file) if config_file else Config()
    logs.set_up(config.log.level, config.log.format)
    try:
        from edgead.server import ServerSettings, serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("edgead"):
            raise
        raise click.UsageError(f"{error.name} is not installed: pip install 'edgead[server]'") from None
    changes = {
        name: value for name, value in options.items() if not (value is None or value is False or value == ())
    }
    if "state_dir" not in changes and "node" not in config.sections:
        changes["state_dir"] = str(_state_home())
    given = ServerSettings.of(config, **changes)
    serve(ServerSettings.of(config, trainer=_trainer(given.scheduler), **changes))


def describe_server(config: "Config") -> tuple[list[str], list[str]]:
    """What a file makes a server do, and what of it may not have been meant.

    Raises
    ------
    ConfigError
        If the keys file is wrong.
    """
    from edgead.config.units import show_size
    from edgead.server.keys import Keys
    from edgead.server.settings import ServerSettings

    settings = ServerSettings.of(config)
    keys = Keys(Path(settings.keys_file) if settings.keys_file else None)
    scheme = "https" if settings.tls_cert else "http"
    callers = f"{len(keys.clients)} clients with keys" if keys.needed else "anyone, without a key"
    sources = [*settings.data_roots, *settings.allow_sources]
    lines = [
        f"server   {scheme}://{settings.host}:{settings.port}, for {callers}; state in {settings.state_dir}",
        f"data     {', '.join(sources) or 'none: no data_roots and no allow_sources'}",
        f"limits   {settings.worker_threads} univariate calls and {settings.jobs} jobs at a time, "
        f"{settings.max_requests} requests of {show_size(settings.max_buffered)} together",
    ]
    notes = []
    if not (settings.on_this_host_only or keys.needed or settings.without_keys):
        notes.append(f"server.host = {settings.host!r} is refused without keys_file, or without_keys = true")
    if not settings.on_this_host_only and keys.needed and not settings.tls_cert:
        notes.append("keys go over the network in clear: server.tls_cert and server.tls_key would hide them")
    return lines, notes


def _check_settings(settings: tuple[str, ...]) -> None:
    """Take the settings that the former container wanted, ``Name=value`` in any case as it did; refuse all others.

    A value is never told: it may be a key.
    """
    from edgead.config.mistakes import nearest

    for setting in settings:
        name, equals, _ = setting.partition("=")
        if equals and name.lower() in _IGNORED:
            continue
        expected = ", ".join(f"{known}=..." for known in _IGNORED.values())
        what = f"{name}=" if equals else setting
        if name.lower().startswith(_OPTIONAL):
            hint = "; it was an optional setting of the former container and has no counterpart: leave it out"
        else:
            hint = _meant(name) or nearest(name, _IGNORED.values())
        raise click.UsageError(
            f"{what[:80]!r}: expected an option, or one of the former container's {expected}, which are ignored{hint}"
        )


def _meant(name: str) -> str:
    """A hint when an option was written as the container's settings are."""
    plain = name.lower().replace("_", "").replace("-", "")
    options = [option for each in serve.params for option in each.opts if option.startswith("--")]
    same = [option for option in options if option.replace("-", "") == plain]
    return f'; did you mean "{same[0]}"?' if same else ""


def _trainer(scheduler: str) -> str:
    """The module that trains, where its libraries are installed or a cluster may have them.

    The server itself never imports it.
    """
    from importlib.util import find_spec

    return "edgead.training" if scheduler or (find_spec("torch") and find_spec("onnx")) else ""


def _state_home() -> Path:
    """Where state lies if nobody said it: systemd's directory, /var/lib for root, the user's own otherwise."""
    if folder := os.environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(folder)
    if os.geteuid() == 0:
        return Path("/var/lib/edgead")
    return Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "edgead"
