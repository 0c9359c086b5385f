"""A broker that waits for acknowledgements is told from a slow source."""

from edgead.agent.pace import BURST_S, FIRST_WINDOW, Pace


def test_a_pause_with_few_under_way_is_a_pause():
    assert not Pace().may_wait(FIRST_WINDOW - 1)
    assert Pace().may_wait(FIRST_WINDOW)


def test_a_slow_source_is_learned_and_commits_become_rare():
    pace = Pace()
    now_s, commits, under_way = 0.0, 0, 0
    for _ in range(1000):
        now_s += 0.03
        pace.heard(now_s)
        under_way += 1
        if pace.may_wait(under_way):
            commits += 1
            pace.acknowledged(under_way, now_s + 0.001)
            under_way = 0
    assert commits <= 8


def test_a_broker_with_a_window_of_twenty_is_learned_after_a_slow_source():
    pace = Pace()
    for round_ in range(6):
        pace.acknowledged(FIRST_WINDOW * 2**round_, round_)
        pace.heard(round_ + 0.5)
    assert not pace.may_wait(20)
    pace.acknowledged(20, 100.0)
    pace.heard(100.0 + BURST_S / 2)
    assert pace.may_wait(20)
