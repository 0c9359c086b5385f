"""The configuration file: TOML into typed settings, with every mistake told at once."""

from edgead.config.loading import load, parse
from edgead.config.secrets import mqtt_password
from edgead.config.settings import (
    Config,
    GroupConfig,
    HttpConfig,
    LimitsConfig,
    LogConfig,
    MqttConfig,
    NodeConfig,
    SeriesConfig,
    ServerConfig,
    StoreConfig,
    TlsConfig,
    UplinkConfig,
    UplinkDataConfig,
)

__all__ = [
    "Config",
    "GroupConfig",
    "HttpConfig",
    "LimitsConfig",
    "LogConfig",
    "MqttConfig",
    "NodeConfig",
    "SeriesConfig",
    "ServerConfig",
    "StoreConfig",
    "TlsConfig",
    "UplinkConfig",
    "UplinkDataConfig",
    "load",
    "mqtt_password",
    "parse",
]
