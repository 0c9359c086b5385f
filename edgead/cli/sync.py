"""``edgead sync``: bring signed models onto the device."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgead.cli.options import config_option

if TYPE_CHECKING:
    from edgead.config import Config
    from edgead.uplink.sync import SyncOutcome


@click.command(short_help="Bring signed models onto the device.")
@config_option
@click.option(
    "--once", is_flag=True, help="One sync, then end; otherwise every [uplink] interval until SIGTERM."
)
@click.option(
    "--from",
    "source",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder with the repository (a stick, a mirror) in place of the network; one sync.",
)
@click.option("--model", "only", metavar="NAME", default="", help="This model alone, whatever its share.")
@click.option(
    "--init-root",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Begin to trust this root.json, which came by a way of its own; needs --sha256. No sync.",
)
@click.option("--sha256", metavar="HEX", help="What the SHA-256 of that file must be.")
@click.option("--json", "as_json", is_flag=True, help="For programs: the outcome as one object on stdout.")
def sync(
    config_file: str,
    once: bool,
    source: Path | None,
    only: str,
    init_root: Path | None,
    sha256: str | None,
    as_json: bool,
) -> int:
    """Bring signed models from the repository of [uplink] onto the device.

    While an agent runs on the same state, a new model waits for its shadow run; otherwise it is active at once.  What
    is refused changes nothing.  Exit code 0: nothing new, or taken.  3: refused, with the reason on stderr and in
    `edgead status`.  4: not reachable.  1: something failed on this device.

    \b
    Examples:
      edgead sync -c gateway.toml --init-root root.json --sha256 4f2c...   once, by the installer
      edgead sync -c gateway.toml --once
      edgead sync -c gateway.toml --from /media/stick/models
      edgead sync -c gateway.toml --once --model pump      even outside the share of its rollout
      edgead sync -c gateway.toml                          every interval, without an agent
    """
    from edgead.config import load

    config = load(config_file)
    if (init_root is None) != (sha256 is None):
        raise click.UsageError("--init-root needs --sha256, and --sha256 needs --init-root")
    if init_root is not None and sha256 is not None:
        _begin(config, init_root, sha256)
        return 0
    if once or source is not None:
        return _tell(_once(config, source, only), as_json)
    return _for_ever(config_file, as_json)


def _begin(config: "Config", file: Path, sha256: str) -> None:
    from edgead.errors import UplinkError
    from edgead.uplink.disk import folder_in, read_bounded
    from edgead.uplink.trust import MAX_ROOT_BYTES, give_root

    data = read_bounded(file, MAX_ROOT_BYTES)
    if data is None:
        raise UplinkError(f"{file}: no such file")
    root = give_root(folder_in(Path(config.node.state_dir)), data, sha256)
    wanted = root.roles["root"].threshold
    click.echo(f"root of trust: version {root.version}, {wanted} signatures, ends {root.expires:%Y-%m-%d}")


def _once(config: "Config", source: Path | None, only: str) -> "SyncOutcome":
    from edgead.registry.shelf import Shelf
    from edgead.uplink.fragments import FragmentFolder
    from edgead.uplink.sync import run_sync

    state_dir = Path(config.node.state_dir)
    shown = sys.stderr.isatty()
    alone = not _agent_runs(state_dir)
    outcome = run_sync(
        config.uplink,
        Shelf(state_dir / "models"),
        device=config.node.id,
        state_dir=state_dir,
        activate=alone,
        source=source,
        only=only,
        fragments=FragmentFolder(Path(config.path), state_dir),
        progress=_shown if shown else lambda sentence: None,
    )
    if alone and source is None:
        _send(config, outcome)
    if shown:
        _shown("")
    return outcome


def _send(config: "Config", outcome: "SyncOutcome") -> None:
    """Send what waits for the server; what cannot be sent now waits on."""
    from edgead.agent.alone import send_alone
    from edgead.errors import OuterWorldError

    try:
        sent = send_alone(config, outcome)
    except OuterWorldError as error:
        click.echo(f"edgead: records not sent: {error}", err=True)
        return
    if sent is not None and sent.state != "done":
        click.echo(f"edgead: records not sent: {sent.reason}", err=True)


def _shown(sentence: str) -> None:
    click.echo(f"\r{sentence:<72}\r", nl=False, err=True)


def _agent_runs(state_dir: Path) -> bool:
    """Whether an agent holds the state directory."""
    from edgead.errors import StoreError
    from edgead.store.directory import LOCK, WriterLock

    if not (state_dir / LOCK).exists():
        return False
    try:
        WriterLock(state_dir).release()
    except StoreError:
        return True
    return False


def _tell(outcome: "SyncOutcome", as_json: bool) -> int:
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(outcome).decode())
    for one in outcome.taken:
        state = "active" if one.state == "installed" else "waits for the shadow run of the agent"
        if not as_json:
            click.echo(f"{one.kind} {one.name} {one.version or one.id[:8]}: {state}")
    for refusal in outcome.refused:
        click.echo(f"edgead: refused: {refusal.reason}: {refusal.detail}", err=True)
    if outcome.state == "unreachable":
        click.echo(f"edgead: not reachable: {outcome.detail}", err=True)
    if outcome.state == "current" and not as_json:
        click.echo(
            f"nothing new ({outcome.received} bytes in {outcome.requests} requests, {outcome.took_s:.1f} s)"
        )
    return outcome.exit_code


def _for_ever(config_file: str, as_json: bool) -> int:
    """Sync when it is due, until SIGTERM; each time with the configuration as it is then."""
    import signal
    import threading
    import time

    from edgead.config import load
    from edgead.errors import UplinkError
    from edgead.uplink.record import read_record
    from edgead.uplink.schedule import next_due

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    since_s = time.time()
    while not stop.is_set():
        config = load(config_file)
        last_s = read_record(Path(config.node.state_dir)).attempt_ms / 1000
        wait_s = next_due(config.uplink, config.node.id, last_s, time.time(), since_s=since_s) - time.time()
        if stop.wait(min(max(wait_s, 0.0), 60.0)) or wait_s > 60.0:
            continue
        try:
            _tell(_once(config, None, ""), as_json)
        except UplinkError as error:
            click.echo(f"edgead: error: {error}", err=True)
            stop.wait(60.0)
    return 0
