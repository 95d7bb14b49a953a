"""All rules over a whole log, in time linear in its length."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from kotaemon_node.proof import histories, streams
from kotaemon_node.proof.facts import Effect, Fact
from kotaemon_node.proof.log import Log, SessionLog
from kotaemon_node.proof.violation import Violation

SESSION_RULES: Final[tuple[Callable[[SessionLog], Iterator[Violation]], ...]] = (
    histories.acknowledged_is_kept,
    histories.message_is_kept,
    histories.read_is_prefix,
    histories.turn_is_once,
    histories.order_is_kept,
    histories.version_is_place,
    histories.generation_never_goes_back,
    histories.citations_are_of_one_generation,
    histories.epoch_is_constant,
    streams.sequence_is_whole,
    streams.terminal_is_one,
    streams.readers_agree,
    streams.text_is_the_answer,
)


def effect_is_once(effects: Iterable[Effect]) -> Iterator[Violation]:
    """The world is changed at most once under one key."""
    for key, times in Counter(effect.key for effect in effects).items():
        if times > 1:
            session, _, turn = key.partition(":")
            yield Violation(
                "effect_is_once", session, turn, "", expected="one effect", seen=f"{times} effects"
            )


RULES: Final[Mapping[str, str]] = {
    rule.__name__: (rule.__doc__ or "").partition("\n")[0]
    for rule in (*SESSION_RULES, effect_is_once)
}
"""Name of every rule and what it demands."""


def check(facts: Iterable[Fact]) -> list[Violation]:
    """Return every violation, session by session; none where all promises were kept."""
    log = Log.of(facts)
    found = [
        violation
        for session in log.sessions.values()
        for rule in SESSION_RULES
        for violation in rule(session)
    ]
    return [*found, *effect_is_once(log.effects)]
