"""The settings of a device: every key with its type, unit, range and default.

Defaults that belong to the core are read from the core's own settings.  The description of a type is what the
message about a wrong value says was expected.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edgead.config.topics import field_name, ids_of
from edgead.config.units import parse_duration, parse_hours, parse_listen, parse_size, parse_url
from edgead.stream.settings import EngineSettings, GroupSettings, LatePolicy, SeriesSettings
from edgead.univariate import DetectorSettings
from edgead.univariate.streaming import MAX_WINDOW, MIN_WINDOW, Direction

_YEAR_NS = 366 * 86_400_000_000_000
_SERIES, _ENGINE, _GROUP = SeriesSettings(), EngineSettings(), GroupSettings(variables={})


def _duration(at_least: int, expected: str, at_most: int = _YEAR_NS) -> Meta:
    return Meta(ge=at_least, le=at_most, description=expected, extra={"read": parse_duration})


def _size(at_least: int, expected: str) -> Meta:
    return Meta(ge=at_least, le=2**50, description=expected, extra={"read": parse_size})


Identifier = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="1 to 64 of letters, digits, _ . -")
]
Text = Annotated[str, Meta(max_length=256, description="a string of at most 256 characters")]
FilePath = Annotated[str, Meta(max_length=4096, description="the path of a file, as a string")]
FolderPath = Annotated[
    str, Meta(min_length=1, max_length=4096, description="the path of a folder, as a string")
]
Host = Annotated[
    str,
    Meta(
        # no colon, or two and more: an IPv6 address
        pattern=r"^(?:[^\s/:]+|[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%[\w.-]+)?)$",
        max_length=255,
        description='a host name or address without scheme and port, e.g. "broker.local"',
    ),
]
Port = Annotated[int, Meta(ge=1, le=65535, description="a whole number 1..65535")]
Topic = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1024,
        description='a topic, e.g. "plant/press1/temp" or "plant/{machine}/{variable}"',
    ),
]
TopicRoot = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$",
        max_length=256,
        description='levels of letters, digits, _ . - such as "edgead" or "site1/edgead"',
    ),
]
Timeout = Annotated[int, _duration(0, 'a duration, e.g. "2s" or "5min"')]
Switch = Annotated[bool, Meta(description="true or false")]
Paths = Annotated[
    tuple[FolderPath, ...], Meta(max_length=1000, description='a list of folders, e.g. ["/data"]')
]
AtLeast1 = Annotated[int, Meta(ge=1, le=2**31, description="a whole number >= 1")]
Deviation = Annotated[float, Meta(ge=0, le=1e300, description="a number >= 0")]
Value = Annotated[
    str | list[str],
    Meta(description='a path in the payload ("value", "a.b[0]", "" = bare number) or a list of such paths'),
]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every table of the file."""


class NodeConfig(Section, frozen=True, kw_only=True):
    """``[node]``: this device.

    Attributes
    ----------
    id : str
        Part of every topic and of every event id.
    state_dir : str
        Folder of the database; made when missing.  A relative path starts at the folder of the file.
    """

    id: Identifier = _ENGINE.node
    state_dir: FolderPath = "/var/lib/edgead"


class TlsConfig(Section, frozen=True, kw_only=True):
    """``[mqtt.tls]``: its presence turns TLS on.

    Attributes
    ----------
    ca : str
        PEM file of the authorities to trust; "" = those of the system.
    cert, key : str
        PEM files of the client's certificate and key; both or neither.
    """

    ca: FilePath = ""
    cert: FilePath = ""
    key: FilePath = ""


