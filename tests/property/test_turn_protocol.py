"""The turn protocol under any order of claims, writes, deaths and takeovers, on real stores."""

from collections.abc import Iterator, Sequence
from importlib import resources

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from kotaemon_node.adapters import redis
from kotaemon_node.adapters.redis import connect
from tests.property.turn_machine import TurnProtocol
from tests.property.turn_steps import StagedStore
from tests.redis_server import RedisServer, Server
from tests.redis_sets import KINDS

Patches = Sequence[tuple[str, str, str]]

QUICK = settings(
    max_examples=120,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# Each kind of store on the whole; what may differ there is few and shows in any story.
OTHER = settings(QUICK, max_examples=30)
LONG = settings(QUICK, max_examples=2_000, stateful_step_count=80, derandomize=False)
# Which fault was found is not asked, so its example need not be made small.
HUNT = settings(QUICK, max_examples=2_000, phases=[Phase.generate], report_multiple_bugs=False)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="module", params=["sentinel", "cluster"])
def other_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = KINDS[request.param]()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def run(server: Server, how: settings, patches: Patches = ()) -> None:
    server.wipe()
    client = connect(server.url).client
    run_state_machine_as_test(
        lambda: TurnProtocol(StagedStore(client, patches)),  # type: ignore[arg-type]
        settings=how,
    )


@pytest.mark.timeout(900)  # a found fault is made small first
def test_no_turn_is_lost_repeated_or_torn_whatever_the_order_of_steps(server: RedisServer) -> None:
    run(server, QUICK)


@pytest.mark.timeout(900)
def test_no_turn_is_lost_repeated_or_torn_on_other_stores(other_server: Server) -> None:
    run(other_server, OTHER)


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_no_turn_is_lost_repeated_or_torn_in_long_stories(server: RedisServer) -> None:
    run(server, LONG)


MUTANTS: dict[str, Patches] = {
    "append asks nobody for a lease": [("append", "return 'fenced'", "")],
    "append looks at the owner, not at the fence": [("append", "held[1] ~= ARGV[2] or ", "")],
    "append leaves gaps": [("append", "if first > last + 1 then return 'gap' end", "")],
    "append lets a decision be changed": [("append", "'HSETNX'", "'HSET'")],
    "commit asks nobody for a lease": [
        ("commit", "held[1] ~= ARGV[2] or held[2] ~= ARGV[3] or held[3] ~= 'running'", "false")
    ],
    "commit does not know that it was made": [
        ("commit", "if version and version ~= '' then", "if false then")
    ],
    "commit makes another owner's repeat succeed": [
        ("commit", "if fence ~= ARGV[2] then return {'fenced'} end", "")
    ],
    "commit names any turn of its pod as the next": [
        ("commit", "held[1] ~= started or ", ""),
        ("commit", "started == '' or ", ""),
    ],
    "commit of a cancelled waiting turn starts the next": [
        ("commit", "if ends(meta, ARGV[4]) then", "if ends(meta, ARGV[4]) or true then")
    ],
    "claim does not compare digests": [
        ("claim", "if digest ~= ARGV[2] and digest ~= ARGV[30] then return {'conflict'} end", "")
    ],
    "claim overtakes those who wait": [
        ("claim", "head[3] ~= '' or redis.call('LLEN', queue) > 0", "head[3] ~= ''")
    ],
    "claim may come late": [("claim", "return {'late'}", "")],
    "claim runs a turn of a deleted session": [
        ("claim", "if known == 'gone' then return {'gone'} end", "known = nil"),
    ],
    "delete keeps no ids": [("delete", "redis.call('HSET', KEYS[4], id, 'gone')", "")],
    "seize takes from anybody": [
        ("seize", "if not any and before ~= ARGV[3] and not mine", "if false")
    ],
    "seize raises no fence": [
        (
            "seize",
            "local fence = redis.call('HINCRBY', meta, 'fence', 1)\n"
            "  redis.call('HSET', turn, 'owner'",
            "local fence = redis.call('HGET', meta, 'fence')\n  redis.call('HSET', turn, 'owner'",
        )
    ],
    "seize forgets how a turn is to end": [("seize", "if ARGV[4] ~= '' then", "if false then")],
    "seize starts any that waits": [
        ("seize", " and redis.call('LINDEX', queue, 0) == ARGV[1]", "")
    ],
    "release raises no fence": [
        ("release", "'HINCRBY', KEYS[1], 'fence', 1", "'HGET', KEYS[1], 'fence'")
    ],
    "archive removes what was not copied": [
        ("archive", "for i = 1, 4 do if head[i] ~= ARGV[i] then return 'changed' end end", "")
    ],
    "archive leaves no mark": [
        ("archive", "redis.call('SET', mark, ARGV[6], 'PXAT', ARGV[7])", "")
    ],
    "restore forgets the ids of turns": [
        ("restore", "put('HSET', seen, tonumber(ARGV[6]), 2)", "at = at + 2 * ARGV[6]")
    ],
    "restore gives another fence": [("restore", "'running', '',", "'running', '', 'fence', 0,")],
    "claim begins anew what is archived": [
        ("claim", "if is_archived(mark) then return {'archived', mark} end", "")
    ],
    "mark brings back what was deleted": [
        ("mark", "if there then return is_archived(there) and 'kept' or 'ended' end", ""),
        ("mark", "if redis.call('HEXISTS', past, ARGV[1]) == 1 then return 'ended' end", ""),
    ],
    "forget takes young entries": [
        ("forget", "or now_ms() - tonumber(entered) < tonumber(ARGV[2])", "")
    ],
}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", MUTANTS)
def test_the_stories_find_a_fault_in_the_scripts(server: RedisServer, fault: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 - whichever law it breaks
        run(server, HUNT, MUTANTS[fault])


@pytest.mark.parametrize("fault", MUTANTS)
def test_each_fault_changes_its_script(fault: str) -> None:
    # Else the stories above would "find" that there is nothing to change.
    for name, old, _ in MUTANTS[fault]:
        text = resources.files(redis).joinpath("lua", f"{name}.lua").read_text("utf-8")
        assert text.count(old) == 1, name
