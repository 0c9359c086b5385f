"""What the tests of new models have in common: an engine and its shelf in one process, fed one row a second."""

from pathlib import Path

from edgead.agent.groups import MODELS, Groups
from edgead.agent.network import NetworkInUse
from edgead.agent.rollout import Rollout
from edgead.agent.updates import Update
from edgead.config import parse
from edgead.registry.shelf import Shelf
from edgead.stream import Engine

S = 10**9
T0 = 1_763_750_000 * S


class RolloutDevice:
    """A device without a broker; who inherits says how it starts and what it is fed."""

    engine: Engine
    groups: Groups
    network: NetworkInUse
    rollout: Rollout

    def __init__(self, state: Path, config: str) -> None:
        self.config = parse(config.encode())
        self.state = state
        self.shelf = Shelf(state / MODELS, trial=lambda data: None)
        self.second = 0
        self.updates: list[Update] = []
        self.changed: list[set[str]] = []
        self.saves = 0
        self.snapshots: dict[str, tuple[int, bytes]] = {}

    def begin(self) -> None:
        """Begin what decides about models, with the engine as it was restored."""
        self.rollout = Rollout(
            self.config,
            self.engine,
            self.groups,
            self.network,
            self.shelf,
            self.updates.append,
            self.save,
            self.changed.append,
        )
        self.rollout.begin(self.config, self.now_ns)

    def save(self) -> None:
        """Save every state, as the agent does."""
        self.saves += 1
        blobs = self.engine.save_all()
        self.snapshots = {name: (1, blob) for name, blob in blobs.items()}
        self.engine.settle(1, blobs)

    def stop(self) -> None:
        """End as a process that may."""
        self.rollout.leave()
        self.save()

    @property
    def now_ns(self) -> int:
        """Wall clock."""
        return T0 + self.second * S

    def offer(self, data: bytes) -> None:
        """Put a package on the shelf, as a sync does."""
        self.shelf.propose(data)
        self.rollout.refresh(self.now_ns)

    @property
    def story(self) -> list[tuple[str, str]]:
        """What was told, and of which version."""
        return [(update.event, update.version) for update in self.updates]