class MqttConfig(Section, frozen=True, kw_only=True):
    """``[mqtt]``: the broker that readings come from and events go to.

    Attributes
    ----------
    host, port : str, int
        A port that is not given is 8883 with TLS.
    topic_root : str
        First levels of every topic edgead publishes.
    client_id : str
        Fixed, so that the broker keeps the session; "" = ``edgead-{node}``.
    username, password_file : str
        The password may also come from a systemd credential or the environment, see `mqtt_password`.
    keepalive : int
        Nanoseconds; the broker calls a silent client dead after 1.5 times this.
    state_every : int
        Nanoseconds between two states of a series that did not change.
    protocol : {"3.1.1", "5"}
        3.1.1 costs about half the processor time of 5.
    """

    host: Host = "127.0.0.1"
    port: Port = 1883
    topic_root: TopicRoot = "edgead"
    client_id: Annotated[str, Meta(max_length=128, description="a string of at most 128 characters")] = ""
    username: Text = ""
    password_file: FilePath = ""
    keepalive: Annotated[int, _duration(10**9, 'a duration 1s..18h, e.g. "60s"', at_most=65_535 * 10**9)] = (
        60 * 10**9
    )
    state_every: Annotated[int, _duration(10**8, 'a duration of at least 100ms, e.g. "30s"')] = 30 * 10**9
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    tls: TlsConfig | None = None


class HttpConfig(Section, frozen=True, kw_only=True):
    """``[http]``: health and metrics.

    Attributes
    ----------
    listen : str
        ``host:port`` of /healthz, /readyz and /metrics; "" = no HTTP.
    """

    listen: Annotated[
        str,
        Meta(
            max_length=255,
            description='host:port, e.g. "127.0.0.1:8800", or "" for none',
            extra={"read": parse_listen},
        ),
    ] = "127.0.0.1:8800"


class StoreConfig(Section, frozen=True, kw_only=True):
    """``[store]``: what is kept on disk, and how often it is written.

    Attributes
    ----------
    spool_rows, spool_bytes, spool_age : int
        Bounds of the events waiting for the broker (rows, bytes, nanoseconds; age 0 = none).
    drop : {"oldest", "newest"}
        What goes first when a bound is reached.
    commit_interval, commit_readings : int
        A transaction at least this often while readings come (nanoseconds, readings).
    journal_readings : int
        Readings logged since the last full state; bounds the time of a restart.
    max_bytes_per_day : int
        Bound of what is written to flash in a day; 0 = none.
    """

    spool_rows: AtLeast1 = 100_000
    spool_bytes: Annotated[int, _size(64 * 1024, 'a size of at least 64KiB, e.g. "64MiB"')] = 64 * 2**20
    spool_age: Annotated[int, _duration(0, 'a duration, e.g. "30d", or 0 for no bound')] = 30 * 86_400 * 10**9
    drop: Literal["oldest", "newest"] = "oldest"
    commit_interval: Annotated[
        int, _duration(10**6, 'a duration 1ms..1h, e.g. "1s"', at_most=3600 * 10**9)
    ] = 5 * 10**9
    commit_readings: AtLeast1 = 1000
    journal_readings: AtLeast1 = 300_000
    max_bytes_per_day: Annotated[int, _size(0, 'a size, e.g. "500MB", or 0 for no bound')] = 0


class LimitsConfig(Section, frozen=True, kw_only=True):
    """``[limits]``: what the agent may use.

    Attributes
    ----------
    max_series : int
        More series than this are refused, and counted.
    memory_budget : int
        Bytes of all detector states together.
    inbox : int
        Messages that may wait between the network and the engine.
    """

    max_series: Annotated[int, Meta(ge=1, le=1_000_000, description="a whole number 1..1000000")] = (
        _ENGINE.max_series
    )
    memory_budget: Annotated[int, _size(1024**2, 'a size of at least 1MiB, e.g. "64MiB"')] = (
        _ENGINE.memory_budget_bytes
    )
    inbox: Annotated[int, Meta(ge=1, le=10_000_000, description="a whole number 1..10000000")] = 10_000


