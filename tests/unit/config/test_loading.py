"""A configuration file becomes typed settings, or every mistake in it is told."""

import tomllib
from pathlib import Path
from typing import get_type_hints

import pytest

from edgead.config import MqttConfig, SeriesConfig, ServerConfig, load, mqtt_password, parse
from edgead.config.settings import TABLES
from edgead.errors import ConfigError
from edgead.stream import EngineSettings, SeriesSettings

PROFILES = Path(__file__).parents[3] / "firmware-config" / "profiles"

PUBLIC_FORM = """
[node]
id = "gw1"
state_dir = "/var/lib/edgead"
[mqtt]
host = "127.0.0.1"
port = 1883
topic_root = "edgead"
[http]
listen = "127.0.0.1:8800"
[[series]]
topic = "plant/{machine}/{variable}"
id = "{machine}.{variable}"
value = "value"
time = "ts"
interval = "250ms"
window = 720
detector = "spectral-residual"
sensitivity = 95
unit = "degC"
"""


def mistakes_of(text: str, path: str = "gw.toml") -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text.encode(), path)
    return caught.value.mistakes


def test_the_public_form_is_read():
    config = parse(PUBLIC_FORM.encode())
    (block,) = config.series
    assert (config.node.id, config.mqtt.port, config.http.listen) == ("gw1", 1883, "127.0.0.1:8800")
    assert block.settings.step_ns == 250_000_000
    assert block.settings.unit == "degC"
    assert (block.settings.judging.window, block.settings.judging.sensitivity) == (720, 95)
    assert len(config.digest) == 64


def test_an_empty_file_is_all_defaults_and_they_are_those_of_the_core():
    config = parse(b"")
    assert config.engine == EngineSettings()
    assert parse(b'[[series]]\ntopic = "a"\n').series[0].settings == SeriesSettings()


def test_every_mistake_is_told_at_once_in_the_order_of_the_file():
    text = '[mqtt]\nport = 0\n[sotre]\n[[series]]\nwindow = 1\n[[series]]\ntopic = "#/a"\nhold = []\n'
    places = [sentence.split(": ")[1].split(" ")[0] for sentence in mistakes_of(text)]
    assert places == [
        "mqtt.port",
        "sotre",
        "series[0].topic",
        "series[0].window",
        "series[1].topic",
        "series[1].hold",
    ]


def test_a_password_given_as_a_key_is_not_repeated_in_the_message():
    text = "[mqtt]\npassword = 'hunter2'\npassword_file = ['hunter2']\ntoken = 'hunter2'\n"
    assert "hunter2" not in "\n".join(mistakes_of(text))


def test_a_file_that_is_not_there_is_a_config_error(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read \(No such file or directory\)"):
        load(tmp_path / "none.toml")


def test_a_file_too_large_is_refused_unparsed(tmp_path: Path):
    (tmp_path / "big.toml").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="too large"):
        load(tmp_path / "big.toml")


@pytest.mark.parametrize(
    "text", [b"a = " + b"[" * 100_000, b"\xff\xfe", b"a = " + b"9" * 5000, b"a = 2020-99-99", b"a\x00 = 1"]
)
def test_what_is_not_toml_is_a_config_error(text: bytes):
    with pytest.raises(ConfigError, match=r"gw\.toml"):
        parse(text, "gw.toml")


def test_a_byte_order_mark_and_windows_line_ends_are_taken():
    assert parse(b'\xef\xbb\xbf[node]\r\nid = "x"\r\n').node.id == "x"


def test_files_are_looked_for_beside_the_configuration(tmp_path: Path):
    (tmp_path / "pw").write_text("s3cret\n")
    text = '[node]\nstate_dir = "state"\n[mqtt]\nusername = "u"\npassword_file = "pw"\n'
    (tmp_path / "gw.toml").write_text(text)
    config = load(tmp_path / "gw.toml")
    assert mqtt_password(config.mqtt, {}) == "s3cret"
    assert config.node.state_dir == str(tmp_path / "state")
    assert "s3cret" not in repr(config)


