"""Fifty tenants with nearly the same texts: nobody is shown a word of another's, wherever it is.

Each tenant's document has the same name and the same sentences but for one word, its canary. They
ask the same questions in an order drawn by seed, of pods that hold only some of them at a time.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from kotaemon_node.adapters.redis import RedisFrameLog, RedisHotAnswers
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import Principal, SessionKey, TurnKey, TurnRequest
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.joining import Joining
from kotaemon_node.engine.remembering import Remembering
from kotaemon_node.ports.language_model import ChatMessage, Usage
from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.retrieval.faq_reader import FaqReader
from kotaemon_node.retrieval.found_before import FoundBefore, RememberedKnowledge
from tests.engine_pods import TestPod
from tests.fakes.coordination import World
from tests.fakes.credentials import KeyedCluster, bearer
from tests.redis_server import RedisServer, ServerClock
from tests.unit.test_coordinator_tenants import Coordinator, upload
from tests.unit.test_retrieval_tenants import PodKnowledge

TENANTS = [f"tenant-{number:02d}" for number in range(50)]
OPEN_MAX = 20
QUESTIONS = (
    "How much does the Aurora cup cost?",
    "What is the price of the Aurora cup, please?",
)
_PATIENT_S = 60.0


def canary(tenant: str) -> str:
    return "word" + "".join(chr(ord("a") + int(digit)) for digit in tenant[-2:]) + "zq"


CANARIES = {canary(tenant): tenant for tenant in TENANTS}


def foreign(text: str, tenant: str) -> set[str]:
    """Return whose canaries other than the tenant's own stand in ``text``."""
    return {owner for word, owner in CANARIES.items() if word in text and owner != tenant}


class Recording:
    """A language model that quotes what it was given; every prompt is kept."""

    name = "recording"
    continues_prefix = False

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        prefix: str,
        usage: Usage,
        stop: StopSignal,
        tools: Sequence[Any] = (),
        **_: Any,
    ) -> Iterator[Any]:
        asked = "\n".join(str(it) for it in messages)
        self.prompts.append(asked)
        seen = [word for word in CANARIES if word in asked]
        yield f"The Aurora cup costs {' '.join(seen)} dollars [1]."


class ApartPod(TestPod):
    """A pod with the whole way of an answer: its knowledge is that of many tenants."""

    def __init__(self, name: str, server: RedisServer, world: World) -> None:
        self.library = PodKnowledge(world, open_max=OPEN_MAX)
        self.libraries = self.library.libraries
        super().__init__(name, server, knowledge_of=self.libraries.of)
        self.model = Recording()
        self.found = FoundBefore()
        clock, tasks = ServerClock(server), ThreadTasks()
        self.answerer.answer = Answerer(  # type: ignore[method-assign]
            self._remembered("default"),
            knowledge_of=self._remembered,
            language_model=self.model,
            clock=clock,
            metrics=self.metrics,
            remembering=Remembering(
                RedisHotAnswers(self.store, ttl_s=600),
                joining=Joining(
                    RedisFrameLog(self.store, clock=clock, tasks=tasks), patience_s=_PATIENT_S
                ),
                clock=clock,
                tasks=tasks,
                metrics=self.metrics,
                programs="v1",
                look_s=_PATIENT_S,
            ),
        ).answer

    def _remembered(self, tenant: str) -> RememberedKnowledge:
        return RememberedKnowledge(
            self.libraries.of(tenant), self.found, self.metrics.retrieval_cache
        )

    def asks(self, tenant: str, session: str, question: str) -> list[Frame]:
        who = Principal(tenant, "ann", "customer")
        turn = TurnKey(SessionKey(tenant, session), "t1")
        self.engine.submit(
            TurnRequest(
                key=turn,
                principal=who,
                message=question,
                options={},
                on_busy="enqueue",
                trace_id=f"{session:0<32}"[:32],
                create_session=True,
            )
        )
        return [it for it in self.engine.follow(turn, who, after=0) if it is not None]

    def count(self, metric: str, result: str) -> float:
        found = self.metrics.registry.get_sample_value(metric, {"result": result})
        return found or 0.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root: Path = tmp_path_factory.mktemp("tenants")
    world = World(root)
    for tenant in TENANTS:
        text = f"# Cups\n\nThe Aurora cup costs {canary(tenant)} dollars and holds much.\n"
        upload(world, tenant, "cups.md", text)
    world.write({"cups.md": "# Cups\n\nThe Aurora cup costs nothing here.\n"})
    Coordinator(world).settle(rounds=5)
    assert all(world.pointer.current(tenant) for tenant in TENANTS)
    return world


