"""The page at / in a real browser: what a visitor does, by mouse, finger and keyboard, and what goes wrong."""

import csv
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import edgead
from tests.browser.chromium import Chromium
from tests.server_process import ServerProcess

PAGES = Path(edgead.__file__).parent / "server" / "pages"
SAMPLE = PAGES / "sample.csv"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture
def page(chromium: Chromium, server: ServerProcess) -> Iterator[Chromium]:
    """The page, freshly opened on a desktop; at the end nothing may have been complained of or asked elsewhere."""
    chromium.resize(1280, 900)
    chromium.requests.clear()
    chromium.complaints.clear()
    chromium.open(f"{server.url}/")
    yield chromium
    assert [
        url for url in chromium.requests if not url.startswith((f"{server.url}/", "blob:", "data:"))
    ] == []
    assert chromium.complaints == []


def text(page: Chromium, selector: str) -> str:
    return str(page.run(f"document.querySelector({selector!r}).textContent"))


def anomalies(page: Chromium) -> int:
    return int(page.run("document.querySelectorAll('#chart .anomaly').length"))


def judged(page: Chromium, start: str = "") -> str:
    """The summary, once it tells a new answer that begins like this."""
    summary = "document.getElementById('summary').textContent"
    return str(
        page.wait(
            f"{summary}.includes('anomal') && {summary}.startsWith({start!r}) && {summary}", "an answer"
        )
    )


def put(page: Chromium, field: str, value: Any, event: str = "change") -> None:
    page.run(
        f"(() => {{ const field = document.getElementById({field!r}); field.value = {json.dumps(value)};"
        f" field.dispatchEvent(new Event({event!r}, {{bubbles: true}})); }})()"
    )


def sample(page: Chromium) -> None:
    page.run("document.getElementById('sample').click()")
    judged(page, "7 anomalies in 672 points")


def expected_answer(**options: Any) -> dict[str, Any]:
    with open(SAMPLE) as file:
        series = [
            {"timestamp": row["timestamp"], "value": float(row["boiler_temperature"])}
            for row in csv.DictReader(file)
        ]
    return edgead.detect("entire", {"granularity": "hourly", "series": series, **options})


def test_upload_then_the_slider_and_the_anomalies_change(page: Chromium, tmp_path: Path):
    page.upload("#file", SAMPLE)
    judged(page, "7 anomalies in 672 points")
    assert anomalies(page) == sum(expected_answer(sensitivity=93)["isAnomaly"]) == 7
    assert page.run("document.getElementById('granularity').value") == "hourly"
    assert page.run("document.querySelectorAll('#rows tr').length") == 7
    before = page.screenshot(tmp_path / "before.png")

    put(page, "sensitivity", 86, "input")
    fewer = sum(expected_answer(sensitivity=86)["isAnomaly"])
    judged(page, f"{fewer} anomalies")
    assert 0 < anomalies(page) == fewer < 7
    assert text(page, "#sensitivity-value") == "86"
    put(page, "sensitivity", 99, "input")
    more = sum(expected_answer(sensitivity=99)["isAnomaly"])
    judged(page, f"{more} anomalies")
    assert anomalies(page) == more > 7
    put(page, "ratio", 0.01)
    judged(page, f"{sum(expected_answer(sensitivity=99, maxAnomalyRatio=0.01)['isAnomaly'])} anomalies")
    after = page.screenshot(tmp_path / "after.png")
    assert before != after
    assert min(len(before), len(after)) > 30_000  # an empty page is smaller

    page.run("document.getElementById('changes').click()")
    page.wait("document.querySelectorAll('#chart .change').length", "change points")
    assert "1 change point," in text(page, "#summary")
    put(page, "threshold", 0.95, "input")
    page.wait("document.querySelectorAll('#chart .change').length > 1", "more change points")


def test_a_slider_moved_quickly_shows_the_last_answer(page: Chromium):
    sample(page)
    for value in range(99, 79, -1):
        put(page, "sensitivity", value, "input")
    judged(page, f"{sum(expected_answer(sensitivity=80)['isAnomaly'])} anomalies")
    asked = [url for url in page.requests if url.endswith("/entire/detect")]
    assert len(asked) < 10


