"""What a server is told, and what it refuses to be told."""

import pytest

from edgead.config import parse
from edgead.errors import ConfigError
from edgead.server.settings import ServerSettings, is_loopback


def test_settings_come_from_the_file_and_changes_win():
    config = parse(b'[node]\nstate_dir = "s"\n[server]\nport = 1\nthreads = 3\n', "/x/server.toml")
    settings = ServerSettings.of(config, port=7, host=None)
    assert (settings.port, settings.host, settings.state_dir) == (7, "127.0.0.1", "/x/s")
    assert settings.worker_threads == 3
    assert ServerSettings().worker_threads >= 1


def test_a_change_out_of_range_is_told():
    with pytest.raises(ConfigError, match="port"):
        ServerSettings.of(parse(b""), port=70000)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("api.localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.1", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("127.1", False),
    ],
)
def test_names_of_this_machine(host: str, loopback: bool):
    assert is_loopback(host) is loopback


def test_others_may_call_only_with_keys_or_when_that_is_meant():
    with pytest.raises(ConfigError, match=r"can be reached from other machines and there are no keys"):
        ServerSettings(host="0.0.0.0").check()
    ServerSettings(host="0.0.0.0", keys_file="keys").check()
    ServerSettings(host="0.0.0.0", without_keys=True).check()
    ServerSettings().check()


def test_half_a_certificate_is_none():
    with pytest.raises(ConfigError, match="both or neither"):
        ServerSettings(tls_cert="cert.pem").check()
