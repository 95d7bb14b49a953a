"""The checker has teeth: for each rule a log that breaks it and no other."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from kotaemon_node.proof import RULES, Fact, as_line, check, from_line
from kotaemon_node.proof.facts import (
    Acknowledged,
    Effect,
    Ended,
    Gone,
    Kept,
    Read,
    Seen,
    Sent,
)

FIRST = Kept("t1", "How much?", "done", "Nine dollars.", 1, {"default": 4})
SECOND = Kept("t2", "And now?", "done", "Ten.", 2, {"default": 5})
OTHER = Kept("t3", "Why?", "done", "Because.", 3, {"default": 5})


def turn(kept: Kept, *, began_s: float, client: str = "w") -> list[Fact]:
    """Return what a client logs of a turn that nothing disturbs: five frames."""
    half = len(kept.answer) // 2
    place = (client, "s", kept.turn)
    generation = kept.generation["default"]
    return [
        Sent(began_s, *place, kept.message),
        Seen(began_s + 1, *place, "status", 1),
        Acknowledged(began_s + 1, *place, kept.message),
        Seen(began_s + 2, *place, "source", 2, sources=(("default", generation),)),
        Seen(began_s + 3, *place, "text", 3, kept.answer[:half], 0),
        Seen(began_s + 4, *place, "text", 4, kept.answer[half:], half),
        Seen(began_s + 5, *place, "done", 5, kept.answer),
        Ended(began_s + 5, *place, "terminal"),
    ]


def final(*turns: Kept, epoch: str = "e") -> Read:
    return Read(100, "judge", "s", epoch, turns, final=True)


def good() -> list[Fact]:
    """Two turns, each followed twice, read in between, with one effect for each key."""
    return [
        *turn(FIRST, began_s=0),
        *turn(FIRST, began_s=0.5, client="a"),
        Read(7, "w", "s", "e", (FIRST,)),
        *turn(SECOND, began_s=10),
        Effect(11, "s:t2:1.1"),
        Effect(12, "s:t2:1.2"),
        final(FIRST, SECOND),
    ]


def is_final(fact: Fact) -> bool:
    return isinstance(fact, Read) and fact.final


def frame(client: str, number: int, turn_id: str = "t1") -> Callable[[Fact], bool]:
    """Return what finds one frame of one client in a log."""

    def found(fact: Fact) -> bool:
        place = (client, turn_id, number)
        return isinstance(fact, Seen) and (fact.client, fact.turn, fact.seq) == place

    return found


def good_but(found: Callable[[Fact], bool], *new: Fact) -> list[Fact]:
    """Return the good log with one fact replaced, perhaps by nothing."""
    facts = good()
    [place] = [number for number, fact in enumerate(facts) if found(fact)]
    return [*facts[:place], *new, *facts[place + 1 :]]


def ending(*turns: Kept, epoch: str = "e") -> list[Fact]:
    """Return the good log with another final history."""
    return good_but(is_final, final(*turns, epoch=epoch))


def alone(*kept: tuple[Kept, float]) -> list[Fact]:
    """Return a log of turns as they stand in the history, each sent when it says."""
    turns = [fact for one, began_s in kept for fact in turn(one, began_s=began_s)]
    return [*turns, final(*(one for one, _ in kept))]


A_TEXT = Seen(3.5, "a", "s", "t1", "text", 3, FIRST.answer[:6], 0)
A_DONE = Seen(5.5, "a", "s", "t1", "done", 5, FIRST.answer)
OTHER_FIRST = replace(OTHER, version=1)
BACK = replace(SECOND, generation={"default": 3})

BROKEN: dict[str, list[list[Fact]]] = {
    "acknowledged_is_kept": [
        ending(FIRST),
        turn(FIRST, began_s=0),
        # Reported, but the session is still the one in which it was acknowledged.
        [*ending(FIRST), Gone(20, "w", "s")],
    ],
    "message_is_kept": [[*good(), Acknowledged(20, "x", "s", "t2", "Something else?")]],
    "read_is_prefix": [
        [*good(), Read(8, "a", "s", "e", (replace(FIRST, answer="Eight dollars."),))],
        [*good(), Read(8, "a", "s", "e", (FIRST, SECOND, OTHER))],
        [*good(), Read(8, "a", "s", "e", (SECOND,))],
        # What was reported as gone was so before this was read.
        [Gone(5, "w", "s"), Read(7, "w", "s", "e", (FIRST,)), final(OTHER_FIRST, epoch="f")],
    ],
    "turn_is_once": [ending(FIRST, SECOND, replace(FIRST, version=3, generation={}))],
    "order_is_kept": [alone((FIRST, 10), (replace(OTHER, version=2), 0))],
    "version_is_place": [ending(FIRST, replace(SECOND, version=3))],
    "generation_never_goes_back": [alone((FIRST, 0), (BACK, 10))],
    "citations_are_of_one_generation": [
        good_but(
            frame("w", 2, "t2"),
            Seen(12, "w", "s", "t2", "source", 2, sources=(("default", cited), ("default", 5))),
        )
        for cited in (4, 6)
    ],
    "epoch_is_constant": [
        ending(FIRST, SECOND, epoch="f"),
        [
            *(Read(at_s, "w", "s", epoch, (FIRST,)) for at_s, epoch in ((7, "e"), (8, "f"))),
            *(Gone(at_s, "w", "s") for at_s in (7.5, 8.5)),
            Read(9, "w", "s", "e", (FIRST,)),
            final(FIRST, epoch="e"),
        ],
    ],
    "sequence_is_whole": [
        good_but(frame("a", 1)),
        good_but(frame("a", 3)),
        good_but(frame("a", 3), A_TEXT, A_TEXT),
    ],
    "terminal_is_one": [
        good_but(frame("a", 5)),
        good_but(frame("a", 5), A_DONE, replace(A_DONE, seq=6)),
        [*turn(FIRST, began_s=0)[:-2], Ended(60, "w", "s", "t1", "gave_up"), final(FIRST)],
        [
            *turn(FIRST, began_s=0)[:-2],
            Gone(60, "w", "s"),
            Ended(60, "w", "s", "t1", "gone"),
            final(FIRST),
        ],
    ],
    "readers_agree": [
        good_but(frame("a", 1), Seen(1.5, "a", "s", "t1", "restart", 1)),
        # Shown before it was stored: only who left has seen it.
        [*good(), Seen(1, "b", "s", "t1", "status", 1), Seen(2, "b", "s", "t1", "text", 2, "?", 0)],
    ],
    "text_is_the_answer": [
        [*turn(FIRST, began_s=0), final(replace(FIRST, answer="Nine"))],
        [*turn(FIRST, began_s=0, client="a")[:-2], replace(A_DONE, text="Nine"), final(FIRST)],
        [
            *turn(FIRST, began_s=0, client="a")[:4],
            replace(A_TEXT, offset=1),
            Ended(4, "a", "s", "t1", "left"),
            final(FIRST),
        ],
    ],
    "effect_is_once": [[*good(), Effect(13, "s:t2:1.2")]],
}


def test_a_good_log_has_no_violation() -> None:
    assert check(good()) == []


@pytest.mark.parametrize(
    ("rule", "facts"),
    [
        pytest.param(rule, facts, id=f"{rule}-{number}")
        for rule, logs in BROKEN.items()
        for number, facts in enumerate(logs)
    ],
)
def test_a_log_that_breaks_one_rule_breaks_no_other(rule: str, facts: list[Fact]) -> None:
    found = check(facts)
    assert {violation.rule for violation in found} == {rule}, [str(one) for one in found]
    assert all(violation.session == "s" for violation in found)
    assert all(violation.expected and violation.seen for violation in found)


def test_every_rule_has_a_log_that_breaks_it() -> None:
    assert set(BROKEN) == set(RULES)


def test_a_loss_that_was_reported_is_no_violation() -> None:
    facts = [*ending(FIRST, epoch="f"), Gone(20, "w", "s")]
    assert check(facts) == []
    later = Acknowledged(21, "w", "s", "t3", "Why?")
    assert [violation.rule for violation in check([*facts, later])] == ["acknowledged_is_kept"]


def test_a_turn_whose_loss_was_reported_to_who_followed_it_is_no_violation() -> None:
    lost = turn(SECOND, began_s=10)[:-2]
    told: list[Fact] = [Gone(20, "w", "s"), Ended(20, "w", "s", "t2", "gone")]
    read = Read(7, "w", "s", "e", (FIRST,))
    assert check([*turn(FIRST, began_s=0), read, *lost, *told, final(FIRST)]) == []


def test_what_is_sent_again_after_a_report_may_look_different() -> None:
    """It has another owner, who cuts the text in another way."""
    first_try = turn(FIRST, began_s=0)[:4]
    told: list[Fact] = [Gone(8, "w", "s"), Ended(8, "w", "s", "t1", "gone")]
    anew = [
        replace(fact, text=FIRST.answer[:2]) if isinstance(fact, Seen) and fact.seq == 3 else fact
        for fact in turn(FIRST, began_s=10, client="a")
    ]
    anew[5] = replace(A_TEXT, at_s=14, client="a", seq=4, text=FIRST.answer[2:], offset=2)
    assert check([*first_try, *told, *anew, final(FIRST)]) == []
    # Who was told nothing must not see it.
    rules = {
        violation.rule
        for violation in check([*first_try, *turn(FIRST, began_s=0)[4:5], *anew, final(FIRST)])
    }
    assert rules == {"readers_agree"}


def test_a_turn_sent_again_after_a_report_may_cite_a_newer_generation() -> None:
    first_try = turn(replace(FIRST, generation={"default": 3}), began_s=0)[:4]
    told: list[Fact] = [Gone(8, "w", "s"), Ended(8, "w", "s", "t1", "gone")]
    anew = turn(FIRST, began_s=10, client="late")
    assert check([*first_try, *told, *anew, final(FIRST)]) == []
    mixed = Seen(5, "w", "s", "t1", "source", 3, sources=(("default", 2),))
    found = check([*first_try, mixed, *told, *anew, final(FIRST)])
    assert [violation.rule for violation in found] == ["citations_are_of_one_generation"]


def test_a_client_told_of_its_session_before_it_saw_anything_may_send_the_turn_again() -> None:
    told: list[Fact] = [
        Sent(1, "a", "s", "t1", FIRST.message),
        Gone(2, "a", "s"),
        Ended(2, "a", "s", "t1", "gone"),
    ]
    assert check([*told, *turn(FIRST, began_s=3), final(FIRST)]) == []


def test_a_history_before_a_reported_loss_need_not_be_the_beginning_of_that_behind_it() -> None:
    facts: list[Fact] = [
        Read(7, "w", "s", "e", (FIRST, SECOND)),
        Gone(8, "w", "s"),
        Read(9, "w", "s", "f", (FIRST,)),
        final(FIRST, replace(OTHER, version=2), epoch="f"),
    ]
    assert check(facts) == []
    untold = [fact for fact in facts if not isinstance(fact, Gone)]
    rules = {violation.rule for violation in check(untold)}
    assert rules == {"read_is_prefix", "epoch_is_constant"}


def test_a_restart_voids_the_text_and_a_snapshot_stands_for_it() -> None:
    place = ("a", "s", "t1")
    facts: list[Fact] = [
        Seen(1, *place, "text", 1, "Nonsense", 0),
        Seen(2, *place, "restart", 2),
        Seen(3, *place, "snapshot", None, "Nine ", last=4),
        Seen(4, *place, "text", 5, "dollars.", 5),
        Seen(5, *place, "done", 6, FIRST.answer),
        Ended(5, *place, "terminal"),
        final(replace(FIRST, generation={})),
    ]
    assert check(facts) == []


def test_a_turn_that_failed_keeps_the_text_that_was_shown() -> None:
    facts: list[Fact] = [
        *turn(FIRST, began_s=0)[:5],
        Seen(4, "w", "s", "t1", "error", 4),
        Ended(4, "w", "s", "t1", "terminal"),
    ]
    shown = replace(FIRST, state="failed", answer=FIRST.answer[:6])
    assert check([*facts, final(shown)]) == []
    found = check([*facts, final(replace(shown, answer=""))])
    assert [violation.rule for violation in found] == ["text_is_the_answer"]


def test_a_log_survives_its_file() -> None:
    facts = [*good(), Gone(20, "w", "s")]
    assert [from_line(as_line(fact)) for fact in facts] == facts


@pytest.mark.parametrize("line", ["{}", "[]", '{"kind": "seen"}', '{"kind": "x"}', "no JSON"])
def test_a_line_without_a_fact_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="no fact"):
        from_line(line)
