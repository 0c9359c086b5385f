"""Commands over MQTT: what is asked, by whom it is answered, and how far it is.

A command is a message on ``cmd/{verb}`` or ``cmd/{verb}/{request}``.  It is answered on
``cmd/{verb}/{request}/status``, or on the MQTT 5 response topic when the sender gives one: first ``init``,
then ``executing``, then ``successful`` or ``failed`` with the reason.  A retained command is a command of
the past: it is never executed.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from edgead.bridge.messages import CommandState, CommandStatus, to_ms
from edgead.bridge.topics import CommandAddress, Topics, is_id
from edgead.errors import EdgeADError, InvalidInput
from edgead.records import GROUP_PREFIX

MAX_COMMAND_BYTES: Final = 4096
MAX_MUTE_S: Final = 366 * 86_400.0

VERBS: Final = {
    "ping": "answers; needs nothing",
    "relearn": "forgets what a series has learned and starts over; needs the series or group",
    "mute": "raises no events for a series, for ever or `for` seconds; needs the series or group",
    "unmute": "raises events again; needs the series or group",
    "sync": "asks the repository for models and sends what waits for the server, now; needs nothing",
    "model-install": "takes the newest model of a name from the repository, whatever its share; needs the model",
    "model-rollback": "makes the package before the active one active again; needs the model",
}
"""Every verb, in words."""

_WITHOUT_SERIES = ("ping", "sync")
_OF_MODELS = ("model-install", "model-rollback")
MAX_UNDER_WAY: Final = 16
"""Commands that go on at one time."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A command that was understood.

    Attributes
    ----------
    series, group : str
        Id of the one or the other; both ``""`` for verbs that need none.
    model : str
        Name of a model, for the verbs that need one.
    for_s : float or None
        How long, in seconds; None: until told otherwise.
    """

    verb: str
    request: str
    series: str = ""
    group: str = ""
    model: str = ""
    for_s: float | None = None

    @property
    def target(self) -> str:
        """Id of the series, or ``group/{id}``."""
        return f"{GROUP_PREFIX}{self.group}" if self.group else self.series


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message to publish."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    correlation: bytes | None = None


Handler = Callable[[Command], str | None]
"""Does what a verb says and returns a sentence about it; an `EdgeADError` makes the command fail with its text.  None
says that it goes on: `Commands.tell` gives its further answers."""


class _Arguments(msgspec.Struct, forbid_unknown_fields=True, rename={"for_s": "for"}):
    """The payload of a command as an object."""

    series: str = ""
    group: str = ""
    model: str = ""
    for_s: float | None = None


class Commands:
    """The desk where commands are taken, executed and answered.

    Parameters
    ----------
    topics : Topics
        Of this node.
    handlers : mapping of str to callable
        Verb -> what does it; ``ping`` is answered without one.

    Attributes
    ----------
    counts : dict of str to int
        ``successful``, ``failed``, ``retained`` (ignored).
    """

    def __init__(self, topics: Topics, handlers: Mapping[str, Handler]) -> None:
        self._topics = topics
        self._handlers: dict[str, Handler] = {"ping": lambda command: "pong", **handlers}
        self.counts = {"successful": 0, "failed": 0, "retained": 0}
        self._under_way: dict[Command, _Answers] = {}

    def run(
        self,
        topic: str,
        payload: bytes,
        *,
        now_ns: int,
        retain: bool = False,
        response_topic: str | None = None,
        correlation: bytes | None = None,
    ) -> Iterator[Outgoing]:
        """Execute the command of a message, step by step: every answer is yielded when it is true.

        Nothing is yielded, and nothing done, for a retained command and for a topic that is no command.
        """
        address = self._topics.command(topic)
        if address is None:
            return
        if retain:
            self.counts["retained"] += 1
            return
        answer = _Answers(self._topics, address, now_ns, response_topic, correlation)
        yield answer("init")
        try:
            command = read_command(address, payload)
            handler = self._handlers.get(command.verb)
            if handler is None:
                raise InvalidInput(f"{command.verb}: this node does not do it")
            if len(self._under_way) >= MAX_UNDER_WAY:
                raise InvalidInput(f"{command.verb}: {MAX_UNDER_WAY} commands are under way, try again later")
            yield answer("executing")
            reason = handler(command)
            if reason is None:
                self._under_way[command] = answer
                return
        except EdgeADError as error:
            self.counts["failed"] += 1
            yield answer("failed", str(error))
        else:
            self.counts["successful"] += 1
            yield answer("successful", reason)

    def tell(self, command: Command, status: CommandState, reason: str, *, now_ns: int) -> Outgoing | None:
        """A further answer of a command that went on; None when there is no such command.

        Parameters
        ----------
        command : Command
            As the handler was given it.
        status : str
            ``executing`` while it goes on; the others end it.
        reason : str
            How far it is, or what came of it.
        now_ns : int
            Processing time.
        """
        answer = self._under_way.get(command)
        if answer is None:
            return None
        if status in ("successful", "failed"):
            self.counts[status] += 1
            del self._under_way[command]
        return answer(status, reason, now_ns=now_ns)


class _Answers:
    """Makes the answers of one command."""

    def __init__(
        self,
        topics: Topics,
        address: CommandAddress,
        now_ns: int,
        response_topic: str | None,
        correlation: bytes | None,
    ) -> None:
        self._address = address
        self._ts = to_ms(now_ns)
        self._topic = topics.command_status(address.verb, address.request)
        self._correlation = None
        if response_topic and _may_answer_on(response_topic, topics):
            self._topic, self._correlation = response_topic, correlation

    def __call__(self, status: CommandState, reason: str = "", *, now_ns: int | None = None) -> Outgoing:
        ts = self._ts if now_ns is None else to_ms(now_ns)
        message = CommandStatus(
            ts=ts, verb=self._address.verb, request=self._address.request, status=status, reason=reason
        )
        return Outgoing(topic=self._topic, payload=message.encode(), correlation=self._correlation)


def _may_answer_on(topic: str, topics: Topics) -> bool:
    """Not on our own topics: with our rights at the broker a sender could speak in our name there."""
    return not (topic.startswith("$") or topics.is_own(topic) or any(each in topic for each in "+#\0"))


def read_command(address: CommandAddress, payload: bytes) -> Command:
    """Understand a command.

    Parameters
    ----------
    address : CommandAddress
        From the topic.
    payload : bytes
        Nothing, a bare series id, a bare ``group/{id}``, or ``{"series": "...", "for": 3600}`` with ``series`` or
        ``group``.

    Raises
    ------
    InvalidInput
        With the reason, for the sender.
    """
    verb = address.verb
    if verb not in VERBS:
        raise InvalidInput(f"{verb}: unknown command, expected one of {', '.join(VERBS)}")
    if verb in _OF_MODELS:
        return Command(verb=verb, request=address.request, model=_model(verb, payload))
    arguments = _arguments(payload)
    if arguments.model:
        raise InvalidInput(f"{verb}: expected no model")
    named = [name for name in (arguments.series, arguments.group) if name]
    if not named and verb not in _WITHOUT_SERIES:
        raise InvalidInput(f'{verb}: expected a series or group: {{"series": "..."}}, {{"group": "..."}}')
    if len(named) > 1:
        raise InvalidInput(f"{verb}: expected a series or a group, got both")
    for key, name in (("series", arguments.series), ("group", arguments.group)):
        if name and not is_id(name):
            raise InvalidInput(f"{key}: expected letters, digits, '_', '.', '-', got {name[:80]!r}")
    if arguments.for_s is not None and (verb != "mute" or not 0 < arguments.for_s <= MAX_MUTE_S):
        raise InvalidInput(
            f"for: expected seconds up to {MAX_MUTE_S:.0f}, with mute only, got {arguments.for_s}"
        )
    return Command(
        verb=verb,
        request=address.request,
        series=arguments.series,
        group=arguments.group,
        for_s=arguments.for_s,
    )


def _model(verb: str, payload: bytes) -> str:
    """Name of the model that a payload means, bare or as an object."""
    arguments = _arguments(payload)
    name = arguments.model or arguments.series
    if not is_id(name) or (arguments.model and arguments.series) or arguments.group or arguments.for_s:
        raise InvalidInput(f'{verb}: expected a model: its name, or {{"model": "..."}}')
    return name


def _arguments(payload: bytes) -> _Arguments:
    if len(payload) > MAX_COMMAND_BYTES:
        raise InvalidInput(f"payload: expected at most {MAX_COMMAND_BYTES} bytes, got {len(payload)}")
    try:
        text = payload.decode("utf-8-sig").strip()
        if not text:
            return _Arguments()
        if is_id(text):
            return _Arguments(series=text)
        if text.startswith(GROUP_PREFIX) and is_id(text.removeprefix(GROUP_PREFIX)):
            return _Arguments(group=text.removeprefix(GROUP_PREFIX))
        if text.startswith('"'):
            return _Arguments(series=msgspec.json.decode(text, type=str))
        return msgspec.json.decode(text, type=_Arguments)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f'payload: expected a series id or {{"series": "..."}}: {error}') from None
