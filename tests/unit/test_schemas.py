"""The table of schema numbers is what the code writes, and a newer number is refused in words."""

import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from kotaemon_node.adapters.redis.schema import SCHEMA
from kotaemon_node.adapters.sealing.values import MAGIC, key_id_of
from kotaemon_node.backup import format as backup
from kotaemon_node.domain import events, session_copy, signed_manifest
from kotaemon_node.domain.errors import Sealed, Unavailable
from kotaemon_node.domain.knowledge import MANIFEST_SCHEMA, Manifest
from kotaemon_node.engine import record
from kotaemon_node.engine.turn_sinking import entry_of
from kotaemon_node.listeners.payload import fields_of
from kotaemon_node.local import cluster
from kotaemon_node.local.errors import LocalError
from kotaemon_node.local.folder import DataFolder
from kotaemon_node.ports.events import Message

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "schemas.md").read_text("utf-8")
NUMBERS = {
    "Redis: all keys": SCHEMA,
    "generation": MANIFEST_SCHEMA,
    "signature of a generation": 1,  # in the pattern of its first line
    "events of pods": events.EVENT_SCHEMA,
    "`turn_log`": events.TURN_LOG_SCHEMA,
    "archived session": session_copy.FORMAT,
    "backup": backup.FORMAT,
    "sealed value": MAGIC[-1],
    "audit record of a turn": record.FORMAT,
}


def test_the_page_has_the_number_of_each() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| (\d+) \|", PAGE, re.MULTILINE)
    assert {name: int(number) for name, number in rows} == NUMBERS


def event(topic: str, **fields: Any) -> Message:
    return Message(topic, "key", json.dumps(fields).encode())


def newer_manifest() -> None:
    # It may say what this program has no field for: the number is looked at first.
    Manifest.from_json(json.dumps({"schema": 2, "documents": [{"strange": 1}]}).encode())


NEWER: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "generation": (newer_manifest, ValueError, "is of schema 2; this program knows 1"),
    "signature": (
        lambda: signed_manifest.split(b"kotaemon-manifest 2 " + b"0" * 16 + b" " + b"0" * 128),
        signed_manifest.UntrustedArtifact,
        "not signed",
    ),
    "event": (
        lambda: fields_of(event(events.SESSION_UPDATED, schema=2)),
        ValueError,
        "is of schema 2; this program knows 1",
    ),
    "turn log": (
        lambda: entry_of(event(events.TURN_LOG, schema=2, event_id="e", at="now")),
        Unavailable,
        "upgrade `kotaemon turn-log`",
    ),
    "archived session": (
        lambda: session_copy.unpacked(zlib.compress(orjson.dumps({"format": 2}))),
        Unavailable,
        "format 2, not 1",
    ),
    "backup": (
        lambda: backup.Backup.from_json(json.dumps({"format": 2, "product": "9.0"}).encode()),
        Unavailable,
        "9.0",
    ),
    "sealed value": (lambda: key_id_of(b"\xf5\x02" + bytes(40)), Sealed, "newer version"),
}


@pytest.mark.parametrize("what", NEWER)
def test_a_newer_number_is_refused_in_words(what: str) -> None:
    read, error, told = NEWER[what]
    with pytest.raises(error, match=told):
        read()


@pytest.mark.parametrize(
    "kind", [events.KnowledgeUpdated, events.SessionUpdated, events.ConfigUpdated]
)
def test_events_say_their_number_and_those_of_before_are_read(kind: type) -> None:
    assert kind.__dataclass_fields__["schema"].default == events.EVENT_SCHEMA  # type: ignore[attr-defined]
    assert fields_of(event("any", tenant="default")) == {"tenant": "default"}
    assert fields_of(event("any", schema=events.EVENT_SCHEMA))


def test_a_data_folder_of_a_newer_version_is_told_apart_from_a_damaged_one(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    cluster.save(folder, cluster.Cluster("c1", str(tmp_path), 21_000, 8080, "", 3, ""))
    said = json.loads(folder.cluster_file.read_text())
    folder.cluster_file.write_text(json.dumps({**said, "mood": "good"}))

    with pytest.raises(LocalError, match="written by a newer version, which says mood"):
        cluster.load(folder)

    folder.cluster_file.write_text("[]")
    with pytest.raises(LocalError, match="damaged"):
        cluster.load(folder)
