"""Whatever clients do, a log of a system that keeps its promises has no violation."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kotaemon_node.proof import Fact, as_line, check, from_line
from kotaemon_node.proof.facts import Acknowledged, Ended, How, Kept, Read, Seen, Sent


@st.composite
def sessions(draw: st.DrawFn, name: str) -> list[Fact]:
    """Draw what clients log of one session whose turns run one after the other."""
    facts: list[Fact] = []
    kept: list[Kept] = []
    generation, clock_s = 1, 0.0
    for number in range(1, draw(st.integers(1, 4)) + 1):
        generation += draw(st.integers(0, 2))
        pieces = draw(st.lists(st.text(min_size=1, max_size=5), max_size=6))
        restarts = draw(st.integers(0, 1)) if pieces else 0
        turn = Kept(f"t{number}", f"m{number}", "done", "".join(pieces), number, {"kb": generation})
        frames = _frames(turn, pieces, restarts=restarts)
        for client in range(draw(st.integers(1, 3))):
            facts += _followed(
                draw, frames, turn, place=(f"c{client}", name, turn.turn), began_s=clock_s
            )
        kept.append(turn)
        clock_s += 100
        if draw(st.booleans()):
            seen = draw(st.integers(0, len(kept)))
            facts.append(Read(clock_s, "r", name, f"e-{name}", tuple(kept[:seen])))
    return [*facts, Read(clock_s, "judge", name, f"e-{name}", tuple(kept), final=True)]


def _frames(turn: Kept, pieces: list[str], *, restarts: int) -> list[tuple[str, str, int | None]]:
    """Return type, text and offset of the frames of a turn; a restart comes behind all text."""
    frames: list[tuple[str, str, int | None]] = [("status", "", None), ("source", "", None)]
    for voided in range(restarts, -1, -1):
        offset = 0
        for piece in pieces:
            frames.append(("text", piece, offset))
            offset += len(piece)
        if voided:
            frames.append(("restart", "", None))
    return [*frames, ("done", turn.answer, None)]


def _followed(
    draw: st.DrawFn,
    frames: list[tuple[str, str, int | None]],
    turn: Kept,
    *,
    place: tuple[str, str, str],
    began_s: float,
) -> list[Fact]:
    """Return what one client logs; it may leave on the way."""
    ends = draw(st.integers(0, len(frames)))
    facts: list[Fact] = [Sent(began_s, *place, turn.message)]
    if ends:
        facts.append(Acknowledged(began_s + 1, *place, turn.message))
    for seq, (kind, text, offset) in enumerate(frames[:ends], start=1):
        sources = (("kb", turn.generation["kb"]),) if kind == "source" else ()
        facts.append(Seen(began_s + 1 + seq, *place, kind, seq, text, offset, sources=sources))
    how: How = "terminal" if ends == len(frames) else "left"
    return [*facts, Ended(began_s + 90, *place, how)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_good_logs_pass_also_when_sessions_are_mixed(data: st.DataObject) -> None:
    logs = [data.draw(sessions(f"s{n}")) for n in range(data.draw(st.integers(1, 3)))]
    order = data.draw(st.permutations([n for n, log in enumerate(logs) for _ in log]))
    rest = [iter(log) for log in logs]
    mixed = [next(rest[n]) for n in order]
    assert check(mixed) == []
    assert check(from_line(as_line(fact)) for fact in mixed) == []


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_frame_that_somebody_never_saw_is_found(data: st.DataObject) -> None:
    log = data.draw(sessions("s"))
    followed = [n for n, fact in enumerate(log[:-1]) if _before_another(fact, log[n + 1])]
    if not followed:
        return
    lost = data.draw(st.sampled_from(followed))
    rules = {violation.rule for violation in check([*log[:lost], *log[lost + 1 :]])}
    assert rules == {"sequence_is_whole"}


def _before_another(fact: Fact, following: Fact) -> bool:
    return isinstance(fact, Seen) and isinstance(following, Seen)
