"""The repository of models on a real server: served, released into, and synced from by a device."""

import time
import uuid
from pathlib import Path

import pytest

from edgead.registry import Registry
from edgead.server.shelf import _NAMESPACE
from tests import packages
from tests.server_process import ServerProcess
from tests.uplink import Gateway, Vendor

KEY = "the-key-of-the-factory"


def model_id(number: int) -> str:
    """Id under which a server knows an installed package."""
    return str(uuid.uuid5(_NAMESPACE, packages.id_of(number)))


def server(folder: Path, settings: str, key: str = "") -> ServerProcess:
    config = folder / "server.toml"
    config.write_text(f"[server]\n{settings}\n")
    made = ServerProcess(folder, ["-c", str(config)], key=key)
    Registry(made.state / "models", trial=lambda data: None).install(packages.variant(1))
    return made


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    return Vendor(tmp_path / "vendor")


def test_a_model_of_the_server_is_released_and_a_device_takes_it(vendor: Vendor, tmp_path: Path):
    settings = f'repository = "{vendor.repo}"\nrepository_keys = "{vendor.keys}"'
    with server(tmp_path, settings) as served:
        told = served.ask("POST", f"/edgead/v1/models/{model_id(1)}/publish", {"groups": ["g1"]})
        assert told.status == 201
        assert told.json()["target"] == f"models/pump-1.0.1-{packages.id_of(1)}.zip"
        assert told.json()["groups"] == ["g1"]
        again = served.ask("POST", f"/edgead/v1/models/{model_id(1)}/publish")
        assert (again.status, again.code) == (409, "PublishFailed")
        device = Gateway(tmp_path / "device", vendor.first_root, group="g1")
        config = f"{served.url}/edgead/v1/tuf/"
        assert device.sync(config).state == "installed"
        assert device.active() == packages.id_of(1)
        assert device.sync(config).state == "current"


def test_what_cannot_be_released(vendor: Vendor, tmp_path: Path):
    settings = f'repository = "{vendor.repo}"\nrepository_keys = "{tmp_path / "none"}"'
    (tmp_path / "none").mkdir()
    with server(tmp_path, settings) as served:
        path = f"/edgead/v1/models/{model_id(1)}/publish"
        for body in ({"share": 0}, {"share": 2}, {"groups": 5}, {"odd": 1}, b"{", b"[" * 100):
            assert served.ask("POST", path, body).code == "BadArgument", body
        assert served.ask("POST", path, {"groups": ["../x"]}).status == 409
        told = served.ask("POST", path)
        assert (told.status, told.code) == (409, "PublishFailed")
        assert "targets needs 1 of the keys" in told.json()["message"]
        unknown = served.ask("POST", f"/edgead/v1/models/{uuid.uuid4()}/publish")
        assert unknown.status == 404
    assert not list((vendor.repo / "targets").rglob("*.zip"))


def test_only_files_of_a_repository_are_served(vendor: Vendor, tmp_path: Path):
    release = vendor.add(packages.PUMP)
    (vendor.repo / "metadata" / ".timestamp.json.half").write_text("half")
    (vendor.repo / "secret.json").write_text("secret")
    (vendor.repo / "metadata" / "secret.json").write_text("secret")
    with server(tmp_path, f'repository = "{vendor.repo}"') as served:
        base = "/edgead/v1/tuf/"
        latest = served.ask("GET", f"{base}metadata/timestamp.json")
        assert (latest.status, latest.headers["cache-control"]) == (200, "no-cache")
        assert latest.body == vendor.metadata("timestamp.json").read_bytes()
        package = served.ask("GET", f"{base}targets/{release.file}", headers={"Range": "bytes=100-"})
        assert (package.status, package.body) == (206, packages.PUMP[100:])
        assert "immutable" in package.headers["cache-control"]
        for path in (
            "metadata/9.root.json",
            "secret.json",
            "metadata/secret.json",
            "metadata/.timestamp.json.half",
            "../server.toml",
            "metadata/../../server.toml",
            "metadata/%2e%2e/%2e%2e/server.toml",
            "targets/models/..%2f..%2fsecret.json",
            "",
            "metadata/",
            "targets/models",
        ):
            assert served.ask("GET", base + path).status == 404, path
        assert served.ask("PUT", f"{base}metadata/timestamp.json", b"x").status == 405


def test_keys_of_clients_and_publishers(vendor: Vendor, tmp_path: Path):
    settings = f'repository = "{vendor.repo}"\nrepository_keys = "{vendor.keys}"'
    path, nobody = f"/edgead/v1/models/{model_id(1)}/publish", {"Ocp-Apim-Subscription-Key": "wrong"}
    with server(tmp_path, settings, key=KEY) as served:
        assert served.ask("GET", "/edgead/v1/tuf/metadata/1.root.json").status == 200
        assert served.ask("GET", "/edgead/v1/tuf/metadata/1.root.json", headers=nobody).status == 401
        assert served.ask("POST", path).status == 403
        (tmp_path / "key").write_text(KEY + "\n")
        device = Gateway(tmp_path / "device", vendor.first_root, credentials_file=str(tmp_path / "key"))
        assert device.sync(f"{served.url}/edgead/v1/tuf/").state == "current"
        stranger = Gateway(tmp_path / "stranger", vendor.first_root)
        assert stranger.sync(f"{served.url}/edgead/v1/tuf/").state == "unreachable"
    open_ = f'{settings}\nrepository_open = true\npublishers = ["test"]'
    with server(tmp_path, open_, key=KEY) as served:
        assert served.ask("GET", "/edgead/v1/tuf/metadata/1.root.json", headers=nobody).status == 200
        assert served.ask("POST", path, headers=nobody).status == 401
        assert served.ask("POST", path).status == 201


def test_a_key_that_was_taken_away_reads_no_models(vendor: Vendor, tmp_path: Path):
    """Devices ask for nothing but the repository: changes of both key files are seen there as well."""
    (tmp_path / "devices").write_text("gw1:old-of-device\n")
    settings = (
        f'repository = "{vendor.repo}"\nrepository_keys = "{vendor.keys}"\ndevice_keys_file = "devices"'
    )
    with server(tmp_path, settings, key=KEY) as served:

        def status(key: str) -> int:
            path = "/edgead/v1/tuf/metadata/1.root.json"
            return served.ask("GET", path, headers={"Ocp-Apim-Subscription-Key": key}).status

        assert [status(key) for key in ("old-of-device", KEY)] == [200, 200]
        (tmp_path / "devices").write_text("gw1:new-of-device\n")
        (tmp_path / "keys").write_text("test:new-of-client\n")
        time.sleep(1.2)  # files are looked at once a second
        assert [status(key) for key in ("old-of-device", KEY)] == [401, 401]
        assert [status(key) for key in ("new-of-device", "new-of-client")] == [200, 200]


def test_without_a_repository_there_are_no_such_paths(tmp_path: Path):
    with server(tmp_path, "") as served:
        assert served.ask("GET", "/edgead/v1/tuf/metadata/timestamp.json").status == 404
        assert served.ask("POST", f"/edgead/v1/models/{model_id(1)}/publish").status == 404
