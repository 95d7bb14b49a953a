"""How turns, frames and sessions are written in Redis, and read back."""

import json
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from kotaemon_node.adapters.redis.session_seals import HANDOFF, SessionSeals
from kotaemon_node.adapters.redis.stored_text import texts_of_flat
from kotaemon_node.domain.channels import CHANNEL
from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.domain.frames import Frame, FrameBody
from kotaemon_node.domain.handoff import Handoff
from kotaemon_node.domain.session import SessionView, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.ports.sessions import Activity, ClaimRequest, Lease, Work

_STEP = "j:"
_QUEUED = b'{"phase":"queued","latency":0.0}'  # written by ``claim.lua``, and by no user
_COMPRESSED_FROM_BYTES = 4_096  # shorter ones would gain little and cost as much
_KEPT_TURNS_MAX = 4_096  # rows that are remembered as read, none of them compressed: 30 MB
_COMPRESSION_LEVEL = 1  # 136 kB of English: 0.7 ms, 2.2 times smaller; level 6: 2.6 ms, 2.6 times

_ALWAYS = ("turn_id", "message", "state", "answer", "trace_id", "created_at")
# Fields of a finished turn that are left out of its JSON while they have their default. Its version
# is its place in the history.
_OPTIONAL = tuple(name for name in Turn.__slots__ if name not in {*_ALWAYS, "version"})


def turn_json(turn: Turn, *, last_seq: int) -> bytes:
    """Return a finished turn as it stands in the history, before it is sealed.

    JSON, a long one compressed by zlib: its text is in the frames as well, and a history is kept
    for days.
    """
    row: dict[str, Any] = {name: getattr(turn, name) for name in _ALWAYS}
    row |= {"state": turn.state.value, "last_seq": last_seq}
    row |= {name: getattr(turn, name) for name in _OPTIONAL if getattr(turn, name)}
    raw = orjson.dumps(row)
    return raw if len(raw) < _COMPRESSED_FROM_BYTES else zlib.compress(raw, _COMPRESSION_LEVEL)


def turn_of(stored: bytes, seals: SessionSeals, *, version: int) -> tuple[Turn, int]:
    """Read a row of the history; returns the turn and the number of its terminal frame."""
    raw = seals.row(stored, version=version)
    if raw is stored and raw.startswith(b"{"):  # what is compressed may be of any size
        return _kept_turn(raw, version)
    return _read_turn(raw, version)


@lru_cache(maxsize=_KEPT_TURNS_MAX)
def _kept_turn(raw: bytes, version: int) -> tuple[Turn, int]:
    """As ``_read_turn``, remembered: each claim reads the same last turns of its session again.

    Never of what was sealed, whose text is to be in memory for no longer than its key.
    """
    return _read_turn(raw, version)


def _read_turn(raw: bytes, version: int) -> tuple[Turn, int]:
    row = orjson.loads(raw if raw.startswith(b"{") else zlib.decompress(raw))
    last_seq = row.pop("last_seq")
    sources = tuple(row.pop("sources", ()))
    # What a newer program keeps of a turn besides is not for this one.
    known = {name: value for name, value in row.items() if name in Turn.__slots__}
    turn = Turn(**{**known, "state": State(row["state"])}, sources=sources, version=version)
    return turn, last_seq


def open_turn(turn_id: str, row: Mapping[str, str], seals: SessionSeals) -> Turn:
    """Return a turn that is not finished, from its hash."""
    options = orjson.loads(seals.text(row, "options", turn=turn_id) or "{}")
    said, follow_up = options.get("said") or {}, options.get("follow_up") or {}
    return Turn(
        turn_id=turn_id,
        message=seals.text(row, "message", turn=turn_id),
        state=State(row["state"]),
        owner=row["owner"] or None,
        attempts=int(row["attempts"]),
        trace_id=row["trace_id"],
        created_at=int(row["created_ms"]) / 1000,
        author=said.get("author", ""),
        name=said.get("name", ""),
        event=said.get("event", ""),
        origin="follow_up" if follow_up else "",
        ref=follow_up.get("ref") or (options.get(CHANNEL) or {}).get("message_id", ""),
    )


