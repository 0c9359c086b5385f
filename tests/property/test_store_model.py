"""The store does what its dictionary twin does, whatever is asked of it and however often it is reopened."""

import shutil

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edgead.store import Store, StoreLimits
from edgead.store.records import KIB
from edgead.store.store import ACKNOWLEDGED_MAX
from tests.fault import store_faults as faults
from tests.store_model import Model, make_event, state_of

SECOND = 1_000_000_000
series_ids = st.sampled_from(["a", "b.c", "pump-1.temp", "x_y"])
blobs = st.one_of(st.binary(max_size=40), st.integers(1, 9000).map(lambda size: b"\x5a" * size))
limits = st.builds(
    StoreLimits,
    spool_rows=st.integers(1, 12),
    spool_bytes=st.sampled_from([64 * KIB, 1024 * KIB]),
    spool_age_s=st.sampled_from([0, 5]),
    drop=st.sampled_from(["oldest", "newest"]),
)


class StoreMachine(RuleBasedStateMachine):
    @initialize(limits=limits)
    def begin(self, limits: StoreLimits) -> None:
        self.scratch = faults.scratch()
        self.directory = self.scratch.__enter__()
        self.limits = limits
        self.now_ns = 1_763_750_000 * SECOND
        self.events_made = 0
        self.model = Model(limits, put_off=ACKNOWLEDGED_MAX)
        self.store = self.open()

    def open(self) -> Store:
        return Store.open(self.directory, self.limits, now_ns=self.now_ns)

    @rule(
        journal=st.lists(blobs, max_size=3),
        events=st.integers(0, 15),
        outbox=st.lists(blobs, max_size=4),
        unit=st.sampled_from(["K", "u" * 20_000]),
        snapshots=st.dictionaries(series_ids, blobs, max_size=3),
        retired=st.sets(series_ids, max_size=1),
        forget=st.floats(0, 1),
    )
    def commit(self, journal, events, outbox, unit, snapshots, retired, forget) -> None:
        made = [make_event(self.events_made + n, unit) for n in range(events)]
        self.events_made += events
        through = int(forget * (self.model.journal_seq + len(journal)))
        work = {"journal": journal, "events": made, "outbox": outbox}
        work |= {"snapshots": snapshots, "retired": retired}
        done = self.store.commit(**work, forget_through=through, now_ns=self.now_ns)
        assert done == self.model.commit(**work, forget_through=through, now_ns=self.now_ns)

    @rule(data=st.data())
    def acknowledge(self, data) -> None:
        shown = sorted(self.model.shown().spool) or [1]
        seqs = data.draw(st.lists(st.one_of(st.sampled_from(shown), st.integers(-1, 60)), max_size=8))
        self.store.acknowledge(seqs)
        self.model.acknowledge(seqs)

    @rule(data=st.data())
    def acknowledge_outbox(self, data) -> None:
        shown = sorted(self.model.shown().outbox) or [1]
        seqs = data.draw(st.lists(st.one_of(st.sampled_from(shown), st.integers(-1, 60)), max_size=8))
        self.store.acknowledge_outbox(seqs)
        self.model.acknowledge_outbox(seqs)

    @rule(data=st.data(), limit=st.integers(1, 5))
    def peek(self, data, limit: int) -> None:
        spool = self.model.shown().spool
        after = data.draw(st.integers(0, self.model.spool.seq))
        through = data.draw(st.one_of(st.none(), st.integers(0, self.model.spool.seq + 1)))
        expected = [seq for seq in spool if seq > after and (through is None or seq <= through)][:limit]
        rows = self.store.peek(after=after, through=through, limit=limit)
        assert [row.seq for row in rows] == expected

    @rule(seconds=st.integers(-3, 4))
    def wait(self, seconds: int) -> None:
        self.now_ns += seconds * SECOND

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.model.flush()
        self.store = self.open()

    @rule()
    def copy_as_a_kill_would_leave_it(self) -> None:
        with faults.scratch() as folder:
            shutil.copytree(self.directory, folder, dirs_exist_ok=True)
            store = Store.open(folder, self.limits, now_ns=self.now_ns)
            assert store.notices == []
            assert state_of(store) == self.model.on_disk()
            store.close()

    @rule()
    def look_from_outside(self) -> None:
        view = Store.read_only(self.directory)
        assert state_of(view) == self.model.on_disk()
        view.close()

    @invariant()
    def shows_the_same(self) -> None:
        assert state_of(self.store) == self.model.shown()
        stats = self.store.spool_stats()
        times = [created for _, created in self.model.shown().spool.values()]
        assert stats.oldest_ns == (times[0] if times else None)

    def teardown(self) -> None:
        self.store.close()
        self.scratch.__exit__(None, None, None)


StoreMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestStore = StoreMachine.TestCase
