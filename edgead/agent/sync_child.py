"""The uplink's own process: ``python -m edgead.agent.sync_child``.  It reads an `Order` from stdin and tells its steps
on stdout, one `Said` a line.

Whatever goes wrong here, and all memory that TLS, signatures and trial runs need, ends with this process.  It opens
the state for reading only: what it says is delivered, the agent deletes.
"""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from edgead.agent.syncing import Delivered, Order, Said
from edgead.config import Config
from edgead.errors import EdgeADError
from edgead.store import OutboxRow, Store, StoreView

#: Detection goes first.
NICE = 10


class Outbox:
    """The outbox of a device, as the forwarder reads it."""

    def __init__(self, view: StoreView) -> None:
        self._view = view

    def last_seq(self) -> int:
        """Number of the newest record that waits."""
        return self._view.newest_record()

    def peek(self, *, after: int, through: int, limit: int) -> Sequence[OutboxRow]:
        """See `StoreView.peek_outbox`."""
        return self._view.peek_outbox(after=after, through=through, limit=limit)


def say(said: Said) -> None:
    """One line to the agent; when it is gone there is nobody to work for."""
    try:
        sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        os._exit(1)


def forward(config: Config) -> Delivered:
    """Send what waits to the server, and have the agent delete it."""
    view = Store.read_only(Path(config.node.state_dir))
    try:
        return send(config, view, lambda seqs: say(Said(delivered=seqs)))
    finally:
        view.close()


def send(config: Config, view: StoreView, delivered: Callable[[list[int]], None]) -> Delivered:
    """Send what waits in an outbox to the server.

    Parameters
    ----------
    config : Config
        Server and device.
    view : StoreView
        Has the outbox.
    delivered : callable
        Takes the numbers of records that the server has.
    """
    from edgead.uplink.disk import FOLDER
    from edgead.uplink.forward import Forwarder, poster
    from edgead.uplink.web import Web

    web = Web(config.uplink)
    try:
        post = poster(web, config.uplink.url, config.node.id)
        forwarder = Forwarder(Outbox(view), post, Path(config.node.state_dir) / FOLDER, delivered)
        return msgspec.convert(forwarder.run(), Delivered, from_attributes=True)
    finally:
        web.close()


def sync(config: Config, only: str, activate: bool) -> Said:
    """Bring models from the repository onto the shelf."""
    from edgead.registry.shelf import Shelf
    from edgead.uplink.fragments import FragmentFolder
    from edgead.uplink.sync import run_sync

    state_dir = Path(config.node.state_dir)
    outcome = run_sync(
        config.uplink,
        Shelf(state_dir / "models"),
        device=config.node.id,
        state_dir=state_dir,
        activate=activate,
        only=only,
        fragments=FragmentFolder(Path(config.path), state_dir),
        progress=lambda sentence: say(Said(progress=sentence)),
    )
    return Said(state=outcome.state, detail=outcome.detail, taken=outcome.taken, refused=outcome.refused)


def main() -> int:
    """Both ways, events first."""
    with suppress(OSError):  # the unit does not allow it: systemd has its own settings for that
        os.nice(NICE)
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    config = order.config
    try:
        if config.uplink.url and not order.only:
            say(Said(progress="sending what waits"))
            say(Said(forwarded=forward(config)))
    except EdgeADError as error:
        say(Said(forwarded=Delivered(state="failed", reason=str(error))))
    if not order.models:
        say(Said(state="sent"))
        return 0
    try:
        say(sync(config, order.only, order.activate))
    except EdgeADError as error:
        say(Said(state="failed", detail=str(error)))
    except ImportError as error:
        say(Said(state="failed", detail=f"needs the extra: pip install 'edgead[uplink]' ({error})"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
