"""Where each command is, loaded when it is asked for.

``kotaemon down`` needs a fifth of what all commands need; loading the rest would double its time.
"""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

# By the name that people type: a module of this package, and its function or its group of commands.
PLACES: Final = {
    "backup": "backup:app",
    "keys": "keys:app",
    "logins": "logins:app",
    "audit": "audit:app",
    "encryption": "encryption:app",
    "rights": "rights:app",
    "sessions": "sessions:app",
    "knowledge": "knowledge:app",
    "faq": "faq:app",
    "models": "models:app",
    "plugins": "plugin_authors:app",
    "eval": "evaluate:app",
    "signing-key": "signing_key:app",
    "up": "cluster:up",
    "ps": "cluster:ps",
    "down": "cluster:down",
    "stop": "cluster:stop",
    "start": "cluster:start",
    "scale": "cluster:scale",
    "status": "status:status",
    "limits": "limits:limits",
    "chat": "chat:chat",
    "search": "search:search",
    "trace": "trace:trace",
    "ingest": "ingest:ingest",
    "chaos": "chaos:chaos",
    "encoder": "encoder:encoder",
    "turn-log": "turn_log:turn_log",
    "restore": "restore:restore",
}


class LoadedWhenAsked(MutableMapping[str, Any]):
    """Commands by name, in the order of ``PLACES``; each is loaded when it is taken."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}
        self._names = dict.fromkeys(PLACES)

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._loaded:
            self._loaded[name] = _load(name)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._names[name] = None
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._names[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        """Say whether there is such a command, without loading it."""
        return name in self._names


class Commands(TyperGroup):
    """The group of all commands of ``kotaemon``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = LoadedWhenAsked()


def _load(name: str) -> Any:
    module, _, attribute = PLACES[name].partition(":")
    found = getattr(import_module(f"kotaemon_node.cli.{module}"), attribute)
    # A group of its own for one command: so it gets what it would get as a part of the whole.
    around = typer.Typer(
        add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False
    )
    around.callback()(_nothing)
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name)
    else:
        around.command(name)(found)
    group: Any = typer.main.get_command(around)
    return group.commands[name]


def _nothing() -> None:
    """Make a group of what has a single command."""
