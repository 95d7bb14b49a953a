"""The talk with a language model: rounds of text and tool calls, until it has answered.

A round that ended with calls is journalled whole, text and calls, before the first of them. Whoever
takes the turn over asks the model again only for the round that was under way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, Final, Protocol

from kotaemon_node.domain import limits
from kotaemon_node.domain.acting_limits import ACTION_CHARS_MAX, TOOL_CALLS_PER_TURN_MAX
from kotaemon_node.domain.language import language_of
from kotaemon_node.engine.call_texts import CEILING, PLEASE_WAIT, PLEASE_WAIT_CHANGE, action_of
from kotaemon_node.engine.given import NOTHING, Given
from kotaemon_node.engine.ledger import caller_of
from kotaemon_node.engine.prompt import tool_messages
from kotaemon_node.engine.tool_calls import DecidedCall
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.language_model import ChatMessage, LanguageModel, ToolCall, Usage
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.tools import ToolSpec
from kotaemon_node.ports.traces import Facts, Span, span


class Gate(Protocol):
    """What a text goes through, piece by piece; of what comes out nothing is taken back."""

    def go_on_behind(self, prefix: str) -> None:
        """Say that ``prefix`` came out before."""
        ...

    def feed(self, piece: str) -> str:
        """Return what comes out by now, perhaps nothing."""
        ...

    def finish(self) -> str:
        """Return the rest."""
        ...


class NoGate:
    """Lets everything out as it comes."""

    def go_on_behind(self, prefix: str) -> None:
        """See the protocol."""

    def feed(self, piece: str) -> str:
        """See the protocol."""
        return piece

    def finish(self) -> str:
        """See the protocol."""
        return ""


@dataclass(frozen=True, slots=True)
class BothGates:
    """Two gates, one behind the other."""

    first: Gate
    second: Gate

    def go_on_behind(self, prefix: str) -> None:
        """See the protocol."""
        self.first.go_on_behind(prefix)
        self.second.go_on_behind(prefix)

    def feed(self, piece: str) -> str:
        """See the protocol."""
        return self.second.feed(self.first.feed(piece))

    def finish(self) -> str:
        """See the protocol."""
        return self.second.feed(self.first.finish()) + self.second.finish()


@dataclass(frozen=True, slots=True)
class Round:
    """What the model said in one go."""

    text: str
    calls: tuple[DecidedCall, ...] = ()
    usage: Usage = field(default_factory=Usage)

    def as_json(self) -> Mapping[str, Any]:
        """Return it as a JSON object."""
        return {
            "text": self.text,
            "calls": [call.as_json() for call in self.calls],
            "usage": astuple(self.usage),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Round":
        """Read ``as_json`` back."""
        calls = tuple(DecidedCall.from_json(call) for call in fields["calls"])
        return cls(fields["text"], calls, Usage(*fields["usage"]))


Propose = Callable[[DecidedCall, str], str]
"""Keeps a call and its action, in words, for the user's yes; returns the question to ask."""

_NO_MORE: Final = "this turn has made as many calls as it may; answer with what is known"
_ONE_AT_A_TIME: Final = "one change at a time: the user is asked for another one first"
_TOO_LARGE: Final = (
    "the user has to read all of what is to be done, and this is too long; ask for less at once"
)
_NO_CHANGES: Final = "this changes something, and nobody can be asked for a yes here"


@dataclass(frozen=True, slots=True)
class Checked:
    """What of a round's calls is not made: place from 1, to why, or to the action in words."""

    refused: Mapping[int, str]
    proposed: Mapping[int, str]
    question: str
    """Asked at the end of the turn; "" where nothing waits for a yes."""


