"""What ``edgead status`` tells of models on trial, what was turned down, and what waits for the server."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgead.config import Config
    from edgead.store import StoreView

#: Rejections of a model shown to people; ``--json`` has all that are remembered.
SHOWN = 3


def trial_objects(config: "Config") -> list[dict[str, Any]]:
    """Every installed model with its candidate, watch and rejections."""
    from edgead.errors import ModelPackageError
    from edgead.package import open_package
    from edgead.registry import stands_in
    from edgead.registry.shelf import Shelf
    from edgead.shipped import shipped

    folder = Path(config.node.state_dir) / "models"
    if not folder.is_dir():
        return []
    shelf, found = Shelf(folder), []
    waiting = {each.name: each for each in shelf.candidates()}
    for name in shelf.names():
        try:
            if shelf.active_id(name):
                version = shelf.active(name).manifest.version
            else:
                version = open_package(shipped(name)).manifest.version if stands_in(name) else ""
        except ModelPackageError as error:
            version = f"damaged: {error}"
        watch = shelf.watch(name)
        found.append(
            {
                "model": name,
                "active": version,
                "candidate": waiting[name].version if name in waiting else "",
                "watched_until": watch.until_ns // 10**6 if watch is not None and watch.until_ns else None,
                "crashes": watch.crashes if watch is not None else 0,
                "rejected": shelf.rejections(name),
            }
        )
    return found


def trial_lines(config: "Config", view: "StoreView | None") -> list[str]:
    """The same for people, and the outbox where there is a view; nothing where there is no uplink and no trial."""
    from edgead.config.units import iso, show_size

    lines = []
    if config.uplink.url and view is not None:
        outbox = view.outbox_stats()
        waiting = f"{outbox.rows} records ({show_size(outbox.bytes)}) wait for the server"
        lines.append(f"outbox  {waiting}, {outbox.dropped} were dropped")
    for model in trial_objects(config):
        trial = f"; {model['candidate']} is tried" if model["candidate"] else ""
        if model["watched_until"]:
            trial += f"; watched until {iso(model['watched_until'] * 10**6)}"
        if trial or model["rejected"]:
            lines.append(f"model   {model['model']} {model['active'] or 'none'}{trial}")
        for each in model["rejected"][:SHOWN]:
            lines.append(f"        turned down: {each.version or each.id}: {each.reason}")
    return lines
