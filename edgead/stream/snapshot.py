"""A series as bytes: everything of it that outlives the process.

msgpack arrays, versioned; a snapshot of another version is refused, which makes the series learn anew.
"""

import msgspec

from edgead.errors import InvalidInput
from edgead.records import Verdict
from edgead.stream.episode import Episode
from edgead.stream.series import Pending, Series
from edgead.stream.settings import SeriesSettings
from edgead.univariate.streaming import make_detector

VERSION = 1


class Snapshot(msgspec.Struct, array_like=True, gc=False):
    """The stored form of `Series`; attributes as there."""

    version: int
    key: int
    source: str
    model: str
    state: bytes
    judged_ns: int
    newest_ns: int
    arrived_ns: int
    on_time_ns: int
    late_run: int
    step_ns: int
    sparse: tuple[int, int]
    pending: list[Pending]
    recent: tuple[bytes, bytes]
    episode: tuple[int, bool, int, int]
    muted_until_ns: int
    stale: bool
    verdict: Verdict | None
    backfill: "Snapshot | None"


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Snapshot)


def dump(series: Series) -> bytes:
    """All state of a series."""
    return _encoder.encode(_take(series))


def _take(series: Series) -> Snapshot:
    return Snapshot(
        VERSION,
        series.key,
        series.source,
        series.detector.model,
        series.detector.dump(),
        series.judged_ns,
        series.newest_ns,
        series.arrived_ns,
        series.on_time_ns,
        series.late_run,
        series.step_ns,
        (series.sparse_run, series.sparse_ns),
        series.pending,
        series.recent.dump(),
        msgspec.structs.astuple(series.episode),
        series.muted_until_ns,
        series.stale,
        series.verdict,
        _take(series.backfill) if series.backfill is not None else None,
    )


def decode(blob: bytes) -> Snapshot:
    """The snapshot in these bytes.

    Raises
    ------
    InvalidInput
        If they are none, or one of another version.
    """
    try:
        snapshot = _decoder.decode(blob)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"snapshot: {error}") from error
    if snapshot.version != VERSION:
        raise InvalidInput(f"snapshot: version {snapshot.version} is unknown, expected {VERSION}")
    return snapshot


def restore(
    series_id: str, snapshot: Snapshot, settings: SeriesSettings, node: str, *, replay: bool = False
) -> Series:
    """The series as it was.

    A detector state that does not fit the settings any more (another detector or window) is left behind: the series
    then learns anew, but keeps its place in time.  Whether it can go on with the state of another version, the
    detector itself decides.
    """
    series = Series(series_id, snapshot.key, snapshot.source, settings, node, replay=replay)
    if snapshot.model.partition("@")[0] == series.detector.model.partition("@")[0]:
        try:
            series.detector.load(snapshot.state)
        except InvalidInput:
            series.detector = make_detector(settings.detector, settings.detecting)
    series.ready = series.detector.needed == 0
    series.judged_ns, series.newest_ns = snapshot.judged_ns, snapshot.newest_ns
    series.arrived_ns = snapshot.arrived_ns
    series.on_time_ns, series.late_run = snapshot.on_time_ns, snapshot.late_run
    if snapshot.step_ns > settings.step_ns:  # widened; a configuration that now names a longer step wins
        series.set_step(snapshot.step_ns)
    series.sparse_run, series.sparse_ns = snapshot.sparse
    series.pending = snapshot.pending
    series.recent.load(snapshot.recent)
    series.episode = Episode(*snapshot.episode)
    series.muted_until_ns = snapshot.muted_until_ns
    series.stale = snapshot.stale
    series.verdict = snapshot.verdict
    if snapshot.backfill is not None:
        series.backfill = restore(series_id, snapshot.backfill, settings, node, replay=True)
    return series