def session_of(
    seals: SessionSeals, meta: Mapping[str, str], rows: Sequence[bytes], *, first_version: int
) -> SessionView:
    """Return a session from its meta hash and turns, the first of which made ``first_version``."""
    turns = tuple(
        turn_of(row, seals, version=version)[0] for version, row in enumerate(rows, first_version)
    )
    summary_to = int(meta.get("summary_to") or 0)
    if summary_to <= int(meta.get("context_from") or 0):
        summary_to = 0  # a context before this one, which an older pod closed and did not clear
    return SessionView(
        session_id=seals.key.session_id,
        epoch=meta["epoch"],
        version=int(meta["version"]),
        hash=meta["hash"],
        created_at=int(meta["created_ms"]) / 1000,
        active_at=int(meta["active_ms"]) / 1000,
        turns=turns,
        context=_json(seals.text(meta, "context")),
        summary=seals.text(meta, "summary") if summary_to else "",
        summary_to=summary_to,
        user_id=meta.get("user_id") or None,
        channel=meta.get("channel") or None,
        generations=_json(meta.get("generations")),
        running_turn=meta.get("running") or None,
        state=_state(seals.text(meta, "state")),
        handoff=Handoff.from_json(_json(seals.text(meta, HANDOFF))),
    )


def activity_of(
    reply: Sequence[Any], seals: SessionSeals, *, after_version: int
) -> tuple[Mapping[str, str], Activity]:
    """Read what ``lua/look.lua`` returns; the head is empty where there is no session."""
    epoch, subject, version = (text.decode() for text in reply[0][:3])
    handoff = seals.opened(reply[0][3], HANDOFF)
    past = enumerate(reply[2], start=after_version + 1)
    activity = Activity(
        epoch=epoch,
        version=int(version),
        open=tuple(turn_id.decode() for turn_id in reply[1]),
        past=tuple(turn_of(row, seals, version=place)[0] for place, row in past),
        handoff=Handoff.from_json(_json(handoff)),
    )
    return ({"epoch": epoch, "principal": subject} if epoch else {}), activity


def frame_of(
    entry_id: bytes,
    fields: Mapping[bytes, bytes],
    seals: SessionSeals,
    *,
    turn_id: str,
    trace_id: str,
) -> Frame:
    """Return a stored frame with what is not stored put back."""
    ((raw_name, stored),) = fields.items()
    name, seq = raw_name.decode(), int(entry_id.split(b"-")[0])
    of_script = (seq, name, stored) == (1, "status", _QUEUED)
    value = stored if of_script else seals.frame(name, stored, turn=turn_id, seq=seq)
    if not name.islower():
        text = {"content": value.decode(), "offset": int(name, 36)}
        return Frame("text", text, turn_id, trace_id, seq)
    kind: Any = name
    return Frame(kind, orjson.loads(value), turn_id, trace_id, seq)


def frame_row(body: FrameBody, seals: SessionSeals, *, turn_id: str, seq: int) -> tuple[str, bytes]:
    """Return the field and the value that a stream entry keeps of a frame.

    A text is kept as ``OFFSET → content``, the offset in capital base 36 (types are in small
    letters), without any mark around it: most frames are texts, and each of them is written twice,
    to memory and to the append-only file.
    """
    name: str = body.type
    if name == "text" and body.fields.keys() == {"content", "offset"}:
        name, value = _base36(int(body.fields["offset"])), body.fields["content"].encode()
    else:
        value = orjson.dumps(dict(body.fields))
    return name, seals.sealed_frame(name, value, turn=turn_id, seq=seq)


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[rest] + digits
    return digits or "0"


