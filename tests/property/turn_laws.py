"""What the store holds of a session, and the laws that hold after every step of the protocol."""

import hashlib
from collections.abc import Sequence
from typing import Any

import orjson

from kotaemon_node.adapters.redis import RedisStore, keys
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.records import frame_of
from kotaemon_node.adapters.redis.session_seals import SessionSeals
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.cipher import NoCipher
from tests.property.turn_model import QUEUED, THE_END, TurnModel

PLAIN = SessionSeals(NoCipher(), SessionKey("default", "any"))
"""The laws look at what is stored, so nothing is sealed."""


class SessionLaws:
    """Compares all that the store holds of one session with the model."""

    def __init__(self, store: RedisStore, session: SessionKey) -> None:
        self.client = store.client
        self.session = session
        self.names = SessionKeys.of(session)
        self.model = TurnModel()
        self.index: set[str] = set()
        """Turns that must be in the index of running turns."""
        self.announced: set[str] = set()
        """Committed turns whose events are out."""
        self.decided: dict[tuple[str, str], str] = {}
        """What each step of each turn was first decided to be."""

    def check(self, dump: dict[str, Any]) -> None:
        model, meta, turns = self.model, dump["meta"], dump["turns"]
        # What was accepted is in the history once, or open; nothing else is.
        assert [(row["turn_id"], row["answer"]) for row in turns] == model.history
        assert len({row["turn_id"] for row in turns}) == len(turns)
        assert dump["open"].keys() == {turn.turn_id for turn in model.open()}
        assert dump["seen"].keys() == model.turns.keys() | model.gone
        assert {t for t, value in dump["seen"].items() if value == "gone"} == model.gone
        # In the order in which they were accepted, but for those ended while they waited.
        places = [model.turns[row["turn_id"]] for row in turns]
        in_turn = [turn.place for turn in places if not turn.out_of_turn]
        assert in_turn == sorted(in_turn)
        assert dump["queue"] == model.queue
        if not model.epoch:
            assert meta == {}
        else:
            self._check_head(meta, dump["raw_turns"])
        for turn_id, turn in model.turns.items():
            self._check_frames(turn.frames, dump["frames"][turn_id])
        for turn_id in model.gone:
            assert dump["frames"][turn_id] == []
        for turn in model.open():
            self._check_open(turn.turn_id, dump["open"][turn.turn_id])
        # A sweep finds whatever is not finished or not announced.
        unsettled = {turn.turn_id for turn in model.turns.values()} - self.announced
        assert unsettled <= dump["index"] == self.index

    def _check_head(self, meta: dict[str, str], raw_turns: Sequence[bytes]) -> None:
        model, chain = self.model, ""
        for raw in raw_turns:
            chain = hashlib.sha1(chain.encode() + raw, usedforsecurity=False).hexdigest()
        assert meta["hash"] == chain
        assert int(meta["version"]) == len(raw_turns)
        assert (meta["epoch"], int(meta["fence"])) == (model.epoch, model.fence)
        assert meta["running"] == model.running
        if model.running:
            assert model.turns[model.running].state == "running"

    def _check_frames(self, contents: Sequence[str], stored: Sequence[tuple[str, str]]) -> None:
        # Numbers 1..n, and nothing that was not written under the lease of its time.
        assert [entry_id for entry_id, _ in stored] == [
            f"{number}-0" for number in range(1, len(stored) + 1)
        ]
        assert [content for _, content in stored] == list(contents)

    def _check_open(self, turn_id: str, row: dict[str, str]) -> None:
        turn = self.model.turns[turn_id]
        assert (row["state"], row["owner"]) == (turn.state, turn.owner)
        assert (int(row["attempts"]), int(row["losses"])) == (turn.attempts, turn.losses)
        assert row.get("ending", "") == turn.ending
        if turn.state == "running":
            assert int(row["fence"]) == turn.fence
            # Beside the running turn only those run that are being ended.
            assert turn_id == self.model.running or turn.ending
        journal = {name[2:]: value for name, value in row.items() if name.startswith("j:")}
        assert {step: orjson.loads(value) for step, value in journal.items()} == turn.journal
        for step, value in journal.items():
            assert self.decided.setdefault((turn_id, step), value) == value

    def keys_of_session(self) -> list[str]:
        turn_ids = [*self.model.turns, *self.model.gone]
        streams = [self.names.frames(turn_id) for turn_id in turn_ids]
        return [*self.names.head(), *streams, *map(self.names.turn, turn_ids)]

    def dump(self) -> dict[str, Any]:
        """Return all that the store holds of the session."""
        turn_ids = sorted(self.model.turns.keys() | self.model.gone)
        pipe = self.client.pipeline(transaction=False)
        pipe.hgetall(self.names.meta)
        pipe.lrange(self.names.turns, 0, -1)
        pipe.lrange(self.names.queue, 0, -1)
        pipe.hgetall(self.names.seen)
        pipe.zrange(keys.running(TurnKey(self.session, "any"))[0], 0, -1)
        for turn_id in turn_ids:
            pipe.hgetall(self.names.turn(turn_id))
            pipe.xrange(self.names.frames(turn_id))
        meta, turns, queue, seen, entries, *rows = pipe.execute()
        members = [keys.running_member(entry.decode()) for entry in entries]
        return {
            "meta": _texts(meta),
            "raw_turns": turns,
            "turns": [orjson.loads(row) for row in turns],
            "queue": [turn_id.decode() for turn_id in queue],
            "seen": _texts(seen),
            "index": {key.turn_id for key in members if key.session == self.session},
            "open": {
                turn_id: _texts(row)
                for turn_id, row in zip(turn_ids, rows[::2], strict=True)
                if row
            },
            "frames": {
                turn_id: [_entry(*entry) for entry in stream]
                for turn_id, stream in zip(turn_ids, rows[1::2], strict=True)
            },
        }


def _texts(row: dict[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in row.items()}


def _entry(entry_id: bytes, fields: dict[bytes, bytes]) -> tuple[str, str]:
    frame = frame_of(entry_id, fields, PLAIN, turn_id="", trace_id="")
    return entry_id.decode(), content_of(frame.type, frame.fields)


def content_of(kind: str, fields: Any) -> str:
    """Return what the model calls the content of a frame."""
    if kind == "text":
        return str(fields["content"])
    return QUEUED if kind == "status" else THE_END
