"""The two clocks of the agent: one that never goes back, and the one people set."""

import time
from typing import Literal

#: A wall clock before this was never set (the project is younger).
PLAUSIBLE_NS = 1_700_000_000 * 10**9  # 2023-11-14
#: A step of the wall clock below this is ordinary slewing.
STEP_NS = 2 * 10**9


class Clock:
    """Processing time that starts at the wall clock and then only counts on.

    After the wall clock jumped forward (a device that woke in 1970 learned the time) processing time follows; after
    it jumped back it goes on counting, so that arrival order and time order stay the same.
    """

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()
        self.stepped_back = False

    def now_ns(self) -> int:
        """Processing time; never less than before."""
        return time.monotonic_ns() + self._offset_ns

    def watch(self) -> int:
        """Compare with the wall clock; returns by how much it was stepped, 0 for ordinary drift.

        A small drift is followed forward, and backward by waiting: the offset never shrinks.
        """
        step_ns = time.time_ns() - self.now_ns()
        self.stepped_back = step_ns < -STEP_NS
        if step_ns > 0:
            self._offset_ns += step_ns
        return step_ns if abs(step_ns) > STEP_NS else 0

    @property
    def trust(self) -> Literal["trusted", "untrusted"]:
        """``"trusted"``, or ``"untrusted"`` while the wall clock was never set or lies behind processing time."""
        good = time.time_ns() >= PLAUSIBLE_NS and not self.stepped_back
        return "trusted" if good else "untrusted"