class LogConfig(Section, frozen=True, kw_only=True):
    """``[log]``: one line an event on stderr.

    Attributes
    ----------
    level : {"debug", "info", "warning", "error"}
    format : {"text", "json"}
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


#: Keys of ``[server]`` that name a file.
SERVER_FILES = ("keys_file", "device_keys_file", "tls_cert", "tls_key", "source_ca")


class ServerConfig(Section, frozen=True, kw_only=True):
    """``[server]``: the cloud API of ``edgead serve``.

    Attributes
    ----------
    host, port : str, int
        Where it listens; 0 = any free port.
    keys_file : str
        Lines ``NAME:KEY1[:KEY2]``; "" = no keys, and every key is taken.
    without_keys : bool
        Listen beyond this host although there are no keys.
    device_keys_file : str
        Lines ``DEVICE:KEY1[:KEY2]`` of the devices that may send records; "" = none may, where there are keys.
    device_records : int
        Records kept of one device.
    device_size, fleet_size : int
        Bytes kept of one device and of all; more is refused, and stays on the device.
    tls_cert, tls_key : str
        PEM files; both or neither.
    data_roots : list of str
        Folders that a data source may lie in.
    allow_sources : list of str
        Prefixes of URLs that a data source may have.
    blob_folders : dict of str to str
        Prefix of a blob URL of old programs -> folder that holds what lay there.
    source_ca : str
        PEM file of the authorities to trust for ``https`` sources; "" = those of the system.
    source_size, source_time : int
        Bytes of one data source, packed and unpacked; nanoseconds that reading it may take.
    scheduler : str
        Address of a Dask scheduler; "" = a process of this machine for each job.
    threads : int
        Univariate calls answered at a time; 0 = one a processor.
    max_body, max_large_body : int
        Bytes of a request; the large one is for requests that carry many variables or a package.
    max_buffered : int
        Bytes of all requests together.
    max_requests, max_connections : int
        At a time.
    max_waiting : int
        Univariate calls of one client that may wait for a thread.
    calls_per_minute : int
        Of one client; 0 = no bound.
    read_time, request_time, stop_time : int
        Nanoseconds: for the headers and for a pause in a body; for a whole answer; for what runs at a stop.
    max_models, max_training, max_detections : int
        Models of one client, and jobs of one client under way.
    jobs : int
        Jobs of each kind that run at a time.
    job_memory, job_time : int
        Bytes and nanoseconds that one job may take.
    epochs : int
        Most epochs of a training; it stops earlier when held-back rows gain nothing.
    keep_results : int
        Nanoseconds that results live.
    results_size : int
        Bytes of all results together; beyond it the oldest go early.
    model_memory : int
        Bytes of loaded models that are kept for the next call.
    shared_models : bool
        Every client sees the models of all, instead of its own.
    repository, repository_keys : str
        Folder of the signed repository that is served, and of the keys that release this server's models into it;
        "" = none.
    repository_open : bool
        Serve the repository without keys.
    publishers : list of str
        Clients that may release models.
    """

    host: Host = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="a whole number 0..65535")] = 5000
    keys_file: FilePath = ""
    without_keys: Switch = False
    device_keys_file: FilePath = ""
    device_records: AtLeast1 = 100_000
    device_size: Annotated[int, _size(2**21, 'a size of at least 2MiB, e.g. "512MiB"')] = 512 * 2**20
    fleet_size: Annotated[int, _size(2**21, 'a size of at least 2MiB, e.g. "4GiB"')] = 4 * 2**30
    tls_cert: FilePath = ""
    tls_key: FilePath = ""
    data_roots: Paths = ()
    allow_sources: Annotated[
        tuple[str, ...],
        Meta(max_length=1000, description='a list of URL prefixes, e.g. ["https://data.example/plant/"]'),
    ] = ()
    blob_folders: Annotated[
        dict[str, FolderPath],
        Meta(
            max_length=1000,
            description='a table of URL prefixes and folders, e.g. {"https://old.blob.core.windows.net/a" = "/data"}',
        ),
    ] = msgspec.field(default_factory=dict)
    source_ca: FilePath = ""
    source_size: Annotated[int, _size(64 * 1024, 'a size of at least 64KiB, e.g. "2GB"')] = 2 * 10**9
    source_time: Annotated[int, _duration(10**9, 'a duration of at least 1s, e.g. "10min"')] = 600 * 10**9
    scheduler: Annotated[
        str, Meta(pattern=r"^(|t(cp|ls)://[^\s]+)$", max_length=256, description='"tcp://host:port", or ""')
    ] = ""
    threads: Annotated[int, Meta(ge=0, le=1024, description="a whole number 0..1024")] = 0
    max_body: Annotated[int, _size(64 * 1024, 'a size of at least 64KiB, e.g. "4MiB"')] = 4 * 2**20
    max_large_body: Annotated[int, _size(64 * 1024, 'a size of at least 64KiB, e.g. "64MiB"')] = 64 * 2**20
    max_buffered: Annotated[int, _size(2**20, 'a size of at least 1MiB, e.g. "256MiB"')] = 256 * 2**20
    max_requests: AtLeast1 = 256
    max_connections: AtLeast1 = 1000
    max_waiting: AtLeast1 = 128
    calls_per_minute: Annotated[int, Meta(ge=0, le=2**31, description="a whole number >= 0")] = 0
    read_time: Annotated[int, _duration(10**8, 'a duration of at least 100ms, e.g. "10s"')] = 10 * 10**9
    request_time: Annotated[int, _duration(10**9, 'a duration of at least 1s, e.g. "60s"')] = 60 * 10**9
    stop_time: Annotated[int, _duration(10**8, 'a duration of at least 100ms, e.g. "10s"')] = 10 * 10**9
    max_models: AtLeast1 = 1000
    max_training: AtLeast1 = 20
    max_detections: AtLeast1 = 60
    jobs: AtLeast1 = 1
    job_memory: Annotated[int, _size(256 * 2**20, 'a size of at least 256MiB, e.g. "4GiB"')] = 4 * 2**30
    job_time: Annotated[int, _duration(10**9, 'a duration of at least 1s, e.g. "6h"')] = 6 * 3600 * 10**9
    epochs: Annotated[int, Meta(ge=1, le=10_000, description="a whole number 1..10000")] = 100
    keep_results: Annotated[int, _duration(10**9, 'a duration of at least 1s, e.g. "7d"')] = (
        7 * 86_400 * 10**9
    )
    results_size: Annotated[int, _size(2**20, 'a size of at least 1MiB, e.g. "4GiB"')] = 4 * 2**30
    model_memory: Annotated[int, _size(2**20, 'a size of at least 1MiB, e.g. "64MiB"')] = 64 * 2**20
    shared_models: Switch = False
    repository: FilePath = ""
    repository_keys: FilePath = ""
    repository_open: Switch = False
    publishers: Annotated[
        tuple[str, ...], Meta(max_length=1000, description='a list of clients, e.g. ["factory"]')
    ] = ()


class SeriesConfig(Section, frozen=True, kw_only=True):
    """``[[series]]``: where readings come from and how they are judged.

    Attributes
    ----------
    topic : str
        The only required key.  ``{name}`` binds one level, ``+`` is one level, ``#`` the rest.
    id : str
        Template over the bindings; "" = the topic with dots for slashes.  Of a list of values each has its path
        appended, or put where the template says ``{field}``.
    value : str or list of str
        Path of the value in a JSON payload, "" = the payload is a bare number; a list makes several series.
    time : str
        Path of the time in a JSON payload; "" or absent there = time of arrival.
    interval, lateness, stale_after, hold, update_every : int
        Nanoseconds; see `SeriesSettings` (step, allowed lateness, ...).
    window, detector, sensitivity, min_abs, min_rel, direction, unit, close_after, late
        See `DetectorSettings` and `SeriesSettings`.
    limit : int
        Series this block may create; 0 = as many as ``[limits] max_series`` allows.
    """

    topic: Topic
    id: Annotated[
        str,
        Meta(
            pattern=r"^([A-Za-z0-9_.-]|\{[A-Za-z_][A-Za-z0-9_]*\})*$",
            max_length=256,
            description='letters, digits, _ . - and bindings, e.g. "{machine}.{variable}"',
        ),
    ] = ""
    value: Value = "value"
    time: Annotated[str, Meta(max_length=256, description='a path in the payload, e.g. "ts", or ""')] = "ts"
    interval: Annotated[int, _duration(1000, 'a duration of at least 1us, e.g. "1s", "250ms", "5min"')] = (
        _SERIES.step_ns
    )
    window: Annotated[
        int, Meta(ge=MIN_WINDOW, le=MAX_WINDOW, description=f"a whole number {MIN_WINDOW}..{MAX_WINDOW}")
    ] = _SERIES.judging.window
    detector: str = _SERIES.detector
    sensitivity: Annotated[int, Meta(ge=0, le=100, description="a whole number 0..100")] = (
        _SERIES.judging.sensitivity
    )
    unit: Annotated[str, Meta(max_length=32, description="a string of at most 32 characters")] = _SERIES.unit
    min_abs: Deviation = _SERIES.judging.min_abs
    min_rel: Deviation = _SERIES.judging.min_rel
    direction: Direction = _SERIES.judging.direction
    hold: Timeout = _SERIES.hold_ns
    close_after: AtLeast1 = _SERIES.close_after
    update_every: Annotated[int, _duration(1, 'a duration above 0, e.g. "1min"')] = _SERIES.update_every_ns
    lateness: Timeout = _SERIES.allowed_lateness_ns
    late: LatePolicy = _SERIES.late
    stale_after: Timeout = _SERIES.stale_after_ns
    limit: Annotated[int, Meta(ge=0, le=1_000_000, description="a whole number 0..1000000")] = 0

    @property
    def values(self) -> tuple[str, ...]:
        """The value paths, one for each series of a topic."""
        return (self.value,) if isinstance(self.value, str) else tuple(self.value)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names that tell the values of one payload apart; a single value needs none."""
        return (
            ("",) if isinstance(self.value, str) else tuple(field_name(path) or path for path in self.value)
        )

    @property
    def id_template(self) -> str | None:
        """The template of ids; None = from the topic."""
        return self.id or None

    @property
    def time_path(self) -> str | None:
        """Path of the time; None = time of arrival."""
        return None if self.value == "" else self.time or None

    @property
    def settings(self) -> SeriesSettings:
        """What the engine needs to know of a series of this block."""
        judging = DetectorSettings(self.window, self.sensitivity, self.min_abs, self.min_rel, self.direction)
        return SeriesSettings(
            step_ns=self.interval,
            detector=self.detector,
            judging=judging,
            allowed_lateness_ns=self.lateness,
            late=self.late,
            stale_after_ns=self.stale_after,
            hold_ns=self.hold,
            close_after=self.close_after,
            update_every_ns=self.update_every,
            unit=self.unit,
        )


