"""Where the log of turns is kept: each once, whatever fails in between."""

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.turn_sinks import (
    ElasticsearchPlace,
    ElasticsearchSink,
    JsonLinesSink,
    elasticsearch,
)
from kotaemon_node.composition.turn_logs import Wanted, sink_of
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.session import SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.turn_log import TurnLog
from kotaemon_node.engine.turn_sinking import TurnSinking, entry_of, wait_s
from kotaemon_node.ports.cipher import NoCipher
from kotaemon_node.ports.events import Message
from kotaemon_node.ports.turn_sinks import LogEntry
from kotaemon_node.settings import Settings
from tests.fakes.elasticsearch import FakeElasticsearch

AT_S = 1_767_225_600.0


def message(number: int, **change: Any) -> Message:
    """Return what the engine puts on the bus of a turn."""
    turn = Turn(
        f"t{number}", "Where?", State.DONE, answer="长" * 9, version=number, created_at=AT_S
    )
    key = TurnKey(SessionKey("default", f"s{number % 3}"), turn.turn_id)
    told = TurnLog(texts=True, cipher=NoCipher()).message(key, epoch="e1", turn=turn)
    return Message(told.topic, told.key, json.dumps({**json.loads(told.value), **change}).encode())


def entries(*numbers: int, **change: Any) -> list[LogEntry]:
    found = [entry_of(message(number, **change)) for number in numbers]
    return [one for one in found if one is not None]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def a_file(path: Path, *, file_bytes_max: int = 1 << 20, files_max: int = 3) -> JsonLinesSink:
    return JsonLinesSink(path, file_bytes_max=file_bytes_max, files_max=files_max)


@pytest.fixture
def server() -> Iterator[FakeElasticsearch]:
    server = FakeElasticsearch()
    yield server
    server.close()


def indexing(server: FakeElasticsearch, folder: Path, **place: Any) -> ElasticsearchSink:
    refused = a_file(folder / "refused.jsonl")
    return ElasticsearchSink(ElasticsearchPlace(server.url, **place), refused=refused)


def test_a_file_has_each_turn_once_also_behind_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "log" / "turns.jsonl"
    sink = a_file(path)
    assert sink.keep(entries(1, 2)) == 2
    assert sink.keep(entries(2, 3)) == 1
    sink.close()
    sink = a_file(path)
    assert sink.keep(entries(1, 3, 4)) == 1
    assert [line["turn_id"] for line in lines(path)] == ["t1", "t2", "t3", "t4"]
    assert lines(path)[0]["event_id"] == "default:s1:e1:t1"
    with pytest.raises(BlockingIOError):
        a_file(path)  # two writers would tear each other's lines
    sink.close()


def test_what_a_crash_left_of_a_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    sink = a_file(path)
    sink.keep(entries(1))
    sink.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2].replace(b"t1", b"t2"))
    sink = a_file(path)
    assert sink.keep(entries(1, 2)) == 1
    assert [line["turn_id"] for line in lines(path)] == ["t1", "t2"]


def test_a_full_disk_leaves_nothing_half_and_the_batch_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "turns.jsonl"
    sink = a_file(path)
    sink.keep(entries(1))

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            sink.keep(entries(2, 3))
    assert sink.keep(entries(2, 3)) == 2
    assert [line["turn_id"] for line in lines(path)] == ["t1", "t2", "t3"]


def test_files_are_rotated_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "turns.jsonl"
    sink = a_file(path, file_bytes_max=1_500, files_max=3)
    for number in range(12):
        sink.keep(entries(number))
    names = sorted(one.name for one in tmp_path.iterdir() if one.suffix != ".lock")
    assert names == ["turns.jsonl", "turns.jsonl.1", "turns.jsonl.2"]
    kept = [line["turn_id"] for name in reversed(names) for line in lines(tmp_path / name)]
    assert kept == [f"t{number}" for number in range(12 - len(kept), 12)]
    assert all(one.stat().st_size <= 1_500 for one in tmp_path.iterdir())
    sink.close()
    assert a_file(path).keep(entries(10, 11)) == 0  # also where they are in the file before


@pytest.mark.parametrize("failing", ["open", "first move", "last move"])
def test_a_rotation_that_fails_again_and_again_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "turns.jsonl"
    sink = a_file(path, file_bytes_max=600, files_max=6)  # each has one entry
    for number in range(4):
        sink.keep(entries(number))
    moves, real_open, real_replace = [0], Path.open, Path.replace

    def full_open(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "a" in mode and failing == "open":
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_open(self, mode, *args, **kwargs)

    def full_replace(self: Path, target: Path) -> Path:
        moves[0] += 1
        # 4 moves of old files, then the new one.
        if (failing, moves[0]) == ("first move", 2) or (failing == "last move" and moves[0] > 4):
            raise OSError(errno.EIO, "Input/output error")
        return real_replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full_open)
        patched.setattr(Path, "replace", full_replace)
        for _ in range(1 if failing == "first move" else 6):
            with pytest.raises(Unavailable):
                sink.keep(entries(4))
    assert sink.keep(entries(4)) == 1
    names = sorted((one for one in tmp_path.iterdir() if one.suffix != ".lock"), reverse=True)
    assert [line["turn_id"] for name in names for line in lines(name)] == [
        f"t{number}" for number in range(5)
    ]
    assert [one.name for one in names[::-1]] == [
        "turns.jsonl", *(f"turns.jsonl.{number}" for number in range(1, 5))
    ]  # fmt: skip