def test_a_password_comes_from_a_credential_before_the_environment(tmp_path: Path):
    mqtt = MqttConfig(username="u")
    environ = {"EDGEAD_MQTT_PASSWORD": "from-env", "CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert mqtt_password(mqtt, environ) == "from-env"
    (tmp_path / "mqtt-password").write_text("from-credential")
    assert mqtt_password(mqtt, environ) == "from-credential"
    assert mqtt_password(MqttConfig(), environ) is None


def test_a_password_that_cannot_be_read_is_told_without_its_bytes(tmp_path: Path):
    (tmp_path / "mqtt-password").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="the password cannot be read"):
        mqtt_password(MqttConfig(username="u"), {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_tls_moves_the_default_port_only():
    assert parse(b"[mqtt.tls]\n").mqtt.port == 8883
    assert parse(b"[mqtt]\nport = 1884\n[mqtt.tls]\n").mqtt.port == 1884
    assert parse(b"").mqtt.tls is None


@pytest.mark.parametrize(("name", "other"), [("cert", "key"), ("key", "cert")])
def test_a_certificate_and_its_key_come_together(tmp_path: Path, name: str, other: str):
    (tmp_path / "file.pem").write_text("")
    (tmp_path / "gw.toml").write_text(f'[mqtt.tls]\n{name} = "file.pem"\n')
    with pytest.raises(ConfigError, match=f"mqtt.tls.{other} is missing: .* belongs to {name}"):
        load(tmp_path / "gw.toml")


def test_a_password_file_needs_a_user(tmp_path: Path):
    (tmp_path / "pw").write_text("x")
    (tmp_path / "gw.toml").write_text('[mqtt]\npassword_file = "pw"\n')
    with pytest.raises(ConfigError, match=r"mqtt\.username is missing"):
        load(tmp_path / "gw.toml")


@pytest.mark.parametrize(
    ("block", "key"),
    [
        ('topic = "$share/g/a"', "topic"),
        ('topic = "a\\u0000b"', "topic"),
        ('topic = "{field}/a"', "topic"),
        ('topic = "{a}{b}/a"', "topic"),
        ('topic = "{a/a"', "topic"),
        ('topic = "a/{}"', "topic"),
        ('topic = "a"\nvalue = []', "value"),
        ('topic = "a"\nvalue = ["x", "x"]', "value"),
        ('topic = "a"\nvalue = ["x", ""]', "value"),
        ('topic = "a"\nvalue = [""]', "value"),
        ('topic = "a"\nvalue = ["x.0", "x[0]"]', "value"),
        ('topic = "a"\nvalue = ""\ntime = "t"', "time"),
        ('topic = "a"\ntime = "a["', "time"),
        ('topic = "a"\ndetector = "spectral"', "detector"),
        ('topic = "a"\nmin_rel = nan', "min_rel"),
        ('topic = "a"\nmin_rel = inf', "min_rel"),
        ('topic = "a"\nwindow = true', "window"),
        ('topic = "a"\nid = "a b"', "id"),
        ('topic = "a"\nid = "x"\nlateness = -1', "lateness"),
        ('topic = "a"\nunit = 1979-05-27', "unit"),
    ],
)
def test_a_wrong_key_of_a_block_is_named(block: str, key: str):
    (sentence,) = mistakes_of(f"[[series]]\n{block}\n")
    assert f"series[0].{key} = " in sentence


def test_one_topic_may_be_read_twice_by_different_paths():
    blocks = [f'[[series]]\ntopic = "a"\nvalue = "{path}"\nid = "a{path}"\n' for path in "xy"]
    assert [block.values for block in parse("".join(blocks).encode()).series] == [("x",), ("y",)]


def test_ids_of_several_values_that_meet_are_told():
    text = '[[series]]\ntopic = "a"\nvalue = ["x", "y"]\n[[series]]\ntopic = "b"\nid = "a.y"\n'
    assert mistakes_of(text) == ['gw.toml:6: series[1].id = "a.y": expected each id once, series[0] has it']


def test_the_bridge_gets_templates_and_time_paths_or_none():
    (block,) = parse(b'[[series]]\ntopic = "press-{n}/a"\n').series
    assert (block.id_template, block.time_path) == (None, "ts")
    (block,) = parse(b'[[series]]\ntopic = "press-{n}/a"\nid = "{n}"\nvalue = ""\n').series
    assert (block.id_template, block.time_path) == ("{n}", None)


def test_a_block_that_is_no_table_does_not_hide_the_next():
    told = mistakes_of("series = [1, {topic = 'a', window = 1}]")
    assert [sentence.split(" = ")[0] for sentence in told] == [
        "gw.toml:1: series[0]",
        "gw.toml:1: series[1].window",
    ]


def test_ten_thousand_blocks_are_enough():
    assert "use bindings" in mistakes_of("series = [" + "{}," * 10_001 + "]")[0]


def test_a_line_is_told_only_where_the_key_was_found():
    assert mistakes_of('"mqtt" = {"port" = 0}') == [
        "gw.toml: mqtt.port = 0: expected a whole number 1..65535"
    ]


DEVICES = sorted(set(PROFILES.glob("*.toml")) - {PROFILES / "server.toml"})


@pytest.mark.parametrize("profile", DEVICES, ids=lambda path: path.stem)
def test_a_profile_is_complete_and_right(profile: Path):
    config = load(profile)
    raw = tomllib.loads(profile.read_text())
    for name, kind in TABLES.items():
        if name != "server":
            assert raw[name].keys() == get_type_hints(kind).keys() - {"tls", "data"}
    for block in raw["series"]:
        assert block.keys() == get_type_hints(SeriesConfig).keys()
    assert config.series


def test_the_three_profiles_are_there():
    assert {path.stem for path in DEVICES} == {"gateway-512m", "gateway-2g", "workstation"}


def test_the_profile_of_a_server_has_every_key_with_its_default():
    config, raw = load(PROFILES / "server.toml"), tomllib.loads((PROFILES / "server.toml").read_text())
    assert raw["server"].keys() == get_type_hints(ServerConfig).keys()
    assert config.server == ServerConfig()
    assert config.sections == {"node", "log", "server"}


@pytest.mark.parametrize("key", ["url", "repository"])
def test_a_key_is_not_sent_in_clear(tmp_path: Path, key: str):
    (tmp_path / "key").write_text("secret")
    told = mistakes_of(f'[uplink]\n{key} = "http://edgead.example"\ncredentials_file = "{tmp_path / "key"}"')
    assert told == [
        f'gw.toml:2: uplink.{key} = "http://edgead.example": expected https where a key is sent along'
    ]
    config = parse(f'[uplink]\n{key} = "http://127.0.0.1"\ncredentials_file = "{tmp_path / "key"}"'.encode())
    assert config.uplink.models_url.startswith("http://127.0.0.1/")


def test_models_lie_below_the_server_or_where_they_are_said_to_lie():
    assert parse(b"").uplink.models_url == ""
    assert parse(b'uplink.url = "https://h/x/"').uplink.models_url == "https://h/x/edgead/v1/tuf/"
    both = parse(b'uplink.url = "https://h"\nuplink.repository = "https://cdn/models"').uplink
    assert both.models_url == "https://cdn/models/"


@pytest.mark.parametrize(
    "host", ["broker", "10.0.0.5", "::1", "fe80::1%eth0", "::ffff:10.0.0.5", "a_b.local"]
)
def test_hosts(host: str):
    assert parse(f'[mqtt]\nhost = "{host}"\n'.encode(), "gw.toml").mqtt.host == host


@pytest.mark.parametrize(
    "host", ["", "mqtt://broker", "broker:1883", "10.0.0.5:1883", "a b", "broker/x", "[::1]"]
)
def test_what_is_no_host(host: str):
    with pytest.raises(ConfigError, match="expected a host name or address without scheme and port"):
        parse(f'[mqtt]\nhost = "{host}"\n'.encode(), "gw.toml")
