"""Tells a broker that waits for acknowledgements from a source that is merely slow.

A broker lets only so many messages be under way to a client (mosquitto: 20); once they are, nothing comes until
some are acknowledged, and a commit that waits for its time would let 20 messages through in that time. But to
commit at every pause of a slow source would wear the flash. So it is learned: a burst right behind the
acknowledgements says that the broker was waiting, and with how many; a pause that goes on says that it was not.
"""

#: Messages under way that may be all a broker allows, before anything is known.
FIRST_WINDOW = 10
#: More than this are not waited for: by count a commit comes anyway.
MOST = 100_000
#: A pause of this length may mean that the broker waits, seconds.
QUIET_S = 0.02
#: A message that comes this soon after the acknowledgements was waiting for them, seconds.
BURST_S = 0.01


class Pace:
    """What is known of the broker's window."""

    def __init__(self) -> None:
        self._window = FIRST_WINDOW
        self._acknowledged = 0
        self._at_s = 0.0

    def may_wait(self, under_way: int) -> bool:
        """Whether so many messages under way may be all that the broker allows."""
        return under_way >= self._window

    def acknowledged(self, count: int, now_s: float) -> None:
        """So many were just acknowledged, and none is under way."""
        self._acknowledged, self._at_s = count, now_s

    def heard(self, now_s: float) -> None:
        """A message came."""
        if not self._acknowledged:
            return
        if now_s - self._at_s <= BURST_S:
            self._window = min(self._window, max(self._acknowledged, 1))
        elif self._acknowledged >= self._window:
            self._window = min(2 * self._acknowledged, MOST)
        self._acknowledged = 0
