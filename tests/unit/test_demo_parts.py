import sys
import time

import msgspec
import pytest

from edgead import simulate as sim
from edgead.config import load
from edgead.demo import plant_of, run_demo, stage
from edgead.demo.plant import Plant, topic_of
from edgead.demo.scoring import Episode, grade
from edgead.demo.screen import Screen, report
from edgead.demo.watch import Watch, ping
from edgead.errors import EdgeADError, InvalidInput

S = 10**9


@pytest.fixture(scope="module")
def scenario():
    return sim.make_scenario(3, 1700, start_ns=1_763_750_000 * S)


def event(kind, ts_s, series="pump.flow", score=2.0, name="id-1"):
    return msgspec.json.encode(
        {
            "id": name,
            "event": kind,
            "ts": ts_s * 1000,
            "series": series,
            "value": 1.0,
            "expected": None,
            "score": score,
        }
    )


def whole_event(kind, ts_s, score, *causes):
    top = [{"variable": name, "contribution": share, "changed": ["flow"]} for name, share in causes]
    told = {"id": "g-1", "event": kind, "ts": ts_s * 1000, "group": "pump", "score": score, "top": top}
    return msgspec.json.encode(told)


# ---------------------------------------------------------------------- settings


@pytest.mark.parametrize(("field", "value"), [("seconds", 9), ("seconds", 101), ("seed", -1)])
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(InvalidInput, match=f"{field}: {value}"):
        run_demo(**{field: value})


def test_the_plant_has_one_fault_in_every_series_and_lies_in_the_past():
    plant = plant_of(5)
    assert sorted(label.series_id for label in plant.labels) == sorted(plant.columns)
    assert len(plant.columns) == 22
    end_ns = plant.start_ns + plant.rows * plant.step_ns
    assert 0 < time.time_ns() - end_ns < 120 * S
    assert plant.start_ns % S == 0


@pytest.mark.parametrize("name", ["iotcore", "rich"])
def test_without_the_extra_the_way_to_it_is_named(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EdgeADError, match=rf"{name}.*pip install 'edgead\[demo\]'"):
        stage.require_packages()


def test_the_configuration_is_one_that_the_agent_takes(tmp_path):
    config = load(stage.write_config(tmp_path, 1883, window=360, sensitivity=80))
    assert config.mqtt.host == "127.0.0.1"
    assert config.http.listen == ""
    assert config.series[0].window == 360
    assert config.series[0].sensitivity == 80


# ---------------------------------------------------------------------- the plant


