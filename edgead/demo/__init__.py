"""The demo: a simulated plant with known faults, a real broker, the real agent, and the grade at the end.

Everything runs on loopback, in a temporary folder, for a minute or so, and leaves nothing behind.
"""

import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import msgspec

from edgead import logs
from edgead.agent import build
from edgead.bridge.tools import Listener, Publisher
from edgead.config import load
from edgead.demo import scoring, stage, watch
from edgead.demo.plant import Plant
from edgead.errors import EdgeADError, InvalidInput
from edgead.simulate import MACHINES, Scenario, make_scenario

if TYPE_CHECKING:
    from edgead.demo.screen import Screen

MIN_SECONDS, MAX_SECONDS = 10, 100
#: The whole demo, whatever the machine: the plant is stopped early enough to end within two minutes.
PLANT_LIMIT_S = 100.0
#: Waits for the agent: to come online, to judge what is under way at the end, to say goodbye.
START_LIMIT_S, DRAIN_LIMIT_S, GOODBYE_LIMIT_S = 5.0, 8.0, 3.0
AGENT_STOP_LIMIT_S = 3.0
SHOW_EVERY_S = 0.25

#: Two of each machine.  Every series has one fault, after a time to learn from: in a plant most of the time is normal.
COPIES, QUIET_ROWS, FAULT_ROWS = 2, 1500, 1000
ROWS = QUIET_ROWS + FAULT_ROWS

WINDOW, SENSITIVITY = 480, 90
#: See `scoring`: ten readings and half a minute of plant time.
GRACE_NS, SETTLING_NS = 10 * 10**9, 30 * 10**9


#: Raises what has gone wrong on another thread.
Check = Callable[[], None]
#: Runs the agent of a configuration file from entering to leaving the block; leaving publishes what it has to tell.
AgentRunner = Callable[[Path], AbstractContextManager[Check]]


def run_demo(*, seconds: int = 60, seed: int = 1, run_agent: AgentRunner | None = None) -> int:
    """Play the demo on the terminal.

    Parameters
    ----------
    seconds : int, 10..100
        Wall time of the plant.
    seed : int, >= 0
        Of everything random.
    run_agent : callable, optional
        Default: the agent of this package.

    Returns
    -------
    int
        Exit code: 0 when at least 90 % of the faults were found with at most one false alarm per 1000
        readings, else 1.

    Raises
    ------
    InvalidInput
        If `seconds` or `seed` is out of range.
    EdgeADError
        If the ``demo`` extra is missing, or broker or agent fail.
    """
    _expect("seconds", seconds, MIN_SECONDS <= seconds <= MAX_SECONDS, f"{MIN_SECONDS}..{MAX_SECONDS}")
    _expect("seed", seed, seed >= 0, "0 or more")
    stage.require_packages()
    scenario = plant_of(seed)
    with _signals_as_exit():
        return _play(scenario, seconds, seed, run_agent or own_agent)


def _expect(field: str, value: object, ok: bool, expected: str) -> None:
    if not ok:
        raise InvalidInput(f"{field}: {value!r} is out of range, expected {expected}")


def plant_of(seed: int) -> Scenario:
    """The plant of a seed; its last reading is a minute old."""
    machines = [
        msgspec.structs.replace(machine, name=f"{machine.name}{number}")
        for number in range(1, COPIES + 1)
        for machine in MACHINES
    ]
    start_ns = (
        time.time_ns() // 10**9 - ROWS - 60
    ) * 10**9  # readings from the future would get the time of arrival
    return make_scenario(
        seed, ROWS, start_ns=start_ns, machines=machines, quiet_rows=QUIET_ROWS, spacing_rows=FAULT_ROWS
    )


@contextmanager
def own_agent(path: Path) -> Iterator[Check]:
    """Run the agent of this package, as ``edgead run`` does, on a thread of this process."""
    config = load(path)
    logs.set_up(config.log.level, config.log.format)
    agent = build(config)
    trouble: list[Exception] = []

    def run() -> None:
        try:
            agent.run()
        except Exception as error:  # a thread's exception would only be printed: the demo has to end with it
            trouble.append(error)

    def check() -> None:
        if trouble:
            raise trouble[0]

    thread = threading.Thread(target=run, name="agent", daemon=True)
    thread.start()
    try:
        yield check
    finally:
        agent.stop()
        thread.join(AGENT_STOP_LIMIT_S)
    check()


@contextmanager
def _signals_as_exit() -> Iterator[None]:
    """End with everything taken down when asked to: by Ctrl-C, ``kill`` or a closed terminal."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def leave(number: int, frame: FrameType | None) -> None:
        for each in numbers:  # asked twice, it still takes everything down
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _play(scenario: Scenario, seconds: int, seed: int, run_agent: AgentRunner) -> int:
    from edgead.demo.screen import Screen, report  # rich is an extra

    seen = watch.Watch(stage.NODE)
    speed = scenario.rows / seconds
    with tempfile.TemporaryDirectory(prefix="edgead-demo-") as folder, stage.embedded_broker() as port:
        config = stage.write_config(
            Path(folder), port, window=WINDOW, sensitivity=SENSITIVITY, model=stage.pump_model()
        )
        screen = Screen(scenario, stage.headlines(scenario, seed, port, seconds))
        with Listener(
            stage.LOOPBACK, port, seen.topics, seen.on_message, client_id="demo-screen"
        ) as listener:
            with (
                run_agent(config) as check,
                Publisher(stage.LOOPBACK, port, client_id="demo-plant") as publisher,
            ):
                checks = (check, listener.check)
                _wait(lambda: seen.online, START_LIMIT_S, "the agent did not come online", checks)
                plant = Plant(scenario, publisher.publish, speed)
                with screen:
                    _run(plant, seen, screen, checks)
                publisher.drain()
                publisher.publish(*watch.ping(stage.NODE))
                _wait(lambda: seen.answered, DRAIN_LIMIT_S, "the agent did not answer a ping", checks)
            _wait(
                lambda: not seen.online, GOODBYE_LIMIT_S, "the agent did not say goodbye", (listener.check,)
            )
    grade = scoring.grade(
        scenario.labels,
        seen.episodes(),
        readings=max(1, len(scenario.columns) * plant.row),
        grace_ns=GRACE_NS,
        settling_ns=SETTLING_NS,
    )
    if plant.row < scenario.rows:
        screen.say(f"this machine was too slow: {plant.row} of {scenario.rows} rows in {PLANT_LIMIT_S:.0f} s")
    for line in report(grade):
        screen.say(line)
    return 0 if grade.passed else 1


def _run(plant: Plant, seen: watch.Watch, screen: "Screen", checks: Sequence[Check]) -> None:
    """Let the plant play, showing what the subscriber sees."""
    start = time.monotonic()
    plant.start()
    try:
        while plant.is_alive():
            elapsed = time.monotonic() - start
            screen.show(elapsed, plant.row, seen)
            for check in checks:
                check()
            if elapsed > PLANT_LIMIT_S:
                break
            plant.join(SHOW_EVERY_S)
        screen.show(time.monotonic() - start, plant.row, seen)
    finally:
        plant.stop()
    if plant.error is not None:
        raise plant.error


def _wait(done: Callable[[], bool], limit_s: float, complaint: str, checks: Sequence[Check]) -> None:
    deadline = time.monotonic() + limit_s
    while not done():
        for check in checks:
            check()
        if time.monotonic() > deadline:
            raise EdgeADError(f"demo: {complaint} within {limit_s:.0f} s")
        time.sleep(0.02)
