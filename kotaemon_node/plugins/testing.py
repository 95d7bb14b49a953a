"""For authors of plugins: tries one without a cluster, as quick as a unit test.

    from kotaemon_node.plugins.testing import PluginTest

    def test_an_order_that_waits_is_explained():
        with PluginTest("order_query.py", user_id="demo") as plugin:
            assert "1003" in plugin.hook("why hasn't my order shipped?")["result"]

With ``sandboxed=True`` it runs as pods run it: in a process of its own, with its limits, and with
no network but its hosts.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["PluginTest"]


class PluginTest:
    """One plugin on trial. ``user_id``, ``slots`` and ``context`` may be changed between calls."""

    def __init__(
        self,
        path: str | Path,
        *,
        config: Mapping[str, Any] | None = None,
        sandboxed: bool = False,
        session_id: str = "test",
        user_id: str | None = None,
        slots: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> None:
        """Load the plugin whose file or folder ``path`` is; its manifest lies beside it.

        ``config`` lies over that of the manifest, as what an operator sets. Raises ``Invalid``
        where file or manifest are not as they must be, and what loading raises.
        """
        # Imported here: in a plugin's own process nothing of it is there, and nothing is needed.
        from kotaemon_node.library.plugin_trial import on_trial  # noqa: PLC0415

        self._trial = on_trial(Path(path), config=config or {}, sandboxed=sandboxed)
        self.session_id = session_id
        self.user_id = user_id
        self.slots = dict(slots or {})
        self.context = dict(context or {})

    @property
    def description(self) -> Any:
        """What pods know of it: name, effects, parameters, hooks (``PluginDescription``)."""
        return self._trial.description

    def hook(self, text: str, *, intent: str | None = None, key: str = "test:1") -> Any:
        """Return what the hook of ``intent`` answers to ``text``; None: that of highest priority.

        Raises ``ToolFailed`` with the plugin's traceback, and ``LookupError`` without such a hook.
        """
        hooks = [it for it in self.description.hooks if intent in {None, it.intent}]
        if not hooks:
            raise LookupError(f"there is no hook of {intent or 'any intent'}")
        best = max(hooks, key=lambda it: it.priority)
        return self._called("hook", key, method=best.method, user_input=text)

    def run(self, key: str = "test:1", /, **arguments: Any) -> Any:
        """Return what the tool answers; ``key`` is the idempotency key. Raises as ``hook``."""
        return self._called("run", key, arguments=arguments)

    def lookup(self, key: str = "test:1", /, **arguments: Any) -> Any:
        """Return what the plugin tells of an earlier ``run`` under ``key``. Raises as ``hook``."""
        return self._called("lookup", key, arguments=arguments)

    def close(self) -> None:
        """End it, by its ``teardown``."""
        self._trial.close()

    def __enter__(self) -> "PluginTest":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _called(self, entry: Any, key: str, **call: Any) -> Any:
        from kotaemon_node.ports.plugins import PluginCall  # noqa: PLC0415
        from kotaemon_node.ports.tools import Caller  # noqa: PLC0415

        caller = Caller(
            "default",
            self.session_id,
            turn_id="test",
            user_id=self.user_id,
            context=self.context,
            slots=self.slots,
        )
        return self._trial.call(PluginCall(entry, caller, key, **call))
