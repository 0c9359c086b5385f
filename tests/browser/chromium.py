"""A headless Chromium, driven through the DevTools protocol over a pair of pipes."""

import base64
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, Queue
from types import TracebackType
from typing import Any, Self

ANSWER_WITHIN_S = 60.0
# a browser that speaks to no one but the page: every name but this host's is unknown to it
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    # asks its maker what kind of fields a page has
    "--disable-features=AutofillServerCommunication,OptimizationHints,MediaRouter",
    "--remote-debugging-pipe",
)


class Chromium:
    """A browser with one page.

    Parameters
    ----------
    folder : Path
        Profile, downloads and the log of the network lie here.
    flags : sequence of str
        More command line flags.

    Attributes
    ----------
    requests : list of str
        URLs the page asked for, in order.
    complaints : list of str
        Errors of scripts, refusals of the security policy, and lines of the console.
    """

    def __init__(self, folder: Path, *flags: str) -> None:
        self.downloads = folder / "downloads"
        self.downloads.mkdir(parents=True)
        self.net_log = folder / "net.json"
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._flags = (
            *FLAGS,
            *flags,
            f"--user-data-dir={folder / 'profile'}",
            f"--log-net-log={self.net_log}",
        )
        self._answers: dict[int, Queue[dict[str, Any]]] = {}
        self._number = 0
        self._session = ""

    def __enter__(self) -> Self:
        ours, theirs = os.pipe(), os.pipe()
        binary = shutil.which("chromium")
        assert binary is not None, "the tests of the page need chromium"

        def wire() -> None:
            os.dup2(ours[0], 3)
            os.dup2(theirs[1], 4)

        # above 4, so that wiring one does not close the other
        ours = tuple(_high(fd) for fd in ours)
        theirs = tuple(_high(fd) for fd in theirs)
        self._process = subprocess.Popen(
            [binary, *self._flags, "about:blank"],
            pass_fds=(3, 4),
            preexec_fn=wire,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(ours[0])
        os.close(theirs[1])
        self._out = ours[1]
        self._in = os.fdopen(theirs[0], "rb", buffering=0)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._attach()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send("Browser.close", {}, "")
        self._process.wait(30)
        os.close(self._out)
        self._reader.join(10)
        self._in.close()

    def _attach(self) -> None:
        targets = self.call("Target.getTargets", browser=True)["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", browser=True, targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")
        self.call(
            "Browser.setDownloadBehavior", browser=True, behavior="allow", downloadPath=str(self.downloads)
        )

    # ------------------------------------------------------------ the protocol

    def call(self, method: str, *, browser: bool = False, **parameters: Any) -> dict[str, Any]:
        """The result of one command of the protocol."""
        number = self._send(method, parameters, "" if browser else self._session)
        try:
            answer = self._answers[number].get(timeout=ANSWER_WITHIN_S)
        except Empty:
            raise AssertionError(f"{method}: no answer of the browser") from None
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def _send(self, method: str, parameters: dict[str, Any], session: str) -> int:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._answers[self._number] = Queue()
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._number

    def _read(self) -> None:
        held = b""
        while block := self._in.read(65536):
            held += block
            *messages, held = held.split(b"\0")
            for message in messages:
                self._take(json.loads(message))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._answers[message["id"]].put(message)
            return
        told = message.get("params", {})
        match message["method"]:
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Runtime.exceptionThrown":
                details = told["exceptionDetails"]
                self.complaints.append(details.get("exception", {}).get("description", details["text"]))
            case "Runtime.consoleAPICalled":
                self.complaints.append(" ".join(str(one.get("value")) for one in told["args"]))
            case "Log.entryAdded":
                self.complaints.append(told["entry"]["text"])

    # ------------------------------------------------------------ the page

    def open(self, url: str) -> None:
        """Go to a URL and wait until it is there."""
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'", "the page")

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait(self, script: str, what: str, seconds: float = 30) -> Any:
        """Wait until an expression is true, and return it."""
        return self.wait_for(lambda: self.run(script), what, seconds)

    def wait_for(self, call: Callable[[], Any], what: str, seconds: float = 30) -> Any:
        """Wait until a call returns something."""
        until = time.monotonic() + seconds
        while not (value := call()):
            assert time.monotonic() < until, f"not within {seconds} s: {what}; {self.complaints}"
            time.sleep(0.05)
        return value

    def upload(self, selector: str, file: Path) -> None:
        """Choose a file in a file field."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node)

    def key(self, key: str, text: str = "") -> None:
        """Press and release a key, as a keyboard does."""
        code = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowRight": 39, "Escape": 27}.get(key, 0)
        pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        typed = text or ("\r" if key == "Enter" else key if len(key) == 1 else "")
        self.call("Input.dispatchKeyEvent", type="keyDown" if typed else "rawKeyDown", text=typed, **pressed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press at one place, move, and release at another."""
        held: dict[str, Any] = {"button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=start[0], y=start[1])
        self.call("Input.dispatchMouseEvent", type="mousePressed", x=start[0], y=start[1], **held)
        for part in (0.5, 1.0):
            x, y = (one + part * (other - one) for one, other in zip(start, end))
            self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="left", buttons=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", x=end[0], y=end[1], **held)

    def resize(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        """The size of the window, as of a phone or a desktop."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> bytes:
        """The whole page as PNG."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        data = base64.b64decode(answer["data"])
        path.write_bytes(data)
        return data


def _high(fd: int) -> int:
    """The same open file under a number above those that the browser expects its pipes at."""
    import fcntl

    copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(fd)
    return copy
