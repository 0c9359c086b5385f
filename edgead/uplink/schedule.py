"""When a device asks, and when it sends: each device at a time of its own, in the hours that are allowed."""

import hashlib
from datetime import datetime, timedelta

from edgead.config import UplinkConfig


def fraction_of(device: str, purpose: str) -> float:
    """A number in [0, 1) that a device always has: the first 64 bits of a SHA-256.

    Parameters
    ----------
    device : str
        Id of the device.
    purpose : str
        Other purposes give other numbers, so that those who are first in one are not first in all.
    """
    digest = hashlib.sha256(f"edgead {purpose} {device}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def next_due(
    config: UplinkConfig, device: str, last_s: float, now_s: float, *, since_s: float = 0.0
) -> float:
    """When the next sync is due.

    Parameters
    ----------
    config : UplinkConfig
        Interval, jitter and hours.
    device : str
        Id of the device.
    last_s : float
        Epoch seconds of the last attempt; 0 = none yet, which is due at once.  One after `now_s` (the clock was set
        back) is as good as one of long ago.
    now_s : float
        Epoch seconds.
    since_s : float, optional
        When this process started: a device that is overdue waits its own part of the jitter from then, or a plant
        whose power comes back would ask all at once.

    Returns
    -------
    float
        Epoch seconds; not after `now_s` means due.
    """
    own_s, jitter_s = fraction_of(device, "sync") * config.jitter / 1e9, config.jitter / 1e9
    due = 0.0
    if 0 < last_s <= now_s:
        due = last_s + config.interval / 1e9
        if jitter_s:  # back to the device's own phase: intervals that are a little late do not add up
            due -= (due - own_s) % jitter_s
    if last_s > 0 and due < since_s <= now_s:
        due = since_s + own_s
    return _allowed(config.hours, due or now_s)


def send_due(config: UplinkConfig, device: str, waiting_s: float, now_s: float) -> float:
    """When what happened is to go up without waiting for the next sync.

    Between half of `send` and all of it later, each device at its own part: what hits a whole plant at once must not
    bring all its devices to the server at once.

    Parameters
    ----------
    config : UplinkConfig
        `send`, above 0, and hours.
    device : str
        Id of the device.
    waiting_s : float
        Epoch seconds since when something waits.  One after `now_s` (the clock was set back) is as good as one of
        long ago.
    now_s : float
        Epoch seconds.

    Returns
    -------
    float
        Epoch seconds; not after `now_s` means due.
    """
    if waiting_s > now_s:
        return _allowed(config.hours, now_s)
    return _allowed(config.hours, waiting_s + (0.5 + fraction_of(device, "send") / 2) * config.send / 1e9)


def _allowed(hours: str, when_s: float) -> float:
    """The first time from then on that lies in the hours, local time."""
    if not hours:
        return when_s
    start, end = (tuple(map(int, text.split(":"))) for text in hours.split("-"))
    when = datetime.fromtimestamp(when_s)
    minute = (when.hour, when.minute)
    inside = start <= minute < end if start < end else minute >= start or minute < end
    if inside:
        return when_s
    opening = when.replace(hour=start[0], minute=start[1], second=0, microsecond=0)
    if opening < when:
        opening += timedelta(days=1)
    return opening.timestamp()
