"""What is done about a message: by the state of the session, what was recognised and who offers."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kotaemon_node.domain.dialogue import DialogueState, Pending, Wanted
from kotaemon_node.domain.language import Language
from kotaemon_node.engine.acting.confirming import reply_of
from kotaemon_node.engine.acting.decision import Decision
from kotaemon_node.engine.acting.inquiries import asks_about, refuses
from kotaemon_node.engine.acting.pending import stale, without_open_questions
from kotaemon_node.engine.acting.references import meant
from kotaemon_node.engine.acting.sentences import Sentence, listed, sentence
from kotaemon_node.engine.acting.topic import topic_of
from kotaemon_node.engine.intents import IntentContext, Intents, Recognition
from kotaemon_node.engine.intents.references import referent
from kotaemon_node.engine.language import language_of_turn
from kotaemon_node.engine.ledger import caller_of
from kotaemon_node.engine.understanding import Asked
from kotaemon_node.engine.understanding.topics import Exchange, depends
from kotaemon_node.ports.intents import NOTHING
from kotaemon_node.ports.language_model import Usage
from kotaemon_node.ports.plugins import Hook, Plugin
from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.tools import Effects, ToolSpec

_GUESSED: Final = ("examples", "model")
"""Recognisers that judge by likeness."""

Offered = Mapping[str, tuple[Plugin, Hook]]
"""Intent to who answers it."""


@dataclass(frozen=True, slots=True)
class Deciding:
    """One message, and all by which it is decided what is done about it."""

    work: Work
    asked: Asked
    plugins: Sequence[Plugin]
    """What is offered to the session."""
    tools: Sequence[ToolSpec]
    """What may be called for it, plugins among them."""
    intents: Intents
    stop: StopSignal
    usage: Usage = field(default_factory=Usage)
    """Tokens of a language model that was asked for the intent are added to it."""

    def decision(self) -> Decision | None:
        """Return it; None where there is nothing to act by and nothing to remember."""
        state = self.work.session.state
        if state.pending is not None:
            answered = self._replied(state, state.pending)
            if answered is not None:
                return answered
        offered = hooks_of(self.plugins)
        if not offered:
            return self._left(state, "dropped" if state.pending else "")
        found = self._recognised(state, offered)
        state, intent = self._taken(state, found)
        reply = "dropped" if self.work.session.state.pending else ""
        if intent not in offered or self._not_wished(found, *offered[intent]):
            return self._left(state, reply, found)
        return replace(self._answered(state, intent, found, *offered[intent]), reply=reply)

    @property
    def language(self) -> Language:
        """In which the engine's own sentences are said."""
        return language_of_turn(self.work)

    # A yes or a no.

    def _replied(self, state: DialogueState, pending: Pending) -> Decision | None:
        """Return what follows from a plain answer to what waits for a yes; None: it is none."""
        reply = reply_of(self.work.message, pending.summary)
        if reply == "other":
            return None
        gone = stale(pending, self.work.session, now=self.work.created_at)
        if gone == "answered":
            return None  # something else was asked since, and this may be the answer to that
        if reply == "no":
            return self._told("dropped", pending, reply="declined")
        if gone or _waited(self.work):
            # Who said yes before the question was there has not read it.
            return self._told("expired", pending, reply="expired")
        return self._confirmed(state, pending)

    def _confirmed(self, state: DialogueState, pending: Pending) -> Decision:
        spec = next((it for it in self.tools if it.name == pending.plugin), None)
        if spec is None:
            return self._told("not_offered", pending, reply="changed")
        if _version(self.plugins, pending.plugin) != pending.plugin_version:
            return self._told("changed", pending, reply="changed")
        return Decision(
            "run",
            without_open_questions(state),
            plugin=pending.plugin,
            version=pending.plugin_version,
            effects=_effects(pending.effects, spec.effects),
            looks_up=spec.looks_up,
            arguments=pending.arguments,
            summary=pending.summary,
            reply="confirmed",
        )

    def _told(self, name: Sentence, pending: Pending, *, reply: str) -> Decision:
        """Return that nothing is done, which is said of the proposal."""
        return Decision(
            "tell",
            without_open_questions(self.work.session.state),
            plugin=pending.plugin,
            summary=pending.summary,
            sentence=name,
            words={"summary": pending.summary},
            reply=reply,
        )

    # What is wanted.

    def _recognised(self, state: DialogueState, offered: Offered) -> Recognition:
        """Return what the message wants, by itself or else as the question that stands alone."""
        allowed = self.work.options.get("intent_filter")
        wanted = self._wanted(state)
        context = IntentContext(
            caller=caller_of(self.work),
            topic=state.topic,
            previous=state.intents,
            allowed=None if allowed is None else frozenset(allowed),
            examples={intent: hook.examples for intent, (_, hook) in offered.items()},
            asked=wanted.slot if wanted else "",
            today=datetime.datetime.fromtimestamp(self.work.created_at, tz=datetime.UTC).date(),
        )
        # What rules put before a message is what was talked about: whoever asks what cancelling
        # costs does not cancel again. A language model writes what is asked now.
        text = self.asked.search if self.asked.by == "model" else self.work.message
        found = self.intents.recognise(text, context=context, stop=self.stop)
        if found.usage:
            self.usage.add(found.usage)
        # Of several values of a slot none is taken: they are asked about.
        found = replace(found, slots={**found.slots, **found.several})
        return found if found.intent or wanted else self._the_same_again(state, found)

    def _not_wished(self, found: Recognition, plugin: Plugin, hook: Hook) -> bool:
        """Tell whether the message asks about what ``plugin`` changes, or says not to do it.

        What a rule of the operator recognised is meant.
        """
        if plugin.description.effects == "read" or found.by not in _GUESSED:
            return False
        return asks_about(self.work.message) or refuses(self.work.message, hook.examples)

    def _the_same_again(self, state: DialogueState, found: Recognition) -> Recognition:
        """Take "and 1004?" for what was wanted just before, of another value."""
        last = state.intents[-1] if state.intents else ""
        rule = self.intents.rule(last) if last else None
        named = set(rule.slots if rule else ()) & set(found.slots)
        if not named or not depends(self.work.message):
            return found
        return replace(found, intent=last, by="asked")

    def _wanted(self, state: DialogueState) -> Wanted | None:
        wanted = state.wanted
        if wanted is None or stale(wanted, self.work.session, now=self.work.created_at):
            return None
        return wanted

    def _taken(self, state: DialogueState, found: Recognition) -> tuple[DialogueState, str]:
        """Return the state with what the message says, and the intent that it has."""
        wanted, intent = self._wanted(state), found.intent or ""
        values = {name: _one(several) for name, several in found.slots.items()}
        if wanted is not None and not intent:
            chosen = values.get(wanted.slot) or meant(self.work.message, wanted.choices)
            if chosen is not None:
                intent, values = wanted.intent, {**values, wanted.slot: chosen}
        one = {name: it for name, it in values.items() if not isinstance(it, list)}
        state = without_open_questions(state).saying(one)
        state = replace(state, topic=topic_of(self.work) or state.topic)
        return (state.wanting(intent) if intent else state), intent

    def _left(
        self, state: DialogueState, reply: str, found: Recognition = NOTHING
    ) -> Decision | None:
        """Return that the message is a question to the documents."""
        state = without_open_questions(state)
        if state == self.work.session.state and not found.intent:
            return None
        return Decision(
            "none",
            state,
            intent=found.intent or "",
            by=found.by,
            confidence=found.confidence,
            reply=reply,
        )

    def _answered(
        self,
        state: DialogueState,
        intent: str,
        found: Recognition,
        plugin: Plugin,
        hook: Hook,
    ) -> Decision:
        known: dict[str, Any] = {
            "intent": intent,
            "by": found.by or "asked",
            "confidence": found.confidence,
        }
        rule = self.intents.rule(intent)
        for slot, named in state.entities.items():
            # "The second one" is told by what was shown, whether or not anybody wrote rules.
            value = meant(self.work.message, named) if len(named) > 1 else None
            state = state.saying({slot: value}) if value and slot not in found.slots else state
        for slot in rule.needs if rule else ():
            state, question = self._needed(state, intent, slot, found)
            if question:
                return Decision("tell", state, text=question, **known)
        it = plugin.description
        return Decision(
            "hook",
            state,
            plugin=it.name,
            version=it.version,
            method=hook.method,
            effects=it.effects,
            looks_up=it.looks_up,
            confirm=it.confirm,
            user_input=self._question(found),
            **known,
        )

    def _question(self, found: Recognition) -> str:
        """Return what the hook is asked: with the question before, where this is its value."""
        wanted = self._wanted(self.work.session.state)
        if wanted is not None and wanted.question and not found.intent:
            return f"{wanted.question} {self.work.message}"
        return self.asked.search

    def _needed(
        self, state: DialogueState, intent: str, slot: str, found: Recognition
    ) -> tuple[DialogueState, str]:
        """Return the state with a value of ``slot``, or with the question for it."""
        said = found.slots.get(slot)
        if said is not None:
            several = said if isinstance(said, list | tuple) else (said,)
            if len(several) == 1:
                return state, ""
            return self._asking(state, intent, slot, tuple(map(str, several)), found)
        named = state.entities.get(slot, ())
        value = meant(self.work.message, named)
        if value is None and len(named) > 1:
            return self._asking(state, intent, slot, named, found)
        if value is None:
            value = state.slots.get(slot)
        if value is None:
            before = referent(
                self.work.message,
                state,
                [Exchange(turn.message, turn.answer) for turn in self.work.session.turns],
                reader=self.intents.slots,
                wanted=(slot,),
            )
            value = before.slots.get(slot)
            if value is None:
                among = tuple(map(str, before.ambiguous.get(slot, ())))
                return self._asking(state, intent, slot, among, found)
        return state.saying({slot: value}), ""

    def _asking(
        self,
        state: DialogueState,
        intent: str,
        slot: str,
        choices: tuple[str, ...],
        found: Recognition,
    ) -> tuple[DialogueState, str]:
        return asking(
            state,
            self.work,
            intent=intent,
            slot=slot,
            choices=choices,
            written=self.intents.slots.question(slot, self.language),
            question=self._question(found),
        )