class GroupConfig(Section, frozen=True, kw_only=True):
    """``[[group]]``: variables of one machine that a model judges together.

    Attributes
    ----------
    id : str
        Required.
    model : str
        Required: the name of an installed model, or the path of a package (``.zip``).
    variables : dict of str to str
        Required: each variable of the model -> id of the series that measures it.
    hold, close_after, update_every, max_gap
        See `GroupSettings`.
    top : int
        Contributors that an event names at most.
    """

    id: Identifier
    model: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=4096,
            description="the name of an installed model, or the path of a package (.zip)",
        ),
    ]
    variables: Annotated[
        dict[str, str],
        Meta(
            min_length=1,
            max_length=300,
            description='a table of the model\'s variables and series ids, e.g. {flow = "pump1.flow"}',
        ),
    ]
    hold: Timeout = _GROUP.hold_ns
    close_after: AtLeast1 = _GROUP.close_after
    update_every: Annotated[int, _duration(1, 'a duration above 0, e.g. "1min"')] = _GROUP.update_every_ns
    max_gap: Timeout = _GROUP.max_gap_ns
    top: Annotated[int, Meta(ge=1, le=300, description="a whole number 1..300")] = 10

    @property
    def settings(self) -> GroupSettings:
        """What the engine needs to know of the group."""
        return GroupSettings(
            variables=self.variables,
            hold_ns=self.hold,
            close_after=self.close_after,
            update_every_ns=self.update_every,
            max_gap_ns=self.max_gap,
        )