def lease_of(key: TurnKey, reply: Sequence[Any]) -> Lease:
    """Return the lease in what ``work`` in ``lua/_work.lua`` returns; nothing is opened for it."""
    head, row = texts_of_flat(reply[0]), texts_of_flat(reply[2])
    return Lease(
        key=key,
        epoch=head["epoch"],
        fence=int(row["fence"]),
        owner=row["owner"],
        trace_id=row["trace_id"],
        accepted_in=row.get("epoch", ""),
    )


def work_of(key: TurnKey, reply: Sequence[Any], seals: SessionSeals, *, unmoved: bool) -> Work:
    """Read what ``work`` in ``lua/_work.lua`` returns."""
    meta, past, turn, frames, now_ms = reply
    head, row = texts_of_flat(meta), texts_of_flat(turn)
    lease = lease_of(key, reply)
    stored = tuple(
        frame_of(
            entry_id,
            dict(zip(flat[::2], flat[1::2], strict=True)),
            seals,
            turn_id=key.turn_id,
            trace_id=lease.trace_id,
        )
        for entry_id, flat in frames
    )
    return Work(
        lease=lease,
        message=seals.text(row, "message", turn=key.turn_id),
        options=orjson.loads(seals.text(row, "options", turn=key.turn_id)),
        session=session_of(seals, head, past, first_version=int(head["version"]) - len(past) + 1),
        attempts=int(row["attempts"]),
        stored=stored,
        created_at=int(row["created_ms"]) / 1000,
        losses=int(row["losses"]),
        journal=_journal(row, seals, key.turn_id),
        ending=row.get("ending", ""),
        age_s=max(0.0, (now_ms - int(row["started_ms"])) / 1000),
        owners=tuple(filter(None, row.get("owners", "").split("\n"))),
        unmoved=unmoved,
    )


def made_by(request: ClaimRequest, open_user: str = "") -> tuple[str, str, str]:
    """Return of the session that a claim makes principal, user id, and whether no list shows it.

    A customer is its own user; for whom an agent talks is said when the session is created. Where
    nobody says who they are, everybody is ``open_user``.
    """
    caller = request.principal
    users = {"customer": caller.subject, "open": open_user}
    return caller.subject, users.get(caller.role, ""), "" if request.listed else "1"


def state_json(state: DialogueState | None) -> str:
    """Return the state of a session as its head keeps it; "" for one that a turn left alone."""
    return json.dumps(state.to_json(), ensure_ascii=False) if state is not None else ""


def sealed_handoff(
    told: Mapping[str, Any] | None, frame: Mapping[str, Any], seals: SessionSeals
) -> tuple[bytes, bytes]:
    """Return what a script is given of a handoff: as the session keeps it, and its frame."""
    kept = seals.sealed(orjson.dumps(dict(told)), HANDOFF) if told else b""
    shown = seals.sealed_frame(HANDOFF, orjson.dumps(dict(frame)), turn="", seq=0)
    return kept, shown


def sealed_step(step: str, value: Any, seals: SessionSeals, turn_id: str) -> bytes:
    """Return what a turn decided, as its hash keeps it."""
    return seals.sealed(orjson.dumps(value), f"journal {step}", turn=turn_id)


def _journal(row: Mapping[str, str], seals: SessionSeals, turn_id: str) -> Mapping[str, Any]:
    steps = [name for name in row if name.startswith(_STEP)]
    return {
        (step := name.removeprefix(_STEP)): orjson.loads(
            seals.text(row, name, field=f"journal {step}", turn=turn_id)
        )
        for name in steps
    }


def _state(said: str) -> DialogueState:
    """Read ``state_json`` back; older programs wrote none, and newer ones may write another."""
    try:
        return DialogueState.from_json(json.loads(said or "{}"))
    except ValueError:
        return DialogueState()


def _json(said: str | bytes | None) -> Mapping[str, Any]:
    return orjson.loads(said) if said else {}