@dataclass(frozen=True, slots=True)
class Talk:
    """One turn's talk."""

    model: LanguageModel
    steps: ToolSteps
    work: Work
    out: FrameWriter
    phase: Callable[[str], None]
    """Shows in which phase the turn is."""
    gate: Callable[[Sequence[ChatMessage]], Gate] = lambda read: NoGate()
    """Makes what a round's text goes through before anybody sees it, from what the model read."""
    sampling: Mapping[str, float] = field(default_factory=dict)
    used_up: Callable[[Usage], bool] = lambda usage: False
    """Tells whether the model is asked no more in this turn."""
    propose: Propose | None = None
    """Lets a call wait for the user's yes, returning the question; None: it is refused."""
    given: Given = NOTHING
    """With the caller's own tools: what calls one of them ends the turn."""

    def answer(self, prompt: Sequence[ChatMessage], *, usage: Usage) -> str:
        """Write the answer and return it, adding the tokens of all rounds to ``usage``.

        Raises ``LanguageModelError`` as ``LanguageModel.stream`` does.
        """
        messages = tuple(prompt)
        room = limits.PROMPT_TOOL_RESULTS_CHARS_MAX
        text, made, changed = "", 0, False
        for number in range(1, limits.TOOL_ROUNDS_MAX + 2):
            if number > 1 and self.used_up(usage):
                return text + self._say(CEILING[language_of(self.work.message)])
            # What may have changed something is not told to the caller, whose next request would
            # have the model do it again: so behind it nothing is handed to the caller any more.
            given = NOTHING if changed else self.given
            said = self._said(messages, number=number, usage=usage, given=given)
            text += said.text
            if not said.calls or self._handed(said, given, number=number):
                break
            changed = changed or any(one.effects not in {None, "read"} for one in said.calls)
            if not self.steps.all_known(said.calls, self.out, round_number=number):
                self.phase("tools")
            checked = self._checked(said.calls, number=number, made=made)
            made += len(said.calls)
            outcomes = self.steps.run(
                said.calls,
                self.work,
                self.out,
                round_number=number,
                waiting=self._waiting,
                refused=checked.refused,
                proposed=checked.proposed,
            )
            if checked.question:
                return text + self._say(checked.question)
            calls = [decided.call for decided in said.calls]
            results = tool_messages(
                calls,
                [outcome.told for outcome in outcomes],
                trace_id=self.work.lease.trace_id,
                chars_max=room // 2,
            )
            # Never more than half of what is left, so that no round is left without any.
            room //= 2
            asked = ChatMessage("assistant", said.text.strip(), tool_calls=tuple(calls))
            messages = (*messages, asked, *results)
        return text

    def _checked(self, calls: Sequence[DecidedCall], *, number: int, made: int) -> Checked:
        """Return which of a round's calls are not made, and the question where one waits for a yes.

        Of those that need one the first is asked for; the others are refused.
        """
        refused, proposed, question = dict[int, str](), dict[int, str](), ""
        for place, decided in enumerate(calls, start=1):
            if made + place > TOOL_CALLS_PER_TURN_MAX:
                refused[place] = _NO_MORE
            elif self.steps.waits_for_yes(decided, self.work, self.out, step=f"{number}.{place}"):
                action = action_of(decided.call.name, decided.call.arguments or {})
                if question or self.propose is None:
                    refused[place] = _ONE_AT_A_TIME if question else _NO_CHANGES
                elif len(action) > ACTION_CHARS_MAX:
                    refused[place] = _TOO_LARGE
                else:
                    proposed[place] = action
                    question = self.propose(decided, action)
        return Checked(refused, proposed, question)

    def _waiting(self, decided: DecidedCall) -> str:
        texts = PLEASE_WAIT if decided.effects == "read" else PLEASE_WAIT_CHANGE
        return texts[language_of(self.work.message)]

    def _say(self, text: str) -> str:
        """Write what the engine itself says at the end of an answer, and return it."""
        self.out.text(text)
        self.out.finish()
        return text

    def _handed(self, said: Round, given: Given, *, number: int) -> bool:
        """Hand the calls of the caller's own tools over; False where the round has none."""
        calls = given.handed([decided.call for decided in said.calls], self._own)
        step = f"handed:{number}"
        if calls and self.out.decided(step) is None:
            self.out.decide(step, True)
            for place, call in calls:
                about = {"id": call.id, "name": call.name, "args": call.arguments or {}}
                self.out.tool_call({**about, "step": f"{number}.{place}", "state": "handed"})
        return bool(calls)

    @property
    def _own(self) -> Sequence[ToolSpec]:
        return self.steps.specs(caller_of(self.work))

    def _said(
        self, messages: Sequence[ChatMessage], *, number: int, usage: Usage, given: Given
    ) -> Round:
        """Return the round, replayed or asked for now; its text is written."""
        step = f"round:{number}"
        known = self.out.decided(step)
        if known is not None:
            said = Round.from_json(known)
            self.out.text(said.text)
            usage.add(said.usage)
            return said
        self.phase("generation")
        offered = number <= limits.TOOL_ROUNDS_MAX
        said = self._asked(messages, first=number == 1, offered=offered, usage=usage, given=given)
        if not said.calls:
            return said
        if given.handed([decided.call for decided in said.calls], self._own):
            self.out.decide(step, said.as_json())
            return said
        # The next round's text begins a paragraph of its own. Stored in one go with the decision:
        # whoever finds the gap finds the decision too, and asks the model for nothing behind it.
        gap = "\n\n" if said.text and not said.text[-1].isspace() else ""
        said = Round(said.text + gap, said.calls, said.usage)
        self.out.decide(step, said.as_json())
        if gap:
            self.out.text(gap)
        return said

    def _asked(
        self,
        messages: Sequence[ChatMessage],
        *,
        first: bool,
        offered: bool,
        usage: Usage,
        given: Given,
    ) -> Round:
        out, model = self.out, self.model
        prefix = out.prefix if model.continues_prefix else ""
        if prefix:
            out.begin_behind(prefix)
        else:
            out.finish()
        counted, gate = Usage(), self.gate(messages)
        gate.go_on_behind(prefix)
        tools = (*self._own, *given.offered(self._own)) if offered else ()
        sampling: Mapping[str, Any] = self.sampling
        if first and tools and given.choice is not None:
            sampling = {**sampling, "tool_choice": given.choice}
        text, calls = prefix, list[ToolCall]()
        with span(f"chat {model.name}", _facts(model, self.sampling), kind="client") as asking:
            try:
                for piece in model.stream(
                    messages,
                    prefix=prefix,
                    usage=counted,
                    stop=out.stop,
                    tools=tools,
                    sampling=sampling,
                ):
                    if isinstance(piece, ToolCall):
                        calls.append(piece)
                        continue
                    if text == prefix and piece:
                        _note_first(asking)
                    let_out = gate.feed(well_formed(piece))
                    if not let_out:
                        out.note_progress()
                    text += self._shown(let_out)
                text += self._shown(gate.finish())
            finally:
                usage.add(counted)
                asking.tell(_counted(counted))
        return Round(text, self.steps.decided(calls, self.work), counted)

    def _shown(self, text: str) -> str:
        if text:
            self.out.text(text)
        return text


