"""Two models of one name at work, one of them unheard: of groups, and of the network that many series share.

What `rollout` decides with, and has done; the models themselves are the engine's.
"""

import hashlib
import logging
from contextlib import suppress
from typing import Protocol

from edgead.agent.groups import Groups
from edgead.agent.models import Model, Windowed
from edgead.agent.network import NetworkInUse
from edgead.errors import InvalidInput, ModelPackageError
from edgead.package import open_package, read_package
from edgead.records import GROUP_PREFIX
from edgead.stream import Engine
from edgead.stream.shadow import Counts, SeriesShadow, Shadow
from edgead.univariate import networks
from edgead.univariate.srcnn import SrcnnDetector

log = logging.getLogger("edgead")

#: Series that stand for all that share a network: 32 of them with their states are 2 MiB, and about a thousand
#: readings of each tell more than any one series could.
SAMPLE = 32


class Judge(Protocol):
    """A model, as far as its alarms are compared.

    Attributes
    ----------
    name : str
        Name and version.
    failure : str
        Why it failed on its last row; "" when it did not.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def failure(self) -> str: ...  # noqa: D102


class Pair(Protocol):
    """Two models of one name on the same rows.

    Attributes
    ----------
    heard, unheard : Judge
    counts : Counts
    reached : int
        Of the stated number of rows, how many there are.
    unit : str
        What the rows are, for people.
    """

    @property
    def heard(self) -> Judge: ...  # noqa: D102
    @property
    def unheard(self) -> Judge: ...  # noqa: D102
    @property
    def counts(self) -> Counts: ...  # noqa: D102
    @property
    def reached(self) -> int: ...  # noqa: D102
    @property
    def unit(self) -> str: ...  # noqa: D102

    def look(self) -> None:
        """What is due once in a while."""

    def begin(self) -> None:
        """Count anew."""

    def exchange(self) -> set[str]:
        """Have the models change places; series and groups that have another one now."""

    def end(self) -> None:
        """Forget the one that is not heard."""

    def rest(self) -> dict[str, bytes]:
        """How far it is."""


class GroupPair:
    """Of the groups that use an installed model.

    Parameters
    ----------
    groups : Groups
    engine : Engine
    name : str
        Of the model.
    ids : list of str
        Of the groups.
    data : bytes
        Package of the second model.
    earlier : dict of str to bytes
        `rest` of another process.

    Raises
    ------
    ModelPackageError
        If the package or a group does not take part.
    """

    unit = "rows"

    def __init__(
        self,
        groups: Groups,
        engine: Engine,
        name: str,
        ids: list[str],
        data: bytes,
        earlier: dict[str, bytes],
    ) -> None:
        self.unheard = Model(read_package(data))
        self._groups, self._engine = groups, engine
        self._name, self._ids = name, ids
        for group_id in ids:
            if refusal := engine.add_shadow(group_id, Windowed(self.unheard, top=1)):
                self.end()
                raise ModelPackageError(f"group {group_id}: {refusal}")
        for group_id, shadow in zip(ids, self._shadows, strict=True):
            if group_id in earlier:
                _resume(shadow, group_id, earlier[group_id])

    @property
    def heard(self) -> Model:
        """See `Pair`."""
        model = self._groups.loaded(self._name)
        assert model is not None
        return model

    @property
    def _shadows(self) -> list[Shadow]:
        return [self._engine.shadows[f"{GROUP_PREFIX}{group_id}"] for group_id in self._ids]

    @property
    def counts(self) -> Counts:
        """See `Pair`."""
        return sum((shadow.counts for shadow in self._shadows), Counts())

    @property
    def reached(self) -> int:
        """See `Pair`."""
        return self.counts.rows

    def look(self) -> None:
        """See `Pair`."""

    def begin(self) -> None:
        """See `Pair`."""
        for shadow in self._shadows:
            shadow.begin()

    def exchange(self) -> set[str]:
        """See `Pair`."""
        heard = self.heard
        for group_id in self._ids:
            self._engine.swap_shadow(group_id)
        self._groups.exchange(self._name, self.unheard)
        self.unheard = heard
        return {f"{GROUP_PREFIX}{group_id}" for group_id in self._ids}

    def end(self) -> None:
        """See `Pair`."""
        for group_id in self._ids:
            self._engine.remove_shadow(group_id)

    def rest(self) -> dict[str, bytes]:
        """See `Pair`."""
        return {group_id: shadow.rest() for group_id, shadow in zip(self._ids, self._shadows, strict=True)}


class NetworkPair:
    """Of the network that series share: beside it a second one judges what a sample of the series judges.

    The sample is the first `SAMPLE` series by a hash of their ids, so that it is the same after a restart and has
    nothing to do with what the ids mean; it is filled up as series come.  Each begins with what its series knows of
    the readings, and is counted from when its network has a say.

    Parameters
    ----------
    in_use : NetworkInUse
    engine : Engine
    data : bytes
        Package of the second network.
    rows : int
        Readings of a series that are compared.
    earlier : dict of str to bytes
        `rest` of another process.

    Raises
    ------
    ModelPackageError
        If the package cannot be used, or there is no room beside any series.
    """

    def __init__(
        self, in_use: NetworkInUse, engine: Engine, data: bytes, rows: int, earlier: dict[str, bytes]
    ) -> None:
        self.unheard = networks.load(open_package(data))
        self._in_use, self._engine, self._rows = in_use, engine, rows
        self._earlier = earlier
        self._known = 0  # series when the sample was filled up last
        refusal = self._fill()
        if refusal and not self._shadows:
            raise ModelPackageError(refusal)

    @property
    def heard(self) -> networks.Network:
        """See `Pair`."""
        return networks.in_use()

    @property
    def _shadows(self) -> dict[str, SeriesShadow]:
        return self._engine.series_shadows

    def _live(self) -> list[Counts]:
        """Of the series that are not stale: a sensor that is gone keeps nobody waiting; of all where all are."""
        series = self._engine.series
        live = [shadow for each, shadow in self._shadows.items() if not series[each].stale]
        return [shadow.counts for shadow in live or self._shadows.values()]

    @property
    def counts(self) -> Counts:
        """See `Pair`."""
        return sum((shadow.counts for shadow in self._shadows.values()), Counts())

    @property
    def reached(self) -> int:
        """See `Pair`: what half of the series have."""
        rows = sorted((counts.rows for counts in self._live()), reverse=True)
        return rows[(len(rows) - 1) // 2] if rows else 0

    @property
    def unit(self) -> str:
        """See `Pair`."""
        return f"readings of {len(self._shadows)} series"

    def look(self) -> None:
        """See `Pair`: series that came, and those that began to learn anew."""
        self._engine.judge_unheard()
        for series_id in [each for each, shadow in self._shadows.items() if not shadow.follows]:
            self._engine.remove_series_shadow(series_id)
            self._known = 0
        if len(self._shadows) < SAMPLE and len(self._engine.networked) != self._known:
            self._fill()

    def _fill(self) -> str | None:
        """Put the network beside more series, as many as there are and may be; why not, in words."""
        known = self._engine.networked
        self._known = len(known)
        chosen = sorted(
            known - self._shadows.keys(), key=lambda each: (each not in self._earlier, _hash(each))
        )
        for series_id in chosen[: SAMPLE - len(self._shadows)]:
            if refusal := self._add(series_id):
                return refusal
        return None

    def _add(self, series_id: str) -> str | None:
        series = self._engine.series[series_id]
        detector = SrcnnDetector(series.settings.detecting, self.unheard)
        with suppress(InvalidInput):  # a network that looks back further: it learns the readings from here on
            detector.load(series.detector.dump())
        refusal = self._engine.add_series_shadow(series_id, detector, most=self._rows)
        if refusal is None and series_id in self._earlier:
            _resume(self._shadows[series_id], series_id, self._earlier.pop(series_id))
        return refusal

    def begin(self) -> None:
        """See `Pair`."""
        self._earlier = {}
        for shadow in self._shadows.values():
            shadow.begin()

    def exchange(self) -> set[str]:
        """See `Pair`.

        Series of the sample go on with what their second detector learned, the others with what they know of the
        readings; how loud the network is on them they learn anew.
        """
        self.look()
        engine, heard = self._engine, self.heard
        self._in_use.put(self.unheard)
        self.unheard = heard
        self._earlier = {}
        sampled = list(self._shadows)
        every = engine.networked
        for series_id in every.difference(sampled):
            engine.configure(series_id, engine.series[series_id].settings)
        for series_id in sampled:
            before = engine.promote_series_shadow(series_id)
            assert isinstance(before, SrcnnDetector)
            engine.add_series_shadow(series_id, before, most=self._rows)
        return every

    def end(self) -> None:
        """See `Pair`."""
        for series_id in list(self._shadows):
            self._engine.remove_series_shadow(series_id)

    def rest(self) -> dict[str, bytes]:
        """See `Pair`."""
        self._engine.judge_unheard()
        parts = {series_id: shadow.rest() for series_id, shadow in self._shadows.items()}
        waiting = list(self._earlier.items())[: SAMPLE - len(parts)]  # of series that have not come again
        return parts | dict(waiting)


def _resume(shadow: Shadow | SeriesShadow, name: str, part: bytes) -> None:
    try:
        shadow.resume(part)
    except InvalidInput as error:
        log.warning("trial begins anew", extra={"fields": {"of": name, "reason": str(error)}})


def _hash(series_id: str) -> bytes:
    return hashlib.blake2b(series_id.encode(), digest_size=8).digest()
