"""The contract of plugins as their authors meet it, in real processes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.errors import Draining
from kotaemon_node.ports.plugin_registry import PluginRefused
from kotaemon_node.ports.plugins import Hook, PluginCall
from kotaemon_node.ports.tools import ToolFailed
from tests.sandboxed import CALLER, NeverStopped, Started, started

ORDERS = """
    import asyncio
    from typing import Literal
    from kotaemon_node.plugins import BasePlugin, IntentHook, Proposal
    from helping import doubled

    class Orders(BasePlugin):
        name, description = "orders", "Looks up orders."

        def setup(self, config, shared_storage):
            self.greeting = config["greeting"]

        @IntentHook(intent="query_order", priority=10, examples=["where is my order", "我的订单"])
        def query(self, user_input, session_id):
            user = self.shared_storage.get(f"user_id:{session_id}")
            return {"result": f"{self.greeting} {user}: {user_input}", "details": [doubled(21)]}

        @IntentHook(intent="cancel_order")
        @IntentHook(intent="stop_order")
        async def cancel(self, slots, context, user_id, idempotency_key):
            await asyncio.sleep(0)
            told = f"{user_id} {slots} {context} {idempotency_key} {self.call.session_id}"
            return Proposal(summary=told, arguments={"order": 7})

        @IntentHook(intent="hello")
        def hello(self):
            return "你好"

        async def run(self, order: int, why: Literal["lost", "late"] = "lost", *,
                      items: list[str] | None = None, user_id=None, **rest):
            return [order, why, items, user_id, rest]

        def lookup(self, key, order):
            return {"took_effect": key == "key-1", "result": order}