def test_by_keyboard_alone(page: Chromium):
    def press(key: str, until: str) -> None:
        for _ in range(60):
            page.key(key)
            if page.run(until):
                return
        raise AssertionError(f"{key} never led to {until}")

    focused = "document.activeElement.id === {!r}".format
    press("Tab", focused("sample"))
    page.key("Enter")
    judged(page, "7 anomalies")
    press("Tab", focused("sensitivity"))
    page.key("ArrowLeft")
    page.wait("document.getElementById('sensitivity-value').textContent === '92'", "one step less")
    press("Tab", focused("chart"))
    page.key("n")
    assert "2026-03-07 11:00: 78.59" in text(page, "#readout")
    assert "too high, severity" in text(page, "#readout")
    page.key("n")
    assert "too low" in text(page, "#readout")
    page.key("p")
    assert "2026-03-07 11:00" in text(page, "#readout")
    page.key("ArrowRight")
    assert "2026-03-07 12:00" in text(page, "#readout")
    for _ in range(3):
        page.key("+")
    assert page.run("document.getElementById('whole').disabled") is False
    page.key("Escape")
    assert page.run("document.getElementById('whole').disabled") is True
    press("Tab", focused("tab-python"))
    page.key("ArrowRight")
    assert page.run(focused("tab-curl"))
    assert text(page, "#code").startswith("curl")


def test_dragging_looks_closer_and_a_row_of_the_table_leads_to_its_point(page: Chromium):
    sample(page)
    box = page.run("JSON.stringify(document.getElementById('chart').getBoundingClientRect())")
    area = json.loads(box)
    middle = area["y"] + area["height"] / 2
    page.drag((area["x"] + area["width"] * 0.15, middle), (area["x"] + area["width"] * 0.25, middle))
    page.wait("!document.getElementById('whole').disabled", "a part of the series")
    assert anomalies(page) == 1
    page.run("document.querySelectorAll('#rows button')[6].click()")
    assert "2026-03-27 10:00" in text(page, "#readout")
    page.wait("document.querySelectorAll('#chart .dot').length", "a mark at the point")
    page.run("document.getElementById('whole').click()")
    assert anomalies(page) == 7


def test_the_calls_to_copy_do_what_the_page_did(page: Chromium, server: ServerProcess, tmp_path: Path):
    sample(page)
    page.run("document.getElementById('changes').click()")
    page.wait("document.querySelectorAll('#chart .change').length", "change points")
    page.run("document.getElementById('save-request').click()")
    saved = page.downloads / "request.json"
    page.wait_for(lambda: saved.exists() and saved.stat().st_size, "the saved request")
    (tmp_path / "request.json").write_bytes(saved.read_bytes())
    assert json.loads(saved.read_bytes())["sensitivity"] == 93
    python = text(page, "#code")
    page.run("document.getElementById('tab-curl').click()")
    curl = text(page, "#code")

    env = {**os.environ, "EDGEAD_KEY": "", "NO_PROXY": "*"}
    (tmp_path / "call.py").write_text(python)
    told = output_of([sys.executable, "call.py"], tmp_path, env)
    assert told.count("expected") == 7
    assert told.count("change point") == 1
    told = output_of(["bash", "-ec", curl], tmp_path, env)
    entire, change = (json.loads(part) for part in told.replace("}{", "}\n{").splitlines())
    assert sum(entire["isAnomaly"]) == 7
    assert sum(change["isChangePoint"]) == 1


def output_of(command: list[str], folder: Path, env: dict[str, str]) -> str:
    run = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_results_as_csv(page: Chromium):
    sample(page)
    page.run("document.getElementById('save-result').click()")
    saved = page.downloads / "anomalies.csv"
    page.wait_for(lambda: saved.exists() and saved.stat().st_size, "the saved results")
    rows = list(csv.DictReader(saved.read_text().splitlines()))
    answer = expected_answer(sensitivity=93)
    assert len(rows) == 672
    assert [row["isAnomaly"] == "true" for row in rows] == answer["isAnomaly"]
    assert float(rows[131]["expected"]) == pytest.approx(answer["expectedValues"][131])
    assert float(rows[131]["upper"]) > float(rows[131]["lower"])


