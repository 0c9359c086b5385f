"""Where the demo plays: an embedded broker on loopback and a configuration in a temporary folder."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from edgead.errors import BridgeError, EdgeADError
from edgead.shipped import shipped_path
from edgead.simulate import PUMP, Scenario

LOOPBACK = "127.0.0.1"
NODE = "demo"
#: The machine whose variables are also judged together.
WHOLE = "pump1"

#: What the agent is told.  One block makes every series as its topic appears.
_CONFIG = """\
[node]
id = "{node}"
state_dir = "state"

[mqtt]
host = "{host}"
port = {port}
state_every = "500ms"

[http]
listen = ""

[store]
commit_interval = "200ms"

[log]
level = "warning"

[[series]]
topic = "plant/{{machine}}/{{variable}}"
id = "{{machine}}.{{variable}}"
value = "value"
time = "ts"
interval = "1s"
window = {window}
sensitivity = {sensitivity}
"""

#: And the model that judges the variables of one pump together.
_GROUP = """
[[group]]
id = "{machine}"
model = "{model}"
variables = {{ {variables} }}
"""


def pump_model() -> Path | None:
    """The pump's model package; None where it was taken out, and on a device without onnxruntime."""
    return shipped_path("pump") if find_spec("onnxruntime") else None


def missing_packages() -> list[str]:
    """Packages of the ``demo`` extra that are not installed."""
    return [name for name in ("iotcore", "rich") if find_spec(name) is None]


def require_packages() -> None:
    """Refuse with the way out when the ``demo`` extra is not installed.

    Raises
    ------
    EdgeADError
        Names what is missing and the command that installs it.
    """
    missing = missing_packages()
    if missing:
        raise EdgeADError(
            f"the demo needs {' and '.join(missing)} (an MQTT broker and a table on the terminal), "
            "which the device itself does without: pip install 'edgead[demo]'"
        )


def headlines(scenario: Scenario, seed: int, port: int, seconds: float) -> list[str]:
    """What is about to be seen, in words."""
    rows, step_s = scenario.rows, scenario.step_ns / 1e9
    sizes = [abs(label.size) for label in scenario.labels]
    return [
        f"Two simulated pumps, bearings and tanks (seed {seed}) publish {len(scenario.columns)} series over MQTT;",
        f"{len(scenario.labels)} faults of {min(sizes):.0f} to {max(sizes):.0f} sigma are hidden in the second half, "
        "and the agent knows nothing of them.",
        f"Broker: iotcore on {LOOPBACK}:{port}.  Plant time: {rows} rows of {step_s:g} s, "
        f"{rows * step_s / seconds:.0f} times faster than the clock.",
        *(
            [f"A trained model judges the variables of {WHOLE} together, and names the cause."]
            if pump_model()
            else []
        ),
        "It ends by itself; Ctrl-C ends it sooner.",
        "",
    ]


def write_config(
    folder: Path, port: int, *, window: int, sensitivity: int, model: Path | None = None
) -> Path:
    """Write the agent's configuration; its state goes into the same folder.

    With the pump's model, the variables of the first pump are judged together as well.
    """
    path = folder / "demo.toml"
    text = _CONFIG.format(node=NODE, host=LOOPBACK, port=port, window=window, sensitivity=sensitivity)
    if model is not None:
        variables = ", ".join(f'{name} = "{WHOLE}.{name}"' for name in PUMP.sensors)
        text += _GROUP.format(machine=WHOLE, model=model.as_posix(), variables=variables)
    path.write_text(text, encoding="utf-8")
    return path


@contextmanager
def embedded_broker(attempts: int = 5) -> Iterator[int]:
    """Run iotcore's broker (rumqttd) as a child process on a free loopback port; gives the port.

    Raises
    ------
    BridgeError
        If it does not come up.

    Notes
    -----
    The child ignores what a terminal sends to both (Ctrl-C, hang-up): it has to outlive the agent, which says
    goodbye to it.
    It ends when the block ends, and by itself when this process dies (its standard input closes).
    """
    from iotcore import Broker

    last: Exception | None = None
    for _ in range(attempts):  # the port is free when it is asked for; somebody else may be faster
        port = _free_port()
        broker = Broker(listen=LOOPBACK, port=port)
        before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGHUP)}
        try:
            broker.start()
        except (OSError, RuntimeError) as error:
            last = error
            continue
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
        try:
            yield port
        finally:
            broker.stop()
        return
    raise BridgeError(f"the embedded broker did not start on {LOOPBACK}: {last}")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
