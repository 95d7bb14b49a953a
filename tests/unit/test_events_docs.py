"""The reference of the bus is what the code sends."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from kotaemon_node.adapters.kafka import topics as made
from kotaemon_node.adapters.kafka.rights import RIGHTS
from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.rights import FAMILIES
from kotaemon_node.domain.events import (
    BUILD_DONE,
    BUILD_TASK,
    CONFIG_UPDATED,
    KNOWLEDGE_UPDATED,
    SESSION_UPDATED,
    TOPICS,
    TURN_LOG,
    TURN_LOG_SCHEMA,
    BuildDone,
    BuildTask,
    ConfigUpdated,
    KnowledgeUpdated,
    SessionUpdated,
    TurnLogged,
)
from kotaemon_node.domain.session import SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.turn_log import TurnLog
from kotaemon_node.ports.cipher import NoCipher

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "events.md").read_text("utf-8")
EVENTS = {
    KNOWLEDGE_UPDATED: KnowledgeUpdated,
    SESSION_UPDATED: SessionUpdated,
    CONFIG_UPDATED: ConfigUpdated,
    TURN_LOG: TurnLogged,
    BUILD_TASK: BuildTask,
    BUILD_DONE: BuildDone,
}


def rows(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^\| `(\w+)` \| (.+?) \|", text, re.MULTILINE)


def test_every_topic_is_listed() -> None:
    overview = PAGE.split("\n## ")[0]
    assert [name for name, _ in rows(overview)] == list(EVENTS)


def test_what_every_pod_reads_is_made_and_may_be_read() -> None:
    told = re.findall(r"^\| `(\w+)` \| [^|]+ \| \d+ \| every pod \|", PAGE, re.MULTILINE)

    assert told == list(TOPICS)
    assert {*told} <= made.TOPICS.keys()
    assert {*RIGHTS["worker"].reads} == {*told}
    families = {pattern: family for family in FAMILIES for pattern in family.patterns}
    assert all(families[keys.bus(topic)].worker for topic in told)


@pytest.mark.parametrize("topic", EVENTS)
def test_every_field_is_listed_in_order(topic: str) -> None:
    section = next(part for part in PAGE.split("\n## ") if part.startswith(f"{topic}\n"))
    assert [name for name, _ in rows(section)] == [field.name for field in fields(EVENTS[topic])]


def test_the_schema_of_the_turn_log_is_the_one_that_is_sent() -> None:
    assert f"| `turn_log` | session id | {TURN_LOG_SCHEMA} |" in PAGE
    assert f"| `schema` | {TURN_LOG_SCHEMA}. |" in PAGE


@pytest.mark.parametrize("texts", [False, True])
def test_texts_are_told_only_where_they_are_wanted(*, texts: bool) -> None:
    key = TurnKey(SessionKey("default", "s1"), "t1")
    turn = Turn("t1", "a question", State.DONE, answer="an answer", version=3, owner="worker-0.a")
    message = TurnLog(texts=texts, cipher=NoCipher()).message(key, epoch="e", turn=turn)
    told = json.loads(message.value)
    names = {field.name for field in fields(TurnLogged)}
    assert set(told) == (names if texts else names - {"message", "answer"})
    assert (b"a question" in message.value) is texts
    assert (message.topic, message.key, told["event_id"]) == (TURN_LOG, "s1", "default:s1:e:t1")