def test_what_was_written_half_before_a_rotation_stands_once_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "turns.jsonl"
    sink = a_file(path, file_bytes_max=900)
    sink.keep(entries(1))

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Unavailable):
            sink.keep(entries(2))
    assert sink.keep(entries(2, 3)) == 2  # which do not fit behind the first
    older = path.with_name("turns.jsonl.1")
    assert [[line["turn_id"] for line in lines(one)] for one in (older, path)] == [
        ["t1"],
        ["t2", "t3"],
    ]


def test_documents_are_created_under_their_ids_in_the_index_of_their_month(
    server: FakeElasticsearch, tmp_path: Path
) -> None:
    sink = indexing(server, tmp_path)
    assert sink.keep(entries(1, 2)) == 2
    assert sink.keep(entries(2, 3)) == 1  # the one that is there answers 409, and is left alone
    assert {index for index, _ in server.documents} == {"kotaemon-turns-2026.01"}
    document = server.documents["kotaemon-turns-2026.01", "default:s1:e1:t1"]
    assert document["@timestamp"] == document["at"] == "2026-01-01T00:00:00.000+00:00"
    assert document["answer"] == "长" * 9


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 502, 503])
def test_a_server_that_does_not_take_it_now_gets_all_of_it_later(
    server: FakeElasticsearch, tmp_path: Path, status: int
) -> None:
    sink = indexing(server, tmp_path)
    server.statuses = [status]
    with pytest.raises(Unavailable, match=str(status)):
        sink.keep(entries(1))
    assert sink.keep(entries(1)) == 1


def test_documents_for_which_it_is_too_busy_come_again(
    server: FakeElasticsearch, tmp_path: Path
) -> None:
    sink = indexing(server, tmp_path)
    server.busy = [1]
    with pytest.raises(Unavailable, match="429"):
        sink.keep(entries(1, 2, 3))
    assert len(server.documents) == 2
    sink.keep(entries(1, 2, 3))
    assert len(server.documents) == 3


def test_what_it_never_takes_is_put_aside_once_with_the_reason(
    server: FakeElasticsearch, tmp_path: Path
) -> None:
    sink = indexing(server, tmp_path)
    wrong = [*entries(1), *entries(2, version="two"), *entries(3)]
    assert [sink.keep(wrong) for _ in range(2)] == [2, 0]
    [aside] = lines(tmp_path / "refused.jsonl")
    assert aside["event_id"] == "default:s2:e1:t2"
    assert "failed to parse field [version]" in aside["reason"]
    assert aside["entry"]["version"] == "two"


def test_large_batches_go_in_parts_and_what_is_too_large_alone_is_put_aside(
    server: FakeElasticsearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elasticsearch, "TURN_SINK_BODY_BYTES_MAX", 2_000)
    sink = indexing(server, tmp_path)
    assert sink.keep(entries(*range(10))) == 10
    assert server.requests > 2
    server.body_bytes_max = 900
    huge = [*entries(11), *entries(12, answer="x" * 1_000), *entries(13)]
    assert sink.keep(huge) == 2
    [aside] = lines(tmp_path / "refused.jsonl")
    assert aside["entry"]["turn_id"] == "t12"


def test_credentials_are_those_of_the_settings_and_stand_in_no_address(tmp_path: Path) -> None:
    by_key, by_name = FakeElasticsearch(api_key="k3y"), FakeElasticsearch(user="u", password="p")
    wanted = {"refused": tmp_path / "refused.jsonl"}
    for server, settings in (
        (by_key, Settings(elasticsearch_api_key="k3y")),
        (by_name, Settings(elasticsearch_username="u", elasticsearch_password="p")),
    ):
        sink = sink_of(settings, Wanted(f"elasticsearch:{server.url}", **wanted))
        assert sink.keep(entries(1)) == 1
        sink.close()
        server.close()
    for wrong in ("elasticsearch:http://u:p@host:1", "elasticsearch:host", "file:", "s3:x"):
        with pytest.raises(ValueError, match=r"password|goes to"):
            sink_of(Settings(), Wanted(wrong, **wanted))


def test_long_ids_become_digests() -> None:
    assert elasticsearch.id_of("a" * 512) == "a" * 512
    assert len(elasticsearch.id_of("a" * 513)) == 64


def test_what_is_no_entry_is_stepped_over_and_told(tmp_path: Path) -> None:
    sinking = TurnSinking(a_file(tmp_path / "turns.jsonl"))
    poison = [Message("turn_log", "k", raw) for raw in (b"", b"[]", b"{}", b'{"event_id": 7}')]
    sinking.take([*poison, message(1), message(1)])
    assert sinking.told() == {"came": 6, "kept": 1, "unreadable": 4, "problem": ""}
    assert wait_s(1) < wait_s(4) <= wait_s(50) == 10.0