def test_a_server_with_keys_asks_for_one_and_the_page_does_not_tell_it(chromium: Chromium, tmp_path: Path):
    with ServerProcess(tmp_path, key="very-secret-key") as guarded:
        chromium.complaints.clear()
        chromium.open(f"{guarded.url}/")
        chromium.run("document.getElementById('sample').click()")
        told = "document.getElementById('error')"
        chromium.wait(
            f"!{told}.hidden && {told}.textContent.includes('asks for a key')", "the question for a key"
        )
        assert chromium.run("document.activeElement.id") == "key"
        put(chromium, "key", "very-secret-key")
        judged(chromium, "7 anomalies")
        assert chromium.run(f"{told}.hidden") is True
        assert "very-secret-key" not in chromium.run("document.body.innerText")
        assert "very-secret-key" not in chromium.run(
            "JSON.stringify([localStorage, sessionStorage, document.cookie])"
        )
        put(chromium, "key", "gr\u00fc\u00dfe")
        chromium.wait(f"!{told}.hidden && {told}.textContent.includes('ASCII')", "a key that cannot be sent")
    assert [line for line in chromium.complaints if "401" not in line] == []


@pytest.mark.parametrize(
    ("entered", "message"),
    [
        ("a,b\nx,y\n", "No column of numbers in 1 rows (columns: a, b)"),
        ("timestamp,value\n", "There is a header, but no rows below it"),
        ("   \n", "There are no rows"),
        ("value\n1\n2\n3\n", "(InvalidSeries)"),
        ("t,v\n" + "".join(f"2026-01-01T0{h}:00:00Z,{h}\n" for h in range(9)) * 2, "(InvalidSeries)"),
    ],
)
def test_what_cannot_be_judged_is_told(page: Chromium, entered: str, message: str):
    sample(page)
    put(page, "text", entered, "input")
    error = "document.getElementById('error')"
    page.wait(f"!{error}.hidden && {error}.textContent.includes({message!r})", message)
    assert anomalies(page) == 0
    # the browser itself writes a line for each answer that is an error
    page.complaints[:] = [line for line in page.complaints if "status of 400" not in line]


def test_a_server_that_has_gone_is_told(chromium: Chromium, tmp_path: Path):
    server = ServerProcess(tmp_path)
    with server:
        chromium.open(f"{server.url}/")
        sample(chromium)
    put(chromium, "sensitivity", 50, "input")
    error = "document.getElementById('error')"
    chromium.wait(f"!{error}.hidden && {error}.textContent.includes('does not answer')", "a sentence")
    chromium.complaints.clear()


def test_names_of_columns_are_text_and_nothing_else(page: Chromium):
    rows = "".join(f"{n % 7},{n % 5}\n" for n in range(40))
    put(page, "text", f'"<img src=x onerror=alert(1)>",<b>bold</b>\n{rows}', "input")
    judged(page)
    assert page.run("document.querySelectorAll('main img, main b').length") == 0
    assert text(page, "#value-column option") == "<img src=x onerror=alert(1)>"
    put(page, "value-column", "1")
    judged(page)


