"""Tasks of a gevent process on one shared connection: run as ``python -m tests.link_cases CASE``.

A process of its own, because gevent patches whole processes. A case fails by an exception.
"""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from contextlib import suppress  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import pytest  # noqa: E402
from gevent.threadpool import ThreadPool  # noqa: E402

from kotaemon_node.adapters.redis import link  # noqa: E402
from kotaemon_node.adapters.redis.connection import RedisStore, connect  # noqa: E402
from kotaemon_node.domain import limits  # noqa: E402
from kotaemon_node.domain.errors import StoreBusy, StoreUnavailable  # noqa: E402
from tests.redis_server import RedisServer  # noqa: E402

TASKS, CALLS = 100, 30


def _together(task: Callable[[int], None], *, tasks: int = TASKS) -> None:
    for one in gevent.joinall([gevent.spawn(task, number) for number in range(tasks)]):
        one.get()


def _clients(store: RedisStore) -> int:
    return sum(row["name"] == "kotaemon" for row in store.client.client_list())


def each_task_gets_its_own_replies(server: RedisServer, store: RedisStore) -> None:
    def task(number: int) -> None:
        for call in range(CALLS):
            key, text = f"own:{number}", f"{number}-{call}".encode()
            store.client.set(key, text)

            def fill(pipe: Any, key: str = key) -> None:
                pipe.get(key)
                pipe.hgetall("nobody")
                pipe.incrby("count", 1)

            got, nothing, count = store.pipelined(fill)
            assert (got, nothing) == (text, {}), (got, text)
            assert count >= 1

    _together(task)
    assert int(store.client.get("count")) == TASKS * CALLS
    assert _clients(store) <= 2, "one that is shared, and one that lists them"


def a_refusal_is_its_callers_alone(server: RedisServer, store: RedisStore) -> None:
    store.client.set("text", "x")

    def task(number: int) -> None:
        if number % 3 == 0:
            with pytest.raises(Exception, match="WRONGTYPE"):
                store.client.hget("text", "field")
        elif number % 3 == 1:
            with pytest.raises(Exception, match="must be str, int, float or bytes"):
                store.client.set("text", object())
        else:
            assert store.client.echo(f"{number}") == f"{number}".encode()

    _together(task)


def what_cannot_be_sent_leaves_no_reply_behind(server: RedisServer, store: RedisStore) -> None:
    def fill(pipe: Any) -> None:
        pipe.echo("sent by nobody")
        pipe.echo(object())

    def task(number: int) -> None:
        if number % 2:
            with pytest.raises(TypeError, match="must be str, int, float or bytes"):
                store.pipelined(fill)
        else:
            assert store.client.echo(f"{number}") == f"{number}".encode()

    _together(task)


def attempts_to_connect_are_not_kept(server: RedisServer, store: RedisStore) -> None:
    store.client.echo("connected")
    server.kill()
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            store.pipelined(lambda pipe: pipe.echo("away"))
    pool = store.client.connection_pool
    assert len(pool._connections) <= 1, "the pool's own"


def calls_are_repeated_when_the_connection_breaks(server: RedisServer, store: RedisStore) -> None:
    done = [0]

    def task(number: int) -> None:
        for call in range(CALLS):
            text = f"{number}-{call}"
            assert store.client.echo(text) == text.encode()
            done[0] += 1

    def breaker() -> None:
        other = connect(server.url).client
        for part in range(1, 10):
            while done[0] < part * TASKS * CALLS // 12:
                gevent.sleep(0.001)
            for row in other.client_list():
                if row["cmd"] == "echo":
                    other.client_kill_filter(_id=row["id"])

    breaking = gevent.spawn(breaker)
    _together(task)
    breaking.get()


def a_server_that_comes_back_is_found(server: RedisServer, store: RedisStore) -> None:
    assert store.client.set("kept", "1")
    server.kill()
    with pytest.raises(StoreUnavailable):
        store.pipelined(lambda pipe: pipe.get("kept"))
    server.start()
    assert store.pipelined(lambda pipe: pipe.get("kept")) == [b"1"]


