"""Messages to readings: finds the rule of a topic, decodes the payload, takes new series into the engine.

Nothing that comes over MQTT raises here: what cannot be read is counted by cause and offered as a dead
letter, what is refused is counted with its reason.
"""

import logging
import traceback
from collections import Counter, OrderedDict

from edgead.bridge.inbox import Incoming, TooLarge
from edgead.bridge.messages import DeadLetter, DeadLetters
from edgead.bridge.payloads import CAUSES, Decode, Decoded, PayloadError, compile_decoder, field_names
from edgead.bridge.timestamps import TS_REPLACED
from edgead.bridge.topics import Route, Router, TopicPattern, Topics
from edgead.config import Config, SeriesConfig
from edgead.records import Reading
from edgead.stream import Engine, SeriesSettings

log = logging.getLogger("edgead")

#: Refused series remembered, so that each is looked at and logged once; beyond that the oldest are forgotten.
REFUSALS_KEPT = 10_000
#: Characters of a topic that are remembered with a refusal; a topic can have 65 535.
TOPIC_REMEMBERED = 200
#: Why a time is replaced; see docs/mqtt-api.md.
NO_TIME = (
    "it cannot be read, is before 2000, or is more than 10 minutes ahead of this device's clock"
    " (a local time without its offset counts as UTC)"
)


class Rule:
    """One ``[[series]]`` block, compiled."""

    def __init__(self, block: SeriesConfig) -> None:
        self.pattern = TopicPattern(block.topic, block.id_template)
        self.fields = field_names(block.value)
        self.decode: Decode = compile_decoder(block.value, block.time_path)
        self.topic, self.paths = block.topic, ", ".join(block.values)
        self.time = block.time_path
        self.settings: SeriesSettings = block.settings
        self.limit = block.limit
        self.created = 0
        self.told: set[str] = set()  # causes that are in the log


