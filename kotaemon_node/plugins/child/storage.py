"""``shared_storage`` of a plugin: each call asks the pod, which decides."""

from typing import Any, Final

from kotaemon_node.plugins.child.frames import Channel

_ERRORS: Final[dict[str, type[Exception]]] = {
    "denied": PermissionError,
    "invalid": ValueError,
    "away": ConnectionError,
}


class AskedStorage:
    """``plugins.SharedStorage``."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def get(self, key: str, default: Any = None) -> Any:
        """See the contract."""
        said = self._ask({"storage": "get", "key": key})
        return said["value"] if said.get("found") else default

    def set(self, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        """See the contract."""
        self._ask({"storage": "set", "key": key, "value": value, "ttl_s": ttl_s})

    def delete(self, key: str) -> None:
        """See the contract."""
        self._ask({"storage": "delete", "key": key})

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        said, _ = self._channel.ask(message)
        if (kind := said.get("refused")) is not None:
            raise _ERRORS.get(kind, ValueError)(said.get("why", ""))
        return said