def asking(
    state: DialogueState,
    work: Work,
    *,
    intent: str,
    slot: str,
    choices: tuple[str, ...],
    written: str,
    question: str,
) -> tuple[DialogueState, str]:
    """Return the state that waits for a value of ``slot``, and how it is asked for.

    ``written``: how somebody asks for it; "": in the engine's words. ``question``: what is answered
    when the value is there.
    """
    language, name = language_of_turn(work), slot.replace("_", " ")
    if choices and not written:
        told = sentence("ask_which", language, slot=name, choices=listed(choices, language))
    else:
        told = written or sentence("ask_slot", language, slot=name)
        if choices:
            told += " " + sentence("choices", language, choices=listed(choices, language))
    wanted = Wanted(intent, slot, choices, question, work.lease.key.turn_id, work.created_at)
    return replace(state, wanted=wanted.bounded(), pending=None), told


def hooks_of(plugins: Sequence[Plugin]) -> Offered:
    """Return who answers each intent: the hook of the highest priority; names break ties."""
    found: dict[str, tuple[Plugin, Hook]] = {}
    for plugin in sorted(plugins, key=lambda it: it.description.name):
        for hook in plugin.description.hooks:
            best = found.get(hook.intent)
            if best is None or hook.priority > best[1].priority:
                found[hook.intent] = (plugin, hook)
    return found


def _one(said: Any) -> Any:
    """Return the value of a slot of which the message has one; a list of several."""
    if isinstance(said, list | tuple):
        return said[0] if len(said) == 1 else list(said)
    return said


def _waited(work: Work) -> bool:
    """Tell whether the message waited behind another turn of its session."""
    first = work.stored[0] if work.stored else None
    return first is not None and first.fields.get("phase") == "queued"


def _version(plugins: Sequence[Plugin], name: str) -> str:
    """Return the version of a plugin that is offered; "" for a tool that is none."""
    found = (it.description for it in plugins if it.description.name == name)
    return next((it.version for it in found), "")


def _effects(asked: str, now: Effects) -> Effects:
    """Return what a call is taken to do: the more careful of then and now."""
    return "once" if asked == "once" else now