class Intake:
    """The way in.

    Parameters
    ----------
    config : Config
    topics : Topics
        Our own topics, which are never readings.
    engine : Engine
        Takes new series in.

    Attributes
    ----------
    counts : Counter of str
        ``unrouted``, ``refused``, ``retained`` (kept by the broker, of unknown age), and
        ``payload_<cause>`` for payloads that could not be read.
    refusals : OrderedDict of str to str
        Series id -> why the engine did not take it.
    refused_ns : int
        Processing time of the last reading of a refused series.
    born : set of str
        Series taken in since the set was last emptied.
    dead_letters : list of DeadLetter
        Samples to send of what could not be read; the sender empties the list.
    """

    def __init__(self, config: Config, topics: Topics, engine: Engine) -> None:
        self.counts: Counter[str] = Counter()
        self.refusals: OrderedDict[str, str] = OrderedDict()
        self.refused_ns = 0
        self.born: set[str] = set()
        self.dead_letters: list[DeadLetter] = []
        self._letters = DeadLetters()
        self._engine = engine
        self.load(config, topics)

    def load(self, config: Config, topics: Topics) -> None:
        """Take the rules of a configuration; series of rules that stayed keep what they learned."""
        self.rules = [Rule(block) for block in config.series]
        self._samples = topics.deadletter
        self._router = Router([(rule.pattern, rule.fields) for rule in self.rules], own_prefix=topics.prefix)
        self.refusals.clear()

    @property
    def filters(self) -> list[str]:
        """What to subscribe to."""
        return sorted({rule.pattern.filter for rule in self.rules})

    def settings_for(self, series_id: str, source: str) -> SeriesSettings | None:
        """Settings of a stored series, found again by where its readings came from; None when no rule has it."""
        topic = source.partition("#")[0]
        for route in self._router.routes(topic):
            if series_id in route.series_ids.values():
                rule = self.rules[route.rule]
                rule.created += 1
                return rule.settings
        return None

    def read(self, message: Incoming, now_ns: int) -> list[Reading]:
        """Readings of one message, of series that the engine has.

        A failure of ours costs the message, counted as ``payload_internal``, and not the process.
        """
        try:
            return self._read(message, now_ns)
        except Exception as error:
            self.counts["payload_internal"] += 1
            kind = type(error).__name__
            self._report(message.topic, message.payload, "internal", kind, message.received_ns)
            where = traceback.extract_tb(error.__traceback__)[-1]
            fields = {"topic": message.topic, "kind": kind, "at": f"{where.filename}:{where.lineno}"}
            log.error("message not read: a bug", extra={"fields": fields})
            return []

    def _read(self, message: Incoming, now_ns: int) -> list[Reading]:
        routes = self._router.routes(message.topic)
        if not routes:
            self.counts["unrouted"] += 1
        readings: list[Reading] = []
        for route in routes:
            decoded = self._decode(route, message)
            if decoded and decoded[0][3] == TS_REPLACED:
                self._log_time(self.rules[route.rule], message.topic)
            if message.retain:  # sent before we asked: without a time of its own nobody knows how old it is
                dated = [each for each in decoded if each[1] != message.received_ns]
                if len(dated) < len(decoded):
                    self.counts["retained"] += len(decoded) - len(dated)
                decoded = dated
            if decoded:
                self._take(route, message.topic, decoded, now_ns, readings)
        return readings

    def _take(
        self, route: Route, topic: str, decoded: list[Decoded], now_ns: int, readings: list[Reading]
    ) -> None:
        """Append the readings of series that the engine has, or takes now."""
        last_field, series_id = None, ""
        for field, time_ns, value, quality in decoded:
            if field != last_field:  # an array's values have one field: it is looked up once
                last_field, series_id = field, self._series_of(route, field, topic, now_ns)
            if series_id:
                readings.append(Reading(series_id, time_ns, value, quality))

    def _series_of(self, route: Route, field: str, topic: str, now_ns: int) -> str:
        """Id of the series of a field; "" where an earlier rule has it, or it is refused."""
        series_id = route.series_ids.get(field)
        if series_id is None:
            return ""
        series = self._engine.series.get(series_id)
        if series is None:
            return series_id if self._admit(series_id, route, field, topic, now_ns) else ""
        if series.topic != topic:
            self._clash(series_id, series.topic, topic, now_ns)
            return ""
        return series_id

    def _decode(self, route: Route, message: Incoming) -> list[tuple[str, int, float, str]]:
        try:
            return self.rules[route.rule].decode(message.payload, message.received_ns)
        except PayloadError as error:
            self.counts[f"payload_{error.cause}"] += 1
            self._report(message.topic, message.payload, error.cause, str(error), message.received_ns)
            self._log_once(self.rules[route.rule], message.topic, error.cause)
            return error.decoded

    def _log_once(self, rule: Rule, topic: str, cause: str) -> None:
        """A line for each block and cause, at first sight: who set a path wrong looks into the log first.

        The payload itself is in the dead letters; it has no place in a log.
        """
        if cause in rule.told:
            return
        rule.told.add(cause)
        fields = {
            "topic": topic[:TOPIC_REMEMBERED],
            "cause": cause,
            "reason": CAUSES[cause],
            "block": rule.topic,
            "value": rule.paths,
            "samples": self._samples,
        }
        log.warning("payload not readable, and no more lines about this cause", extra={"fields": fields})

    def _log_time(self, rule: Rule, topic: str) -> None:
        """A line for each block whose times are of no use: the readings are judged, and nothing else shows it."""
        if TS_REPLACED in rule.told:
            return
        rule.told.add(TS_REPLACED)
        fields = {
            "topic": topic[:TOPIC_REMEMBERED],
            "block": rule.topic,
            "time": rule.time,
            "reason": NO_TIME,
        }
        log.warning("time not usable, that of arrival is taken", extra={"fields": fields})

    def refuse(self, message: TooLarge) -> None:
        """Count a message that was too large to be held in memory."""
        self.counts["payload_too_large"] += 1
        error = f"expected a smaller message, got {message.size} bytes"
        self._report(message.topic, message.sample, "too_large", error, message.received_ns)

    def _report(self, topic: str, payload: bytes, cause: str, error: str, received_ns: int) -> None:
        letter = self._letters.report(topic, payload, cause, error, received_ns)
        if letter is not None:
            self.dead_letters.append(letter)

    def _admit(self, series_id: str, route: Route, field: str, topic: str, now_ns: int) -> bool:
        """Take a new series in, unless a limit forbids it."""
        if series_id in self.refusals:
            self._count_refused(now_ns)
            return False
        rule = self.rules[route.rule]
        if rule.limit and rule.created >= rule.limit:
            refusal: str | None = f"more than limit = {rule.limit} series of this block"
        else:
            refusal = self._engine.add(
                series_id, f"{topic}#{field}" if field else topic, rule.settings, now_ns
            )
        if refusal is None:
            rule.created += 1
            self.born.add(series_id)
            return True
        self._refuse(series_id, refusal, now_ns)
        return False

    def _clash(self, series_id: str, owner: str, topic: str, now_ns: int) -> None:
        """Two topics make one id: mixed they would be a series of no meaning; the first has it."""
        key = f"{series_id} of {topic[:TOPIC_REMEMBERED]}"
        if key in self.refusals:
            self._count_refused(now_ns)
        else:
            reason = f"{owner} has this id already; an id with more of the topic's bindings tells them apart"
            self._refuse(key, reason, now_ns)

    def _refuse(self, series_id: str, reason: str, now_ns: int) -> None:
        self._count_refused(now_ns)
        self.refusals[series_id] = reason
        if len(self.refusals) > REFUSALS_KEPT:
            self.refusals.popitem(last=False)
        log.warning("series refused", extra={"fields": {"series": series_id, "reason": reason}})

    def _count_refused(self, now_ns: int) -> None:
        self.counts["refused"] += 1
        self.refused_ns = now_ns
