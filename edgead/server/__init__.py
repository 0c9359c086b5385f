"""The retired cloud service's API on your own machine: ``edgead serve``.

A second assembly beside the agent (docs/adr/0070): it builds its own parts and owns its own process.  Names are loaded
on first use, so that the settings can be read where the extra ``server`` is not installed.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "ServerContext": "context",
    "ServerSettings": "settings",
    "create_app": "app",
    "serve": "serving",
}

__all__ = ["ServerContext", "ServerSettings", "create_app", "serve"]

if TYPE_CHECKING:
    from edgead.server.app import create_app
    from edgead.server.context import ServerContext
    from edgead.server.serving import serve
    from edgead.server.settings import ServerSettings


def __getattr__(name: str) -> Any:
    """Import the home module of a public name on first use (PEP 562)."""
    if name in _HOMES:
        value = getattr(import_module(f"edgead.server.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'edgead.server' has no attribute {name!r}")
