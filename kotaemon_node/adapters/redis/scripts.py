"""The Lua scripts beside this file, and by which names a server knows them.

A script may run twice: a reply can be lost, and a retry after a failover repeats the call. Each
script is written so that the second run changes nothing.
"""

from collections.abc import Callable
from importlib import resources
from typing import Any, TypeVar

from redis.exceptions import NoScriptError

T = TypeVar("T")


class Scripts:
    """All scripts, for one server. Thread safe."""

    def __init__(self, client: Any, *, clustered: bool) -> None:
        """``clustered``: a Cluster tells every node of a plain message; of a sharded one, those
        who listen for it.
        """
        self._client = client
        sources = {
            path.name.removesuffix(".lua"): path.read_text(encoding="utf-8")
            for path in resources.files(__package__).joinpath("lua").iterdir()
            if path.name.endswith(".lua")
        }
        shared = f"local CLUSTER = {str(clustered).lower()}\n" + sources.pop("_work")
        self._sources = {name: shared + source for name, source in sources.items()}
        self._sha: dict[str, str] = {}

    def sha_of(self, script: str) -> str:
        """Return by which name it is called; gives the server all of them where none was given."""
        if not self._sha:
            self._give()
        return self._sha[script]

    def called(self, call: Callable[[], T]) -> T:
        """Return what ``call`` does; once more where the server has forgotten the scripts.

        It does when it restarts. ``call`` raises ``NoScriptError`` or has it among its replies.
        """
        try:
            replies = call()
        except NoScriptError:
            pass
        else:
            forgot = isinstance(replies, list) and any(
                isinstance(reply, NoScriptError) for reply in replies
            )
            if not forgot:
                return replies
        self._give()
        return call()

    def _give(self) -> None:
        self._sha = {
            name: _text(self._client.script_load(source)) for name, source in self._sources.items()
        }


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
