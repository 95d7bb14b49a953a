"""Functions of a program as tools that an agent may call.

    >>> registry = ToolRegistry()
    >>> @registry.tool(effects="read")
    ... def stock(sku: str) -> int:
    ...     "How many pieces of an article are in the warehouse."
    ...     return {"MUG-02": 12}.get(sku, 0)
    >>> registry.call_tool("stock", sku="MUG-02")
    12

They are called by the path on which pods call plugins: each call is decided and noted before it is
made, shown in the answer's frames, and made once.
"""

import asyncio
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from kotaemon_node.domain.arguments import problem_of, problem_of_schema
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.limits import TOOL_ANSWER_BYTES_MAX, TOOL_TIMEOUT_S_DEFAULT
from kotaemon_node.domain.plugin_manifest import NAME
from kotaemon_node.plugins.schema import GIVEN, schema_of, takes
from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.ports.tools import (
    Caller,
    Effects,
    Found,
    ToolFailed,
    ToolOutcomeUnknown,
    ToolSpec,
)

__all__ = ["ToolFailed", "ToolOutcomeUnknown", "ToolRegistry"]

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class _Tool:
    spec: ToolSpec
    function: Callable[..., Any]


class ToolRegistry:
    """The tools of a program; ``ports.tools.Toolbox``. Thread safe once they are registered."""

    def __init__(self) -> None:
        self._tools: dict[str, _Tool] = {}

    def register(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        description: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        effects: Effects = "once",
        confirm: bool = False,
        timeout_s: float = TOOL_TIMEOUT_S_DEFAULT,
    ) -> None:
        """Offer ``function`` under ``name``: letters, digits, ``_`` and ``-``, 64 at most.

        ``description``: for the model that decides; None: the function's docstring.
        ``parameters``: JSON schema of its arguments; None: it follows from the annotations.
        ``effects``: ``read`` changes nothing; ``idempotent`` changes once under one
        ``idempotency_key``; ``once`` may change something with each call. ``confirm``: a call that
        changes something waits for the user's yes. ``timeout_s``: for one call.

        The function may be ``async``. Arguments called ``session_id``, ``user_id``, ``context``,
        ``slots`` and ``idempotency_key`` come from the talk, never from whoever decides. It returns
        a JSON value of 256 kB at most. An exception of it leaves open whether the call acted,
        unless ``effects`` is ``read``; a function that knows raises ``ToolFailed``, whose message
        is shown. Raises ``ValueError`` for a name or schema that cannot be.
        """
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a tool: letters, digits, _ and -, 64 at most")
        if name in self._tools:
            raise ValueError(f"there is a tool {name} already")
        schema = schema_of(parameters, function)
        if problem := problem_of_schema(schema):
            raise ValueError(f"parameters of the tool {name} is no JSON schema: {problem}")
        told = description if description is not None else inspect.getdoc(function) or ""
        spec = ToolSpec(
            name,
            told.strip(),
            schema,
            effects,
            confirm=confirm and effects != "read",
            timeout_s=timeout_s,
        )
        self._tools[name] = _Tool(spec, function)

    def tool(self, **options: Any) -> Callable[[Function], Function]:
        """Register a function under its own name, as a decorator; ``options`` as ``register``.

        >>> registry = ToolRegistry()
        >>> @registry.tool(effects="read", description="Adds two numbers.")
        ... def add(one: int, other: int) -> int:
        ...     return one + other
        >>> registry.names
        ('add',)
        """

        def register(function: Function) -> Function:
            self.register(options.pop("name", function.__name__), function, **options)
            return function

        return register

    @property
    def names(self) -> tuple[str, ...]:
        """The tools, in the order in which they were registered."""
        return tuple(self._tools)

    def call_tool(self, name: str, /, **arguments: Any) -> Any:
        """Call a tool for nobody in particular, with the checks that a turn makes.

        Raises ``ToolFailed`` or ``ToolOutcomeUnknown``.
        """
        caller = Caller(DEFAULT_TENANT, session_id="")
        return self._called(name, arguments, caller=caller, key="")

    def specs(self, caller: Caller) -> Sequence[ToolSpec]:
        """See the port."""
        return tuple(tool.spec for tool in self._tools.values())

    def call(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        caller: Caller,
        key: str,
        stop: StopSignal,
    ) -> Any:
        """See the port. A stop is heeded when the function returns: it cannot be broken off."""
        value = self._called(name, arguments, caller=caller, key=key)
        with stop.breaking_off(lambda: None):
            return value

    def lookup(
        self,
        name: str,
        arguments: Mapping[str, Any],
        *,
        caller: Caller,
        key: str,
        stop: StopSignal,
    ) -> Found:
        """See the port: what becomes of functions of a program is its own to know."""
        raise ToolFailed(f"{name} cannot be asked what became of a call", reached=False)

    def _called(self, name: str, arguments: Mapping[str, Any], *, caller: Caller, key: str) -> Any:
        tool = self._tools.get(name)
        if tool is None:
            raise ToolFailed(f"there is no tool {name}", reached=False)
        if problem := problem_of(arguments, tool.spec.parameters):
            raise ToolFailed(problem, reached=False)
        given = _given(tool.function, caller, key)
        effects = tool.spec.effects
        try:
            value = _in_time(
                lambda: _result(tool.function(**arguments, **given)), tool.spec.timeout_s
            )
        except _Raised as raised:
            if isinstance(raised.error, ToolFailed | ToolOutcomeUnknown):
                raise raised.error from None  # the function says itself what is known of the call
            # Not the message of the error: it may hold anything, and anybody may see ours.
            why = f"it failed ({type(raised.error).__name__})"
            raise _failed(why, effects) from raised.error
        try:
            raw = orjson.dumps(value)
        except (TypeError, ValueError) as error:  # orjson.JSONEncodeError is a TypeError
            raise _failed("it did not return JSON", effects) from error
        if len(raw) > TOOL_ANSWER_BYTES_MAX:
            raise _failed(f"it returned more than {TOOL_ANSWER_BYTES_MAX} bytes of JSON", effects)
        return orjson.loads(raw)


def _failed(why: str, effects: Effects) -> ToolFailed | ToolOutcomeUnknown:
    """Return the error of a call that went wrong in the function: it may have acted by then."""
    return ToolFailed(why, reached=True) if effects == "read" else ToolOutcomeUnknown(why)


def _given(function: Callable[..., Any], caller: Caller, key: str) -> dict[str, Any]:
    """Return what a function takes of the talk."""
    names, _ = takes(function)
    talk = {
        "session_id": caller.session_id,
        "user_id": caller.user_id,
        "context": caller.context,
        "slots": caller.slots,
        "idempotency_key": key,
        "user_input": "",
    }
    return {name: talk[name] for name in names & GIVEN}


def _result(said: Any) -> Any:
    """Return what a function returned; an ``async`` one is waited for."""
    return asyncio.run(_awaited(said)) if inspect.isawaitable(said) else said


async def _awaited(said: Any) -> Any:
    return await said


class _Raised(Exception):
    """The error that a function raised; those of whoever waits for it go their own way."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(repr(type(error)))
        self.error = error


def _in_time(work: Callable[[], Any], limit_s: float) -> Any:
    """Return what ``work`` returns; it runs on a thread, which goes on where it takes too long.

    Raises ``_Raised`` and ``ToolOutcomeUnknown``.
    """
    done = threading.Event()
    results: list[Any] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the call failed by it
            failures.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="tool", daemon=True).start()
    if not done.wait(limit_s):
        raise ToolOutcomeUnknown(f"it did not return within {limit_s:g} s")
    if failures:
        raise _Raised(failures[0])
    return results[0]