def what_comes_late_is_nobodys(server: RedisServer, store: RedisStore) -> None:
    other = connect(server.url).client
    store.client.echo("connected")
    other.execute_command("CLIENT", "PAUSE", int(limits.REDIS_TIMEOUT_S * 1000) + 1000, "ALL")
    failed: list[str] = []

    def task(number: int) -> None:
        try:
            store.pipelined(lambda pipe: pipe.echo(f"late-{number}"))
        except StoreUnavailable:
            failed.append(f"late-{number}")

    old = [gevent.spawn(task, number) for number in range(10)]
    gevent.sleep(limits.REDIS_TIMEOUT_S * 0.8)
    young = gevent.spawn(store.pipelined, lambda pipe: pipe.echo("young"))
    for one in gevent.joinall(old):
        one.get()
    assert len(failed) == 10
    assert young.get() == [b"young"], "it did not wait for so long itself"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with suppress(StoreUnavailable):
            assert store.pipelined(lambda pipe: pipe.echo("now")) == [b"now"]
            return
    raise AssertionError("the store was not reached again")


def who_waits_for_long_holds_up_nobody(server: RedisServer, store: RedisStore) -> None:
    waiting = gevent.spawn(store.client.xread, {"stream": "$"}, None, 60_000)
    popping = gevent.spawn(store.client.blpop, ["list"], 60)
    _together(store.client.echo)
    assert not waiting.ready()
    assert not popping.ready()
    store.client.rpush("list", "x")
    while not waiting.ready():
        store.client.xadd("stream", {"k": "v"})
        gevent.sleep(0.001)
    assert waiting.get()
    assert popping.get() == (b"list", b"x")


def a_task_that_is_stopped_leaves_its_reply_to_nobody(
    server: RedisServer, store: RedisStore
) -> None:
    store.client.echo("connected")
    for number in range(200):
        stopped = gevent.spawn(store.client.echo, f"stopped-{number}")
        gevent.sleep(0)
        stopped.kill()
        assert store.client.echo(f"{number}") == f"{number}".encode()


def too_many_calls_are_refused(server: RedisServer, store: RedisStore) -> None:
    refused: list[int] = []

    def task(number: int) -> None:
        try:
            assert store.pipelined(lambda pipe: pipe.echo(number)) == [str(number).encode()]
        except StoreBusy:
            refused.append(number)

    _together(task, tasks=limits.REDIS_LINK_CALLS_MAX + 50)
    assert len(refused) == 50


def other_threads_have_connections_of_their_own(server: RedisServer, store: RedisStore) -> None:
    store.client.echo("connected")
    pool = ThreadPool(1)  # a connection of gevent serves the thread that made it

    def work(number: int) -> bytes:
        assert not store.client.link.ours
        echoed: bytes = store.client.echo(f"{number}")
        return echoed

    jobs = [pool.spawn(work, number) for number in range(20)]
    _together(store.client.echo)
    assert [job.get() for job in jobs] == [f"{number}".encode() for number in range(20)]


def scripts_and_signals_go_over_it(server: RedisServer, store: RedisStore) -> None:
    heard = store.client.pubsub()
    heard.subscribe("channel")
    replies = store.run_many("lead", [(["l", "f"], ["me", 1000])], signals=[("channel", "text")])
    assert not isinstance(replies[0], Exception)
    store.client.script_flush()
    store.run("lead", ["l", "f"], ["me", 1000])  # loaded again
    messages: list[Any] = []
    while len(messages) < 2:
        message = heard.get_message(timeout=5)
        assert message is not None
        messages.append(message["type"])
    assert messages == ["subscribe", "message"]


CASES: dict[str, Callable[[RedisServer, RedisStore], None]] = {
    case.__name__: case
    for case in (
        each_task_gets_its_own_replies,
        a_refusal_is_its_callers_alone,
        what_cannot_be_sent_leaves_no_reply_behind,
        attempts_to_connect_are_not_kept,
        calls_are_repeated_when_the_connection_breaks,
        a_server_that_comes_back_is_found,
        what_comes_late_is_nobodys,
        who_waits_for_long_holds_up_nobody,
        a_task_that_is_stopped_leaves_its_reply_to_nobody,
        too_many_calls_are_refused,
        other_threads_have_connections_of_their_own,
        scripts_and_signals_go_over_it,
    )
}


def main() -> None:
    """Run the cases that the command line names, each on a Redis of its own."""
    assert link.can_share()
    assert threading.current_thread() is threading.main_thread()
    for name in sys.argv[1:]:
        server = RedisServer()
        server.start()
        try:
            CASES[name](server, connect(server.url, shared=True))
        finally:
            server.remove()


if __name__ == "__main__":
    main()