def told(frames: Sequence[Frame]) -> str:
    return json.dumps([[frame.type, dict(frame.fields)] for frame in frames])


def sources_of(frames: Sequence[Frame]) -> list[Mapping[str, Any]]:
    shown = [frame for frame in frames if frame.type == "source"]
    return list(shown[-1].fields["docs"]) if shown else []


@pytest.mark.parametrize("seed", [1, 2])
def test_no_turn_shows_a_word_of_another_tenant(
    server: RedisServer, world: World, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = random.Random(seed)
    pods = [ApartPod(name, server, world) for name in ("one", "other")]
    # Often enough that some are kept, and asked again of the other pod.
    asked = [(tenant, QUESTIONS[0]) for tenant in TENANTS for _ in range(3)]
    asked += [(tenant, QUESTIONS[1]) for tenant in drawn.sample(TENANTS, 10)]
    drawn.shuffle(asked)
    for number, (tenant, question) in enumerate(asked):
        pod = drawn.choice(pods)
        frames = pod.asks(tenant, f"s{seed}n{number}", question)
        pod.until_idle()
        shown = told(frames)
        assert canary(tenant) in shown, shown
        assert not foreign(shown, tenant), (tenant, shown)
        assert sources_of(frames), shown

    prompts = [prompt for pod in pods for prompt in pod.model.prompts]
    assert prompts
    assert all(len([word for word in CANARIES if word in prompt]) == 1 for prompt in prompts)
    # What was tried are the ways on which one could have got another's.
    assert sum(pod.count("kotaemon_answer_cache_total", "hit") for pod in pods) > 0
    assert all(pod.library.open <= OPEN_MAX for pod in pods)
    for pod in pods:
        for (_, _, digest, *_), (result, _) in pod.found._results.items():
            assert result.digest == digest
    log = capsys.readouterr()
    assert not any(word in log.out + log.err for word in CANARIES)
    structlog.contextvars.clear_contextvars()


def test_no_search_source_or_entry_shows_a_word_of_another_tenant(world: World) -> None:
    drawn = random.Random(3)
    library = PodKnowledge(world, open_max=OPEN_MAX)

    class Tenants:
        def knowledge(self, tenant: str) -> Any:
            return library.libraries.of(tenant)

        def faq(self, tenant: str) -> FaqReader:
            lend = library.libraries.of(tenant).pinned
            return FaqReader(lend, compute=lambda work, *arguments: work(*arguments))

    cluster = KeyedCluster(tenants=Tenants())  # type: ignore[arg-type]
    client = cluster.client()
    keys = {it: bearer(cluster.key("editor", tenant=it, user="eve")) for it in TENANTS}
    order = TENANTS * 2
    drawn.shuffle(order)
    for tenant in order:
        paths = ["/v1/knowledge/default", "/v1/knowledge/default/documents", "/v1/faq"]
        paths += ["/v1/knowledge/default/documents/cups.md", "/v1/knowledge/default/generations"]
        for path in paths:
            reply = client.get(path, headers=keys[tenant])
            assert reply.status_code == 200, (path, reply.text)
            assert not foreign(reply.text, tenant), (path, reply.text)
        reply = client.get("/v1/search", query_string={"q": QUESTIONS[0]}, headers=keys[tenant])
        assert canary(tenant) in reply.text
        assert not foreign(reply.text, tenant)
        passage = reply.json["passages"][0]["id"]
        source = f"/v1/sources/default/1/{passage}"
        for accept in ("application/json", "text/html"):
            opened = client.get(source, headers={**keys[tenant], "Accept": accept})
            assert canary(tenant) in opened.text
            assert not foreign(opened.text, tenant)
            other = drawn.choice([it for it in TENANTS if it != tenant])
            refused = client.get(source, headers={**keys[other], "Accept": accept})
            assert refused.status_code == 404
            assert not any(word in refused.text for word in CANARIES)