def unkept(usage: Usage, out: FrameWriter) -> Usage:
    """Return what of the rounds' ``usage`` stands in no journal: no later owner knows of it."""
    kept = Usage()
    for _, said in out.steps("round:"):
        kept.add(Round.from_json(said).usage)
    prompt = max(0, usage.prompt_tokens - kept.prompt_tokens)
    completion = max(0, usage.completion_tokens - kept.completion_tokens)
    return Usage(prompt, completion, usage.estimated)


def well_formed(piece: str) -> str:
    """Return ``piece`` with lone surrogates, which no UTF-8 can hold, as U+FFFD."""
    return piece.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _facts(model: LanguageModel, sampling: Mapping[str, float]) -> Facts:
    return {
        **{f"gen_ai.request.{name}": value for name, value in sampling.items()},
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",  # the protocol; who speaks it is not known
        "gen_ai.request.model": model.name,
        "gen_ai.request.stream": True,
    }


def _counted(usage: Usage) -> Facts:
    return {
        "gen_ai.usage.input_tokens": usage.prompt_tokens,
        "gen_ai.usage.output_tokens": usage.completion_tokens,
    }


def _note_first(asking: Span) -> None:
    asking.event("first_text")
    asking.tell({"gen_ai.response.time_to_first_chunk": asking.age_s})
