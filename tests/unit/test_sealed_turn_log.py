"""The log of turns with sealed texts: on the bus, in its sinks, and opened for who may."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.turn_sinks import ElasticsearchPlace, ElasticsearchSink, JsonLinesSink
from kotaemon_node.cli.turn_log_texts import opened_lines
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.session import SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.turn_log import TurnLog
from kotaemon_node.engine.turn_sinking import TurnSinking
from kotaemon_node.ports.cipher import FieldCipher, NoCipher
from kotaemon_node.ports.events import Message
from tests.fakes.elasticsearch import FakeElasticsearch
from tests.sealing_parts import OTHER_MASTER, ClusterOfKeys, cluster_of_keys

ASKED, ANSWERED = "CANARY-question-7c1 长城", "CANARY-answer-9d2"
KEY = TurnKey(SessionKey("t", "s1"), "t1")


def told(cipher: FieldCipher, key: TurnKey = KEY) -> Message:
    """Return what the engine puts on the bus of a turn."""
    turn = Turn(key.turn_id, ASKED, State.DONE, answer=ANSWERED, version=1, created_at=1.7e9)
    return TurnLog(texts=True, cipher=cipher).message(key, epoch="e1", turn=turn)


def kept(tmp_path: Path, message: Message, cipher: FieldCipher | None = None) -> str:
    """Return what a file has of a message."""
    path = tmp_path / "turns.jsonl"
    sink = JsonLinesSink(path, file_bytes_max=1 << 20, files_max=3)
    TurnSinking(sink, cipher=cipher).take([message])
    sink.close()
    return path.read_text("utf-8")


@pytest.fixture
def cluster() -> ClusterOfKeys:
    return cluster_of_keys()


def test_the_bus_and_a_file_hold_no_text(cluster: ClusterOfKeys, tmp_path: Path) -> None:
    message = told(cluster.cipher())
    written = kept(tmp_path, message)

    assert b"CANARY" not in message.value
    assert "CANARY" not in written
    # What figures are made of stays readable.
    fields = json.loads(written)
    assert (fields["state"], fields["session_id"], fields["version"]) == ("done", "s1", 1)
    [line] = opened_lines([written], cluster.cipher())
    assert (json.loads(line)["message"], json.loads(line)["answer"]) == (ASKED, ANSWERED)


def test_elasticsearch_gets_no_text_and_neither_does_what_it_refuses(
    cluster: ClusterOfKeys, tmp_path: Path
) -> None:
    server = FakeElasticsearch()
    refused = JsonLinesSink(tmp_path / "refused.jsonl", file_bytes_max=1 << 20, files_max=3)
    TurnSinking(ElasticsearchSink(ElasticsearchPlace(server.url), refused=refused)).take(
        [told(cluster.cipher())]
    )
    server.close()

    [document] = server.documents.values()
    assert document["message"].startswith("sealed:")
    assert "CANARY" not in json.dumps(document, ensure_ascii=False)


def test_a_sink_that_is_to_opens_the_texts(cluster: ClusterOfKeys, tmp_path: Path) -> None:
    fields = json.loads(kept(tmp_path, told(cluster.cipher()), cluster.cipher()))

    assert (fields["message"], fields["answer"]) == (ASKED, ANSWERED)


def test_texts_of_before_the_master_key_are_kept_as_they_are(
    cluster: ClusterOfKeys, tmp_path: Path
) -> None:
    fields = json.loads(kept(tmp_path, told(NoCipher()), cluster.cipher()))

    assert (fields["message"], fields["answer"]) == (ASKED, ANSWERED)


def test_texts_whose_key_was_destroyed_stay_sealed_and_hold_nothing_up(
    cluster: ClusterOfKeys, tmp_path: Path
) -> None:
    message = told(cluster.cipher())
    cluster.keys.destroy("t", list(cluster.keys.read("t").rows))

    written = kept(tmp_path, message, cluster.cipher())

    assert json.loads(written)["message"].startswith("sealed:")
    assert "CANARY" not in "".join(opened_lines([written], cluster.cipher()))


@pytest.mark.parametrize("what", ["the store is away", "the master key is not known"])
def test_a_sink_waits_for_the_keys(cluster: ClusterOfKeys, tmp_path: Path, what: str) -> None:
    message = told(cluster.cipher())
    opens = cluster.cipher(OTHER_MASTER) if "master" in what else cluster.cipher()
    cluster.keys.away = "away" in what

    with pytest.raises(Unavailable):
        kept(tmp_path, message, opens)
    assert not (tmp_path / "turns.jsonl").read_text()

    cluster.keys.away = False
    assert ASKED in kept(tmp_path, message, cluster.cipher())


def test_a_text_opens_in_the_entry_of_its_own_turn_alone(cluster: ClusterOfKeys) -> None:
    cipher = cluster.cipher()
    mine = json.loads(told(cipher).value)
    theirs: dict[str, Any] = json.loads(told(cipher, replace(KEY, turn_id="t2")).value)
    moved = {**theirs, "message": mine["message"], "answer": mine["message"]}

    [line] = opened_lines([json.dumps(moved)], cipher)

    assert "CANARY" not in line


def test_what_is_no_entry_is_printed_as_it_is(cluster: ClusterOfKeys) -> None:
    lines = ["", "{", "[]", "7", '{"message": "sealed:"}', '{"message": null}']

    assert list(opened_lines([f"{line}\n" for line in lines], cluster.cipher())) == lines


def test_an_entry_that_does_not_say_of_which_turn_it_is_is_stepped_over(
    cluster: ClusterOfKeys, tmp_path: Path
) -> None:
    good = told(cluster.cipher())
    fields = json.loads(good.value)
    bad = [
        {name: value for name, value in fields.items() if name != left_out}
        for left_out in ("tenant", "session_id", "turn_id")
    ]
    bad += [{**fields, "turn_id": 7}, {**fields, "session_id": "\ud800"}]
    messages = [
        replace(good, value=json.dumps({**it, "event_id": f"bad{at}"}).encode())
        for at, it in enumerate(bad)
    ]
    path = tmp_path / "turns.jsonl"
    sink = JsonLinesSink(path, file_bytes_max=1 << 20, files_max=3)
    sinking = TurnSinking(sink, cipher=cluster.cipher())

    sinking.take([*messages, good])

    sink.close()
    [line] = path.read_text("utf-8").splitlines()
    assert json.loads(line)["message"] == ASKED
    assert (sinking.told()["unreadable"], sinking.told()["came"]) == (len(bad), 6)
