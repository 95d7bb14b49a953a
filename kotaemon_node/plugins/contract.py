"""The classes of which plugins are made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar

from kotaemon_node.plugins.current import Call, current_call

Method = TypeVar("Method", bound=Callable[..., Any])

_MARK = "__kotaemon_intents__"


class IntentHook:
    """Marks a method of a plugin that answers an intent: ``@IntentHook(intent="query_order")``.

    The method takes any of these by name: ``user_input``, ``session_id``, ``user_id``, ``slots``,
    ``context``, ``idempotency_key``. It returns ``{"result": text, "details": [...]}``, a text,
    ``{"error": text}``, or a ``Proposal``. It may be ``async``, and may carry several of these.
    """

    def __init__(self, intent: str, *, priority: int = 0, examples: Sequence[str] = ()) -> None:
        self.intent = intent
        self.priority = priority
        self.examples = tuple(examples)

    def __call__(self, method: Method) -> Method:
        """Mark ``method``."""
        setattr(method, _MARK, (*getattr(method, _MARK, ()), self))
        return method


def hooks_of(plugin: type) -> Sequence[tuple[str, IntentHook]]:
    """Return (name of the method, hook) of a class and those it inherits from, by name."""
    return [
        (name, hook)
        for name in sorted(dir(plugin))
        for hook in getattr(getattr(plugin, name, None), _MARK, ())
    ]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a hook of a plugin that changes something returns: its ``run`` waits for a yes.

    ``summary`` names the exact action, for the user: "Cancel order 1003 (2 x mug, 18.00 EUR)".
    """

    summary: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


class SharedStorage(Protocol):
    """What a plugin may keep: JSON values under the keys that its manifest declares.

    ``user_id:<session_id>`` and ``context:<session_id>`` may be read without being declared, of the
    session of the running call. ``PermissionError``: a key that is not declared, or of another
    session. ``ValueError``: a key or value that is too long, or too many keys. ``ConnectionError``:
    the store is away.
    """

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of ``key``, or ``default``."""
        ...

    def set(self, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        """Keep ``value``, for ``ttl_s`` seconds or as long as the operator allows."""
        ...

    def delete(self, key: str) -> None:
        """Forget ``key``; one that is not there is forgotten already."""
        ...


class BasePlugin:
    """A plugin: a tool (``run``), hooks that answer intents, or both.

    One object lives as long as its process, and has one call at a time. There are several processes
    of one plugin, on every pod: what it keeps in itself, others do not see.
    """

    name: ClassVar[str] = ""
    """As the file is named: ``[A-Za-z0-9_-]{1,64}``."""
    description: ClassVar[str] = ""
    """For people and language models: what it does, and when to call it."""
    parameters: ClassVar[Mapping[str, Any] | None] = None
    """JSON schema of the arguments of ``run``. None: it follows from the signature of ``run``."""

    config: Mapping[str, Any] = {}
    """What the manifest and the operator say, set before ``setup``."""
    shared_storage: SharedStorage
    """Set before ``setup``."""

    # ``run(self, **arguments)`` makes a plugin a tool, ``lookup(self, key, **arguments)`` tells
    # whether a ``run`` under that key took effect. Neither stands here: a plugin has them or not.

    def setup(self, config: Mapping[str, Any], shared_storage: SharedStorage) -> None:
        """Prepare; called once in each process, before any call."""

    def teardown(self) -> None:
        """Let go of what was prepared. A process that is killed is not asked."""

    @property
    def call(self) -> Call:
        """The running call: its session, user, context, slots and idempotency key."""
        return current_call()

    @property
    def http_client(self) -> Any:
        """A ``requests.Session`` that retries what may be repeated, within the call's time.

        It sends the call's ``Idempotency-Key`` by itself. Needs the library ``requests``.
        """
        client = self.__dict__.get("_http_client")
        if client is None:
            from kotaemon_node.plugins.http_client import make_client  # noqa: PLC0415 - law 1

            client = self.__dict__["_http_client"] = make_client()
        return client