CASES: list[tuple[str, list[float], str, int]] = [
    # text, values of the last column, granularity, number of notes
    ("1\n2\n3\n", [1, 2, 3], "none 1", 0),
    ("\ufefftime;value\n2026-01-01 00:00;1,5\n2026-01-01 00:05;-2,5\n", [1.5, -2.5], "minutely 5", 0),
    ("date\tx\n2026-01-01\t1\n2026-01-02\t2\n", [1, 2], "daily 1", 0),
    ('ts,"a ""b"", c"\r\n1767225600,1e3\r\n1767229200,0x10\r\n', [1000, 16], "hourly 1", 0),
    ("ts,v\n1767225600000,1\n1767225600250,2\n", [1, 2], "microsecond 250", 0),
    ("ts,v\n1767225600000000000,1\n1767225602000000000,2\n", [1, 2], "secondly 2", 0),
    ("t,v\n2026-01-02,2\n2026-01-01,1\n", [1, 2], "daily 1", 1),
    ('t,v\n2026-01-01,998\n2026-01-02,999\n2026-01-03,"1,000"\n', [998, 999], "daily 1", 1),
    (
        "t,v\n2026-01-01,1\n2026-01-02,\n2026-01-03,NaN\nbad,4\n2026-01-04,5\n" + "2026-01-05,6\n" * 20,
        [],
        "",
        2,
    ),
    ("t,v\n2026-01-31,1\n2026-02-28,2\n2026-03-31,3\n", [1, 2, 3], "monthly 1", 0),
    ("t,v\n2026-01-01T00:00:00+02:00,1\n2026-01-01T01:00:00+0200,2\n", [1, 2], "hourly 1", 0),
    ("name,v\npump,1\npump,2\n", [1, 2], "none 1", 0),
    ("t,v\n" + "".join(f"{1767225600 + n},{n}\n" for n in range(8650)), [], "secondly 1", 1),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_csv_of_many_forms(page: Chromium, number: int):
    entered, values, granularity, notes = CASES[number]
    found = page.run(
        f"import('/pages/csv.js').then((csv) => {{ const table = csv.table({json.dumps(entered)});"
        " const read = csv.points(table, table.timeColumn, table.numeric.at(-1));"
        " const [name, every] = table.timeColumn < 0 ? ['none', 1] : csv.granularity(read.points);"
        " return JSON.stringify([read.points.map((point) => point.value), `${name} ${every}`, read.notes]); })"
    )
    read, steps, told = json.loads(found)
    assert len(told) == notes, told
    assert len(read) <= 8640
    if values:
        assert read == values
    if granularity:
        assert steps == granularity


@pytest.mark.parametrize(
    ("width", "phone", "dark"), [(360, True, True), (768, True, False), (1600, False, True)]
)
def test_it_fits_every_width(page: Chromium, tmp_path: Path, width: int, phone: bool, dark: bool):
    page.resize(width, 800, phone=phone, dark=dark)
    page.open(page.run("location.href"))
    sample(page)
    assert page.run("document.scrollingElement.scrollWidth") <= width
    assert page.run("document.getElementById('options').open") is (width > 960)
    assert len(page.screenshot(tmp_path / "page.png")) > 20_000


def test_every_control_has_a_name_for_a_screen_reader(page: Chromium):
    sample(page)
    page.call("Accessibility.enable")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = {
        "button",
        "textbox",
        "combobox",
        "slider",
        "spinbutton",
        "checkbox",
        "link",
        "tab",
        "application",
        "region",
    }
    controls = [
        node for node in nodes if node.get("role", {}).get("value") in roles and not node.get("ignored")
    ]
    assert len(controls) > 25
    assert [node["role"]["value"] for node in controls if not node.get("name", {}).get("value")] == []


def test_headers_of_the_page(server: ServerProcess):
    answer = server.ask("GET", "/")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert server.ask("GET", "/", headers={"If-None-Match": answer.headers["etag"]}).status == 304
    for name in (
        "/pages/../settings.py",
        "/pages/%2e%2e/settings.py",
        "/pages/__init__.py",
        "/pages/",
        "/pages/index.html",
    ):
        assert server.ask("GET", name).status == 404


def test_files_of_the_page_name_no_other_host():
    for file in PAGES.glob("*.*"):
        if file.suffix in {".html", ".css", ".js"}:
            content = file.read_text().replace("http://www.w3.org/2000/svg", "")  # a name, never fetched
            assert re.findall(r"(?:https?:)?//[\w-]+\.[\w.-]+", content) == [], file


def test_the_browser_itself_reached_nobody(server: ServerProcess, tmp_path: Path):
    """By the browser's own log of its network, from start to end: every connection goes to the server."""
    chromium = Chromium(tmp_path)
    with chromium:
        chromium.open(f"{server.url}/")
        sample(chromium)
    log = json.loads(chromium.net_log.read_text())
    names = {number: name for name, number in log["constants"]["logEventTypes"].items()}
    reached = [
        address
        for event in log["events"]
        if names[event["type"]] == "TCP_CONNECT"
        for address in event.get("params", {}).get("address_list", [])
    ]
    assert set(reached) == {f"127.0.0.1:{server.port}"}
    sent = [names[event["type"]] for event in log["events"] if names[event["type"]] == "UDP_BYTES_SENT"]
    assert sent == []


def test_two_visitors_at_a_time(server: ServerProcess):
    """The page is static: nothing of one visitor is seen by another."""
    pages: list[bytes] = []
    threads = [threading.Thread(target=lambda: pages.append(server.ask("GET", "/").body)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pages) == 8
    assert len(set(pages)) == 1
