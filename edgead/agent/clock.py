"""The two clocks of the agent: one that counts steadily, and the one people set."""

import time
from typing import Literal

#: A wall clock before this was never set (the project is younger), one after that was set wrong.
EARLIEST_NS = 1_700_000_000 * 10**9  # 2023-11-14
LATEST_NS = 3_471_292_800 * 10**9  # 2080-01-01
#: A step of the wall clock below this is ordinary slewing.
STEP_NS = 2 * 10**9
#: How long a wall clock must stay where it was stepped to until it is believed.
BELIEVED_AFTER_NS = 600 * 10**9

# Linux counts the time of a suspend in this one; elsewhere a suspend looks like a step forward, and is followed.
_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady_ns() -> int:
    """Nanoseconds since some moment; nobody can set it."""
    return time.clock_gettime_ns(_STEADY)


def is_plausible(wall_ns: int) -> bool:
    """Whether somebody may have set a wall clock to this on purpose."""
    return EARLIEST_NS <= wall_ns < LATEST_NS


class Clock:
    """Processing time: starts at the wall clock, counts steadily, and follows the wall clock where that is believed.

    * A step forward to a plausible time is followed at once: readings with a time of their own would else look as if
      they came from the future.  For ten minutes the clock is not trusted.
    * A step back is followed after ten minutes; until then processing time goes on from where it was, so that readings
      without a time of their own stay in order.  A clock that is put right before changes nothing.
    * An implausible time (1970, 2100) is never followed, and left at once when the wall clock is plausible again.
    """

    def __init__(self) -> None:
        wall_ns = time.time_ns()
        self._offset_ns = wall_ns - steady_ns()
        self._was_set = is_plausible(wall_ns)  # the wall clock, when last looked at
        self._moved_ns = 0
        self._doubted_since_ns = 0  # steady time of the last step forward; 0 = none of late
        self._behind_since_ns = 0  # steady time since which the wall clock is behind; 0 = it is not

    def now_ns(self) -> int:
        """Processing time; never less than before, unless `watch` has told so in between."""
        steady = steady_ns()
        now_ns = steady + self._offset_ns
        wall_ns = time.time_ns()
        if wall_ns - now_ns > STEP_NS and is_plausible(wall_ns):
            self._doubted_since_ns = steady if self._was_set else 0
            self._move(wall_ns - now_ns)
            return wall_ns
        return now_ns

    def continue_from(self, last_ns: int) -> None:
        """Go on where an earlier process stood, if that is later or the wall clock is implausible: a device without a
        battery wakes in 1970.

        Parameters
        ----------
        last_ns : int
            Its last processing time.
        """
        ahead_ns = last_ns - self.now_ns()
        if is_plausible(last_ns) and (ahead_ns > 0 or not self._was_set):
            self._offset_ns += ahead_ns

    def watch(self) -> int:
        """Compare with the wall clock; call it every second or so.

        Returns
        -------
        int
            By how much processing time was moved since the last call, ns; negative when a step back was believed;
            0 for ordinary drift, which is followed forward, and backward by waiting.
        """
        now_ns, steady, wall_ns = self.now_ns(), steady_ns(), time.time_ns()
        ahead_ns = now_ns - wall_ns
        if ahead_ns < 0 and is_plausible(wall_ns):
            self._offset_ns -= ahead_ns
        if self._doubted_since_ns and steady - self._doubted_since_ns >= BELIEVED_AFTER_NS:
            self._doubted_since_ns = 0
        if ahead_ns <= STEP_NS or not is_plausible(wall_ns):
            self._behind_since_ns = 0
        else:
            self._behind_since_ns = self._behind_since_ns or steady
            if steady - self._behind_since_ns >= BELIEVED_AFTER_NS or not is_plausible(now_ns):
                self._behind_since_ns = self._doubted_since_ns = 0
                self._move(-ahead_ns)
        self._was_set = is_plausible(wall_ns)
        moved_ns, self._moved_ns = self._moved_ns, 0
        return moved_ns

    def _move(self, by_ns: int) -> None:
        self._offset_ns += by_ns
        self._moved_ns += by_ns

    @property
    def doubt(self) -> str:
        """Why the time is not to be trusted, in words; "" when it is."""
        wall_ns = time.time_ns()
        if not is_plausible(wall_ns):
            return "was never set" if wall_ns < EARLIEST_NS else "is decades ahead"
        if self._behind_since_ns or steady_ns() + self._offset_ns - wall_ns > STEP_NS:
            return "was stepped back"
        return "was stepped forward" if self._doubted_since_ns else ""

    @property
    def trust(self) -> Literal["trusted", "untrusted"]:
        """``"untrusted"`` while there is a `doubt`."""
        return "untrusted" if self.doubt else "trusted"
