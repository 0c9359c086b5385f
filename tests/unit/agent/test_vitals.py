"""What the probe shows of a look at the agent."""

from typing import get_type_hints

from edgead.agent.vitals import Vitals, to_health
from edgead.probe import render

LOOK = Vitals(
    **{
        **dict.fromkeys(get_type_hints(Vitals), 1),
        "dropped": {},
        "problems": ["clock: set back"],
        "clock": "trusted",
    }
)


def test_a_loop_that_turns_is_up_and_not_ready_while_something_is_degraded():
    health = to_health(LOOK)
    assert (health.live, health.ready, health.problems) == (True, False, ("clock: set back",))
    assert "\nedgead_up 1\n" in f"\n{render(health.metrics)}"


def test_a_loop_that_stands_still_is_not_up():
    health = to_health(LOOK, turns=False)
    assert (health.live, health.ready) == (False, False)
    assert health.problems == ("the loop does not turn", "clock: set back")
    assert "\nedgead_up 0\n" in f"\n{render(health.metrics)}"