Url = Annotated[
    str,
    Meta(
        max_length=2048,
        description='a URL with http or https, without user and password, e.g. "https://edgead.example"',
        extra={"read": parse_url},
    ),
]


class UplinkDataConfig(Section, frozen=True, kw_only=True):
    """``[uplink.data]``: its presence sends windows of readings to the server, to train on.

    Attributes
    ----------
    series : tuple of str
        Ids of series; ``*`` stands for any characters.
    window, every : int
        Nanoseconds of readings that are sent, and from the beginning of one window to that of the next (event time).
    daily : int
        Bytes of readings in a day at most, before compression.
    """

    series: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.*-]{1,128}$")], ...],
        Meta(min_length=1, max_length=1000, description='a list of series ids, e.g. ["pump1.*"]'),
    ] = ("*",)
    window: Annotated[int, _duration(10**9, 'a duration 1s..1d, e.g. "10min"', at_most=86_400 * 10**9)] = (
        600 * 10**9
    )
    every: Annotated[int, _duration(10**9, 'a duration of at least 1s, e.g. "6h"')] = 6 * 3600 * 10**9
    daily: Annotated[int, _size(1024, 'a size of at least 1KiB, e.g. "5MB"')] = 5_000_000


class UplinkConfig(Section, frozen=True, kw_only=True):
    """``[uplink]``: where models come from, and where events go.

    Attributes
    ----------
    url : str
        Base of the server; "" = no uplink.
    repository : str
        The repository of models; "" = ``edgead/v1/tuf/`` below `url`.
    root : str
        File with the first trusted root.json; "" = the one given to ``edgead sync --init-root``.
    group : str
        Group of this device; "" = none.
    interval, jitter : int
        Nanoseconds between two syncs, and how far devices spread over that time.
    send : int
        Nanoseconds after which an event goes up by itself; 0 = with the next sync.
    hours : str
        ``"22:00-05:00"``: local time of day in which a device may begin to sync or send by itself; "" = any.
    proxy : str
        URL of an HTTP proxy; "" = none, whatever the environment says.
    bandwidth : int
        Bytes a second taken from the network at most; 0 = no bound.
    credentials_file : str
        File with this device's key for the server; "" = none.
    client_cert : str
        PEM file of the client's certificate and its key; "" = none.
    ca : str
        PEM file of the authorities to trust; "" = those of the system.
    shadow : int
        Rows (readings of each series of a sample) that a new model judges unheard before it takes over.
    alarm_ratio : float
        A model with more alarms than so many times those of the other, on the same rows, is not wanted.
    watch : int
        Nanoseconds after an activation in which it is still compared with the one before; 0 = no watch.
    data : UplinkDataConfig or None
        Readings to train on; None = none are sent.
    """

    url: Url = ""
    repository: Url = ""
    root: FilePath = ""
    group: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_.-]{0,64}$", description="0 to 64 of letters, digits, _ . -")
    ] = ""
    interval: Annotated[int, _duration(60 * 10**9, 'a duration of at least 1min, e.g. "6h"')] = (
        6 * 3600 * 10**9
    )
    jitter: Timeout = 1800 * 10**9
    send: Annotated[int, _duration(0, 'a duration, e.g. "5min", or 0 to send with a sync only')] = 300 * 10**9
    hours: Annotated[
        str,
        Meta(
            max_length=11,
            description='times of day such as "22:00-05:00", or "" for any',
            extra={"read": parse_hours},
        ),
    ] = ""
    proxy: Url = ""
    bandwidth: Annotated[int, _size(0, 'a size a second, e.g. "100KiB", or 0 for no bound')] = 0
    credentials_file: FilePath = ""
    client_cert: FilePath = ""
    ca: FilePath = ""
    shadow: Annotated[int, Meta(ge=10, le=10_000_000, description="a whole number 10..10000000")] = 1000
    alarm_ratio: Annotated[float, Meta(ge=1.0, le=1000.0, description="a number 1..1000")] = 3.0
    watch: Annotated[int, _duration(0, 'a duration, e.g. "1d", or 0 for no watch')] = 86_400 * 10**9
    data: UplinkDataConfig | None = None

    @property
    def models_url(self) -> str:
        """The repository of models, with a slash at the end; "" = no uplink."""
        if self.repository:
            return self.repository.rstrip("/") + "/"
        return self.url.rstrip("/") + "/edgead/v1/tuf/" if self.url else ""


