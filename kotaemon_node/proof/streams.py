"""Rules on what is shown: the frames of each client, and those of all of them together.

A rule keeps silent where another one has found the cause already: text is judged only where the
numbers are right.
"""

from collections.abc import Iterator
from dataclasses import replace

from kotaemon_node.proof.facts import Kept, Seen
from kotaemon_node.proof.log import Following, SessionLog
from kotaemon_node.proof.violation import Violation


def sequence_is_whole(log: SessionLog) -> Iterator[Violation]:
    """Every client sees 1, 2, 3 …, whatever happened to its connections."""
    for following in log.followings.values():
        found = _first_gap(following)
        if found is not None:
            last, frame = found
            yield _violation(
                "sequence_is_whole", following, f"number {last + 1}", f"{frame.type} {frame.seq}"
            )


def _first_gap(following: Following) -> tuple[int, Seen] | None:
    last = 0
    for frame in following.frames:
        if frame.seq is None:
            last = frame.last
        elif frame.seq != last + 1:
            return last, frame
        else:
            last = frame.seq
    return None


def terminal_is_one(log: SessionLog) -> Iterator[Violation]:
    """A turn that is followed to its end ends once, and nothing comes behind.

    Told that it is gone, a client has no end to wait for; but then it must be gone: its session
    has another epoch since, or it was sent again.
    """
    kept = log.kept()
    for following in log.followings.values():
        kinds = [frame.type for frame in following.frames]
        ends = [place for place, frame in enumerate(following.frames) if frame.terminal]
        how = following.ended.how if following.ended else "left"
        wrongly_gone = how == "gone" and following.turn in kept and not _was_lost(following, log)
        if len(ends) > 1 or (ends and ends[0] != len(kinds) - 1):
            seen = ", ".join(kinds[ends[0] :])
            yield _violation("terminal_is_one", following, "one end and nothing behind", seen)
        elif not ends and (how in {"terminal", "gave_up"} or wrongly_gone):
            seen = f"{len(kinds)} frames, then {how}"
            yield _violation("terminal_is_one", following, "an end", seen)


def _was_lost(following: Following, log: SessionLog) -> bool:
    """Tell whether a client that was told ``gone`` may have been told the truth.

    Who was told before it saw anything was told of the session, not of this turn.
    """
    if log.renewed() or not following.frames:
        return log.final is not None
    return log.sent_last_s.get(following.turn, float("-inf")) > following.frames[0].at_s


def readers_agree(log: SessionLog) -> Iterator[Violation]:
    """A number is the same frame for everybody: what was shown once was stored before.

    Who was told that the store has lost what it saw is not compared with those who were not.
    """
    first: dict[tuple[str, int], Seen] = {}
    for following in log.followings.values():
        if following.ended is not None and following.ended.how == "gone":
            continue
        for frame in following.numbered():
            before = first.setdefault((frame.turn, frame.seq or 0), frame)
            if _content(before) != _content(frame):
                yield _violation(
                    "readers_agree", following, f"{_shown(before)} as {before.client}",
                    _shown(frame),
                )  # fmt: skip
                break


def text_is_the_answer(log: SessionLog) -> Iterator[Violation]:
    """The text of the frames, put together, is the answer that was committed."""
    kept = log.kept()
    for following in log.followings.values():
        if _first_gap(following) is None:
            yield from _text(following, kept.get(following.turn))


def _text(following: Following, kept: Kept | None) -> Iterator[Violation]:
    rule, text = "text_is_the_answer", ""
    for frame in following.frames:
        if frame.type == "text" and frame.offset != len(text):
            place = f"{_shown(frame)} at {frame.offset}"
            yield _violation(rule, following, f"offset {len(text)}", place)
            return
        if frame.terminal:
            answers = [frame.text] if frame.type == "done" else []
            answers += [kept.answer] if kept else []
            wrong = next((answer for answer in answers if answer != text), None)
            if wrong is not None:
                yield _violation(rule, following, f"{len(wrong)} characters", _parted(wrong, text))
            return
        text = _with(frame, text)


def _with(frame: Seen, text: str) -> str:
    """Return the text with what this frame makes of it."""
    match frame.type:
        case "text":
            return text + frame.text
        case "snapshot":
            return frame.text
        case "restart":
            return ""
        case _:
            return text


def _content(frame: Seen) -> Seen:
    return replace(frame, at_s=0.0, client="", served_by=None)


def _violation(rule: str, following: Following, expected: str, seen: str) -> Violation:
    return Violation(
        rule, following.session, following.turn, following.client, expected=expected, seen=seen
    )


def _shown(frame: Seen) -> str:
    return f"{frame.type} {frame.seq} {frame.text[:40]!r}"


def _parted(answer: str, text: str) -> str:
    """Return where the two texts part."""
    both = zip(answer, text, strict=False)
    place = next((n for n, (a, b) in enumerate(both) if a != b), min(len(answer), len(text)))
    return (
        f"{len(text)} characters, from {place} on {text[place : place + 20]!r} in place of "
        f"{answer[place : place + 20]!r}"
    )