def test_the_plant_publishes_every_reading_in_order(scenario):
    sent = []
    plant = Plant(scenario, lambda *message: sent.append(message), rows_per_s=1e9)
    plant.run()
    assert plant.error is None
    assert plant.row == scenario.rows
    readings = list(scenario.readings())
    assert len(sent) == len(readings)
    topic, payload = sent[-1]
    assert topic == topic_of(readings[-1].series_id) == "plant/tank/temperature"
    assert msgspec.json.decode(payload) == {"ts": readings[-1].time_ns // 10**6, "value": readings[-1].value}


def test_the_plant_keeps_its_pace_and_stops_when_told(scenario):
    plant = Plant(scenario, lambda *message: None, rows_per_s=100.0)
    plant.start()
    time.sleep(0.3)
    plant.stop()
    assert not plant.is_alive()
    assert 5 <= plant.row <= 60


def test_a_lost_broker_ends_the_plant_and_is_kept(scenario):
    def publish(topic, payload):
        raise EdgeADError("gone")

    plant = Plant(scenario, publish, rows_per_s=1e9)
    plant.run()
    assert str(plant.error) == "gone"


# ---------------------------------------------------------------------- the watch


def test_an_event_sent_twice_counts_once_and_an_episode_is_one():
    watch = Watch("demo")
    for kind, ts in (("open", 100), ("open", 100), ("update", 160), ("close", 170), ("close", 170)):
        watch.on_message("edgead/demo/series/pump.flow/anomaly", event(kind, ts, score=ts / 50))
    (anomaly,) = watch.anomalies()
    assert anomaly.opened_ns == 100 * S
    assert anomaly.closed_ns == 170 * S
    assert anomaly.score == pytest.approx(3.4)
    assert watch.episodes() == [Episode("pump.flow", 100 * S)]


def test_an_episode_whose_opening_comes_last_is_put_right():
    watch = Watch("demo")
    watch.on_message("edgead/demo/replay/series/pump.flow/anomaly", event("close", 170))
    watch.on_message("edgead/demo/replay/series/pump.flow/anomaly", event("open", 100))
    assert watch.episodes() == [Episode("pump.flow", 100 * S)]


def test_states_and_phases_are_the_last_told():
    watch = Watch("demo")
    watch.on_message("edgead/demo/series/pump.flow/meta", b'{"phase":"learning","unit":"m3/h"}')
    watch.on_message("edgead/demo/series/pump.flow/state", b'{"phase":"ready","value":41.5,"lower":null}')
    watch.on_message("edgead/demo/series/gone/meta", b"")
    (state,) = watch.states().values()
    assert (state.phase, state.value, state.lower) == ("ready", 41.5, None)


def test_the_agent_is_online_until_it_says_otherwise_and_has_answered_when_it_did():
    watch = Watch("demo")
    assert not watch.online
    watch.on_message("edgead/demo/status", b'{"state":"online"}')
    assert watch.online
    topic, _ = ping("demo")
    for status, answered in (("init", False), ("successful", True), ("init", True)):
        watch.on_message(f"{topic}/status", msgspec.json.encode({"status": status}))
        assert watch.answered is answered
    assert f"{topic}/status" in watch.topics
    watch.on_message("edgead/demo/status", b'{"state":"offline"}')
    assert not watch.online


# ---------------------------------------------------------------------- the screen


def test_without_a_terminal_it_says_plain_lines_and_each_anomaly_once(scenario, capsys):
    label = next(each for each in scenario.labels if each.series_id == "pump.flow")
    watch = Watch("demo")
    watch.on_message("edgead/demo/series/pump.flow/anomaly", event("open", label.start_ns // S + 1))
    with Screen(scenario, ["hello"]) as screen:
        screen.show(0.0, 0, watch)
        screen.show(1.0, 100, watch)
        screen.show(6.0, 400, watch)
    out = capsys.readouterr().out
    assert out.startswith("hello\n")
    assert out.count("pump.flow") == 1
    assert f"<- {label.kind}" in out
    assert "row 400 of 1700" in out
    assert "\x1b" not in out


def test_an_anomaly_of_the_whole_is_told_once_with_the_causes_of_its_highest_score(scenario, capsys):
    label = next(each for each in scenario.labels if each.series_id == "pump.flow")
    first_s = label.start_ns // S
    watch = Watch("demo")
    steps = [
        ("open", 1, 1.2, ("pressure", 1.0)),
        ("update", 2, 4.0, ("flow", 0.9), ("pressure", 0.1)),
        ("update", 3, 2.0, ("current", 1.0)),
        ("close", 9, 0.3, ("current", 1.0)),
    ]
    with Screen(scenario, []) as screen:
        for kind, second, *rest in steps:
            screen.show(0.0, 0, watch)
            watch.on_message("edgead/demo/group/pump/anomaly", whole_event(kind, first_s + second, *rest))
        screen.show(1.0, 1, watch)
        screen.show(2.0, 2, watch)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "as a whole" in line]
    assert "score 4.0: flow 90%, pressure 10%; correlations changed: flow  <- " in line
    assert f"flow {label.kind} {label.size:+.1f}" in line
    assert watch.anomalies() == []  # graded are the series


def test_the_pump_is_judged_as_a_whole_where_its_model_is_there(tmp_path):
    model = stage.pump_model()
    assert model is not None
    config = load(stage.write_config(tmp_path, 1883, window=360, sensitivity=80, model=model))
    (group,) = config.group
    assert group.id == "pump1"
    assert set(group.variables) == set(sim.PUMP.sensors)
    assert set(group.variables.values()) <= set(plant_of(5).columns)


def test_the_table_shows_every_series_the_fault_and_the_alarm(scenario):
    from rich.console import Console

    label = scenario.labels[0]
    watch = Watch("demo")
    watch.on_message(
        f"edgead/demo/series/{label.series_id}/anomaly", event("open", label.start_ns // S, label.series_id)
    )
    screen = Screen(scenario, [])
    row = (label.start_ns - scenario.start_ns) // scenario.step_ns
    console = Console(width=140, record=True, force_terminal=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.file:
        console.print(screen.picture("now", row, watch.states(), watch.anomalies(), watch.wholes()))
        text = console.export_text()
    for series_id in scenario.columns:
        assert series_id in text
    (line,) = [line for line in text.splitlines() if "ANOMALY" in line]
    assert label.series_id in line
    assert label.kind in line


def test_the_last_three_lines_of_the_report_hold_the_figures(scenario):
    episodes = [Episode(label.series_id, label.start_ns + 2 * S) for label in scenario.labels[1:]]
    episodes.append(Episode("pump.flow", scenario.start_ns))
    result = grade(scenario.labels, episodes, readings=5000, grace_ns=10 * S, settling_ns=30 * S)
    *_, verdict, found, missed, false = report(result)
    assert verdict == "passed"
    assert found.split()[:4] == ["found", "10", "of", "11"]
    assert missed.split() == ["missed", "1"]
    assert false.split()[:3] == ["false", "alarms", "1"]