"""


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("orders")
    (folder / "helping.py").write_text("def doubled(number):\n    return 2 * number\n")
    with started(folder, ORDERS, "{config: {greeting: Hi}, timeout_s: 20}", name="orders") as it:
        yield it


def test_a_plugin_says_what_it_is(orders: Started) -> None:
    about = orders.plugin.description

    assert (about.name, about.description, about.effects) == ("orders", "Looks up orders.", "read")
    assert len(about.version) == 12
    assert (about.runs, about.looks_up, about.confirm) == (True, True, False)
    assert Hook("query_order", "query", 10, ("where is my order", "我的订单")) in about.hooks
    assert {it.intent for it in about.hooks} == {
        "query_order", "cancel_order", "stop_order", "hello",
    }  # fmt: skip
    assert about.parameters == {
        "type": "object",
        "properties": {
            "order": {"type": "integer"},
            "why": {"enum": ["lost", "late"]},
            "items": {"type": ["array", "null"]},
        },
        "required": ["order"],
    }


def test_hooks_take_what_they_name(orders: Started) -> None:
    assert orders.hook("query", "where?") == {"result": "Hi u1: where?", "details": [42]}
    told = orders.hook("cancel")["propose"]
    assert told["arguments"] == {"order": 7}
    assert told["summary"] == "u1 {} {'language': 'en'} key-1 s1"
    assert orders.hook("hello") == {"result": "你好"}


def test_run_takes_arguments_and_whoever_the_session_has(orders: Started) -> None:
    assert orders.run(order=1) == [1, "lost", None, "u1", {}]
    assert orders.run(order=1, items=["a"], more=2) == [1, "lost", ["a"], "u1", {"more": 2}]
    assert orders.run(order=10**30)[0] == 1e30  # beyond 64 bits an answer is rounded
    lookup = PluginCall("lookup", CALLER, "key-1", arguments={"order": 3})
    assert orders.plugin.call(lookup, stop=NeverStopped()) == {"took_effect": True, "result": 3}


@pytest.mark.parametrize(
    "arguments", [{}, {"order": "1"}, {"order": True}, {"order": 1, "why": "other"}]
)
def test_arguments_that_the_schema_refuses_reach_no_process(
    orders: Started, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ToolFailed) as failed:
        orders.run(**arguments)
    assert not failed.value.reached
    assert not failed.value.fault


def test_what_the_session_says_is_no_argument_of_anybody(orders: Started) -> None:
    with pytest.raises(ToolFailed, match="user_id is no argument"):
        orders.run(order=1, user_id="u2")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("x = ", "SyntaxError"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
        ("x = 1", "no subclass of BasePlugin"),
        ("class P(BasePlugin):\n    name = 'other'", "'other'"),
        ("class P(BasePlugin):\n    name = 'p'", "neither run nor"),
        ("class P(BasePlugin):\n    name = 'p'\n    def setup(self, c, s): 1 / 0\n"
         "    def run(self): pass", "ZeroDivisionError"),
        ("class P(BasePlugin):\n    name = 'p'\n    parameters = {'type': 'array'}\n"
         "    def run(self): pass", "object"),
        ("class P(BasePlugin):\n    name = 'p'\n    parameters = {'properties': {'user_id': {}}}\n"
         "    def run(self, **a): pass", "user_id"),
        ("import os; os._exit(3)", "does not start"),
    ],
)  # fmt: skip
def test_what_is_no_plugin_is_refused_with_the_reason(
    tmp_path: Path, source: str, why: str
) -> None:
    whole = f"from kotaemon_node.plugins import BasePlugin\n{source}"
    with pytest.raises(PluginRefused, match=why), started(tmp_path, whole, name="p"):
        pass


def test_calls_at_once_have_processes_of_their_own(tmp_path: Path) -> None:
    source = """
        import os, time
        from kotaemon_node.plugins import BasePlugin
        class P(BasePlugin):
            name = "p"
            def run(self):
                time.sleep(0.3)
                return os.getpid()
    """
    with started(tmp_path, source, "timeout_s: 30", name="p") as it:
        told = at_once([it.run] * 6)

    assert 2 <= len(set(told)) <= 4


def test_a_plugin_that_was_replaced_can_be_called_by_who_knows_it(tmp_path: Path) -> None:
    source = """
        import time
        from kotaemon_node.plugins import BasePlugin
        class P(BasePlugin):
            name = "p"
            def run(self, wait_s: float = 0):
                time.sleep(wait_s)
                return "well"
    """
    with started(tmp_path, source, "timeout_s: 30", name="p") as it:
        running = lambda: it.run(wait_s=0.5)  # noqa: E731 - said once
        told = at_once([running, it.plugin.retire])
        it.plugin.retire()
        assert told[0] == "well"
        assert it.run() == "well"


def test_a_stop_ends_the_call_and_raises_its_reason(orders: Started, tmp_path: Path) -> None:
    class Stopped:
        @contextmanager
        def breaking_off(self, break_off: Callable[[], None]) -> Iterator[None]:
            break_off()
            try:
                yield
            finally:
                raise Draining("it leaves")

    with pytest.raises(Draining):
        orders.plugin.call(PluginCall("run", CALLER, "k", arguments={"order": 1}), stop=Stopped())
    assert orders.run(order=1)


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(calls)) as pool:
        return [it.result() for it in [pool.submit(call) for call in calls]]


def test_a_stop_does_not_wait_for_a_connection(tmp_path: Path) -> None:
    """A host that never answers is given up at once when nobody waits any more."""
    cuts: list[Callable[[], None]] = []

    class Stopping:
        @contextmanager
        def breaking_off(self, break_off: Callable[[], None]) -> Iterator[None]:
            cuts.append(break_off)
            yield

    def resolves_never(*_: object, **__: object) -> None:
        SystemClock().sleep(60)
        raise OSError

    source = """
        import socket
        from kotaemon_node.plugins import BasePlugin
        class P(BasePlugin):
            name = "p"
            def run(self):
                socket.create_connection(("shop.example", 80))
    """
    manifest = "{effects: once, hosts: ['shop.example:80'], timeout_s: 30}"
    with pytest.MonkeyPatch.context() as patch, started(tmp_path, source, manifest, name="p") as it:
        patch.setattr("socket.getaddrinfo", resolves_never)
        patch.setattr(limits, "PLUGIN_CONNECT_S_MAX", 60.0)
        begun_s = SystemClock().monotonic_s()
        threading.Timer(0.3, lambda: [cut() for cut in cuts]).start()
        with pytest.raises(ToolFailed):
            it.plugin.call(PluginCall("run", CALLER, "k"), stop=Stopping())
        assert SystemClock().monotonic_s() - begun_s < 20