class Config(Section, frozen=True, kw_only=True):
    """A whole configuration file, every default filled in.

    Attributes
    ----------
    sections : frozenset of str
        Names of the tables and blocks that the file has.
    series : tuple of SeriesConfig
        In the order of the file; a topic belongs to the first block that matches it.
    group : tuple of GroupConfig
        In the order of the file.
    path, digest : str
        The file, and the SHA-256 of its bytes and its fragments' (hexadecimal).
    left_out : tuple of str
        Fragments that do not fit, in sentences.
    """

    node: NodeConfig = NodeConfig()
    mqtt: MqttConfig = MqttConfig()
    http: HttpConfig = HttpConfig()
    store: StoreConfig = StoreConfig()
    limits: LimitsConfig = LimitsConfig()
    log: LogConfig = LogConfig()
    uplink: UplinkConfig = UplinkConfig()
    server: ServerConfig = ServerConfig()
    sections: frozenset[str] = frozenset()
    series: tuple[SeriesConfig, ...] = ()
    group: tuple[GroupConfig, ...] = ()
    path: str = ""
    digest: str = ""
    left_out: tuple[str, ...] = ()

    def block_of(self, series_id: str) -> SeriesConfig | None:
        """The first block that can make a series of this id, or None."""
        for block in self.series:
            if any(ids_of(block.topic, block.id, field).fullmatch(series_id) for field in block.fields):
                return block
        return None

    @property
    def engine(self) -> EngineSettings:
        """Limits of the engine."""
        return EngineSettings(
            node=self.node.id,
            max_series=self.limits.max_series,
            memory_budget_bytes=self.limits.memory_budget,
        )


#: Blocks of the file that repeat, with the keys that each block needs.
BLOCKS: dict[str, tuple[type[Section], tuple[str, ...]]] = {
    "series": (SeriesConfig, ("topic",)),
    "group": (GroupConfig, ("id", "model", "variables")),
}

#: Tables of the file and what each holds.
TABLES: dict[str, type[Section]] = {
    "node": NodeConfig,
    "mqtt": MqttConfig,
    "http": HttpConfig,
    "store": StoreConfig,
    "limits": LimitsConfig,
    "log": LogConfig,
    "uplink": UplinkConfig,
    "server": ServerConfig,
}


def describe(kind: Any) -> str:
    """What a value of this type must be, in words."""
    if isinstance(kind, type) and issubclass(kind, Section):
        return "a table"
    meta = getattr(kind, "__metadata__", ())
    for note in meta:
        if isinstance(note, Meta) and note.description:
            return note.description
    choices = getattr(kind, "__args__", ())
    if choices and all(isinstance(choice, str) for choice in choices):
        return "one of " + ", ".join(f'"{choice}"' for choice in choices)
    return "a string"
