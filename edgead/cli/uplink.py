"""What ``edgead status`` and ``edgead check`` tell of the uplink."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgead.config import Config


def has_synced(config: "Config") -> bool:
    """Whether a sync was tried on this device."""
    from edgead.uplink.record import read_record

    return read_record(Path(config.node.state_dir)).state != "never"


def state_lines(config: "Config", now_s: float) -> list[str]:
    """How the last sync ended, what is trusted, what waits, and what was refused; nothing without an uplink."""
    from edgead.config.units import show_duration
    from edgead.registry.shelf import Shelf
    from edgead.uplink.record import read_record

    state_dir = Path(config.node.state_dir)
    record = read_record(state_dir)
    if not config.uplink.models_url and record.state == "never":
        return []
    if record.state == "never":
        return ["uplink  no sync yet"]
    ago = show_duration(max(0, round(now_s - record.attempt_ms / 1e3)) * 10**9)
    trusted = ", ".join(f"{role} {version}" for role, version in record.versions.items())
    lines = [
        f"uplink  {record.state} {ago} ago: {record.detail}",
        f"        trusts {trusted or 'nothing yet'}",
    ]
    for one in Shelf(state_dir / "models").candidates():
        lines.append(f"        {one.name} {one.version} waits for its shadow run")
    for refusal in record.refused[:3]:
        ago = show_duration(max(0, round(now_s - refusal.at_ms / 1e3)) * 10**9)
        lines.append(f"        refused {ago} ago, {refusal.reason}: {refusal.detail}")
    return lines + [f"        left alone: {left}" for left in record.left[:3]]


def state_object(config: "Config") -> Any:
    """The same for programs: the record, and what waits."""
    import msgspec

    from edgead.registry.shelf import Shelf
    from edgead.uplink.record import read_record

    state_dir = Path(config.node.state_dir)
    told = msgspec.to_builtins(read_record(state_dir))
    return {**told, "waiting": msgspec.to_builtins(Shelf(state_dir / "models").candidates())}


def summary_lines(config: "Config") -> list[str]:
    """Where models come from."""
    from edgead.config.units import show_duration

    uplink = config.uplink
    if not uplink.models_url:
        return []
    group = f"group {uplink.group}" if uplink.group else "no group"
    hours = f" at {uplink.hours}" if uplink.hours else ""
    return [f"uplink   {uplink.models_url} every {show_duration(uplink.interval)}{hours}, {group}"]


def notes(config: "Config") -> list[str]:
    """What would keep the uplink from working."""
    from edgead.uplink.disk import FOLDER

    found = list(config.left_out)
    if config.uplink.models_url:
        if find_spec("tuf") is None or find_spec("urllib3") is None:
            found.append("the uplink is off: pip install 'edgead[uplink]'")
        if not config.uplink.root and not (Path(config.node.state_dir) / FOLDER / "root.json").exists():
            found.append("no root of trust, so no model is taken: [uplink] root, or edgead sync --init-root")
    return found
