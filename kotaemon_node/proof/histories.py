"""Rules on what is kept: every history that was read, and the final one."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest

from kotaemon_node.proof.facts import Kept
from kotaemon_node.proof.log import SessionLog
from kotaemon_node.proof.violation import Violation


def acknowledged_is_kept(log: SessionLog) -> Iterator[Violation]:
    """An acknowledged turn is in the final history, unless its loss was reported since.

    A report is one of that very turn, or one of the session with another epoch behind it: what was
    acknowledged in the epoch that stands must be there.
    """
    kept = log.kept()
    told_s: dict[str, float] = {}
    for following in log.followings.values():
        if following.ended is not None and following.ended.how == "gone":
            at_s = following.ended.at_s
            told_s[following.turn] = max(at_s, told_s.get(following.turn, at_s))
    epoch = log.final.epoch if log.final else ""
    began_s = min((read.at_s for read in log.reads if read.epoch == epoch), default=float("inf"))
    missing = {
        fact.turn: fact
        for fact in log.acknowledged
        if fact.turn not in kept
        and told_s.get(fact.turn, float("-inf")) < fact.at_s
        and not (log.told_since(fact.at_s) and fact.at_s < began_s)
    }
    for turn, fact in missing.items():
        yield Violation(
            "acknowledged_is_kept", log.session, turn, fact.client,
            expected=f"in the final history: acknowledged at {fact.at_s:.3f} s",
            seen=f"a history of {len(kept)} without it" if log.final else "no final history",
        )  # fmt: skip


def message_is_kept(log: SessionLog) -> Iterator[Violation]:
    """The turn has the message that was acknowledged: another body is no retry of it."""
    kept = log.kept()
    for fact in log.acknowledged:
        turn = kept.get(fact.turn)
        if turn is not None and turn.message != fact.message:
            yield Violation(
                "message_is_kept", log.session, fact.turn, fact.client,
                expected=f"message {fact.message!r}", seen=f"message {turn.message!r}",
            )  # fmt: skip


def read_is_prefix(log: SessionLog) -> Iterator[Violation]:
    """Whatever was read once stays: every read is the beginning of the final history.

    One of an epoch before need not be, where somebody was told since that something is gone.
    """
    if log.final is None:
        return
    for read in log.reads:
        if read.epoch != log.final.epoch and log.told_since(read.at_s):
            continue
        pairs = zip_longest(read.turns, log.final.turns[: len(read.turns)])
        differing = next(((a, b) for a, b in pairs if a != b), None)
        if differing is not None:
            was, is_ = differing
            yield Violation(
                "read_is_prefix", log.session, was.turn, read.client,
                expected=f"{_shown(was)}, as read at {read.at_s:.3f} s",
                seen=_shown(is_) if is_ else "a shorter history",
            )  # fmt: skip


def turn_is_once(log: SessionLog) -> Iterator[Violation]:
    """No turn stands twice in the history."""
    places: dict[str, int] = {}
    for place, turn in enumerate(log.final.turns if log.final else (), start=1):
        if turn.turn in places:
            yield Violation(
                "turn_is_once", log.session, turn.turn, "",
                expected=f"at place {places[turn.turn]} alone", seen=f"at place {place} too",
            )  # fmt: skip
        places.setdefault(turn.turn, place)


def order_is_kept(log: SessionLog) -> Iterator[Violation]:
    """A turn that was acknowledged precedes one that was sent later.

    One pass suffices: of the turns before a place, the one sent last is the one to compare with.
    """
    acknowledged_s: dict[str, float] = {}
    for fact in log.acknowledged:
        acknowledged_s[fact.turn] = min(fact.at_s, acknowledged_s.get(fact.turn, fact.at_s))
    last, last_s = "", float("-inf")
    for turn in log.kept():
        at_s = acknowledged_s.get(turn, float("inf"))
        if last_s > at_s:
            yield Violation(
                "order_is_kept", log.session, turn, "",
                expected=f"before {last}, sent {last_s - at_s:.3f} s after it was acknowledged",
                seen="behind it",
            )  # fmt: skip
        sent_s = log.sent_s.get(turn, float("-inf"))
        if sent_s > last_s:
            last, last_s = turn, sent_s


def version_is_place(log: SessionLog) -> Iterator[Violation]:
    """A turn's version is its place in the history."""
    for place, turn in enumerate(log.final.turns if log.final else (), start=1):
        if turn.version != place:
            yield Violation(
                "version_is_place", log.session, turn.turn, "",
                expected=f"version {place}", seen=f"version {turn.version}",
            )  # fmt: skip


def generation_never_goes_back(log: SessionLog) -> Iterator[Violation]:
    """A session that has seen a generation is not answered from an older one."""
    newest: dict[str, int] = {}
    for turn in log.final.turns if log.final else ():
        for kb, number in turn.generation.items():
            if number < newest.get(kb, 0):
                yield Violation(
                    "generation_never_goes_back", log.session, turn.turn, "",
                    expected=f"generation {newest[kb]} of {kb} or newer", seen=str(number),
                )  # fmt: skip
            newest[kb] = max(number, newest.get(kb, 0))


def citations_are_of_one_generation(log: SessionLog) -> Iterator[Violation]:
    """All that a turn cites is of one generation a knowledge base, the one it says it used.

    What the store has lost, as was told, is judged by itself: its turn may have been sent again.
    """
    kept = log.kept()
    cited: dict[tuple[str, str], dict[str, set[int]]] = {}
    for (turn, client), following in log.followings.items():
        lost = following.ended is not None and following.ended.how == "gone"
        by_kb = cited.setdefault((turn, client if lost else ""), {})
        for frame in following.frames:
            for kb, number in frame.sources:
                by_kb.setdefault(kb, set()).add(number)
    for (turn, lost_by), by_kb in cited.items():
        stands = turn in kept and not lost_by
        said: Mapping[str, int] = kept[turn].generation if stands else {}
        for kb, numbers in by_kb.items():
            if len(numbers | {said[kb]} if kb in said else numbers) > 1:
                yield Violation(
                    "citations_are_of_one_generation", log.session, turn, "",
                    expected=f"one generation of {kb}, said {said.get(kb, 'nothing')}",
                    seen=f"citations of {sorted(numbers)}",
                )  # fmt: skip


def epoch_is_constant(log: SessionLog) -> Iterator[Violation]:
    """A session stays the one it is, unless somebody was told that it is gone.

    An epoch that a client has left never comes back to it.
    """
    epochs: dict[str, str] = {}
    seen: dict[str, list[str]] = {}
    for read in [*log.reads, *([log.final] if log.final else [])]:
        epochs.setdefault(read.epoch, read.client)
        by_client = seen.setdefault(read.client, [])
        if read.epoch in by_client[:-1]:
            yield Violation(
                "epoch_is_constant", log.session, "", read.client,
                expected=f"epoch {by_client[-1]} or a newer one", seen=f"epoch {read.epoch} again",
            )  # fmt: skip
        if by_client[-1:] != [read.epoch]:
            by_client.append(read.epoch)
    if len(epochs) > 1 + len(log.gone):
        yield Violation(
            "epoch_is_constant", log.session, "", "",
            expected=f"one epoch, or one more for each of {len(log.gone)} reports of gone",
            seen=", ".join(f"{epoch} by {client}" for epoch, client in epochs.items()),
        )  # fmt: skip


def _shown(turn: Kept) -> str:
    return f"turn {turn.turn} {turn.state}, version {turn.version}, {len(turn.answer)} characters"
