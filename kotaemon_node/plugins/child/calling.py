"""Carries out one call of the plugin, and says what came of it."""

import inspect
import time
import traceback
from collections.abc import Mapping
from typing import Any, Final

from kotaemon_node.plugins.child.frames import packed
from kotaemon_node.plugins.contract import BasePlugin, Proposal
from kotaemon_node.plugins.current import Call, begin_call
from kotaemon_node.plugins.schema import GIVEN, takes

_TRACEBACK_CHARS_MAX: Final = 4_000


class Caller:
    """Calls the methods of one plugin, plain or async; one call at a time."""

    def __init__(self, plugin: BasePlugin) -> None:
        self._plugin = plugin
        self._loop: Any = None

    def answer(self, order: Mapping[str, Any]) -> bytes:
        """Return the frame that answers a call."""
        number = order["id"]
        begin_call(_call_of(order))
        try:
            value = self._value(order)
        except BaseException as error:  # noqa: BLE001 - also sys.exit: the plugin's code is below
            told = traceback.format_exc()[-_TRACEBACK_CHARS_MAX:].encode("utf-8", "replace")
            return packed({"id": number, "raised": type(error).__name__[:80], "log": told.decode()})
        finally:
            begin_call(None)
        try:
            return packed({"id": number, "value": value})
        except (TypeError, ValueError, RecursionError) as error:
            return packed({"id": number, "unreadable": str(error)[:200]})

    def _value(self, order: Mapping[str, Any]) -> Any:
        entry, arguments = order["entry"], dict(order["arguments"])
        method = getattr(self._plugin, order["method"] if entry == "hook" else entry)
        given = {name: order[name] for name in GIVEN}
        if entry == "lookup":
            value = method(order["idempotency_key"], **arguments)
        else:
            value = method(**_chosen(method, given), **arguments)
        if inspect.isawaitable(value):
            value = self._awaited(value)
        if isinstance(value, Proposal):
            return {"propose": {"arguments": dict(value.arguments), "summary": value.summary}}
        return {"result": value} if entry == "hook" and isinstance(value, str) else value

    def _awaited(self, value: Any) -> Any:
        if self._loop is None:
            import asyncio  # noqa: PLC0415 - most plugins do not need it, and it starts slowly

            self._loop = asyncio.new_event_loop()

        async def whole() -> Any:
            return await value

        return self._loop.run_until_complete(whole())


def _chosen(method: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return of what comes with the call what the method names."""
    names, _ = takes(method)
    return {name: value for name, value in given.items() if name in names}


def _call_of(order: Mapping[str, Any]) -> Call:
    return Call(
        session_id=order["session_id"],
        user_id=order["user_id"],
        idempotency_key=order["idempotency_key"],
        user_input=order["user_input"],
        context=order["context"],
        slots=order["slots"],
        repeatable=order["repeatable"],
        ends_s=time.monotonic() + order["left_s"],
    )
