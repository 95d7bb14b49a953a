"""What a caller gives a turn besides its message: earlier exchanges, wishes, tools of its own.

Rule 1: it is kept with the turn, as one of its options, so whoever takes the turn over has it, too.
Rule 2: it gives no right. Exchanges are read, never believed: no proposal waits in them. Wishes are
    quoted. A tool of the caller is never called here: its call is handed to the caller, and with
    that the turn ends.
Rule 3: a turn that is ``alone`` in its session proposes nothing, calls for nobody and leaves no
    call behind: no message follows that could say yes, and whatever is said later is not heard.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kotaemon_node.engine.prompt import tool_messages
from kotaemon_node.engine.seeding import exchanges
from kotaemon_node.ports.language_model import ChatMessage, ToolCall
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.tools import ToolSpec

OPTION: Final = "given"
"""The option of a turn that holds it; a plain turn's request cannot set it."""
ALONE: Final = "alone"
"""The option of a turn whose session was made for it."""


@dataclass(frozen=True, slots=True)
class Given:
    """It, as read from the options of a turn."""

    history: Sequence[Mapping[str, Any]] = ()
    """Messages ``{role: user | assistant, content}``, oldest first."""
    wishes: str = ""
    """How the caller would have the answer: tone, language, form."""
    tools: Sequence[ToolSpec] = ()
    """The caller's own."""
    choice: Any = None
    """``tool_choice`` of the first round, in the form of OpenAI's interface; None: the model's."""
    one_call: bool = False
    """Whether at most one call is handed over."""
    results: Sequence[Mapping[str, Any]] = ()
    """What came of calls that were handed over before, for this very message: ``{text, calls:
    [{id, name, arguments, result}]}``, round by round."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request to the model, before those of the profile."""

    @classmethod
    def of(cls, work: Work) -> "Given":
        """Return what was given to the turn of ``work``."""
        said = work.options.get(OPTION)
        if not isinstance(said, Mapping):
            return NOTHING
        tools = [
            ToolSpec(tool["name"], tool["description"], tool["parameters"], "read")
            for tool in said.get("tools", ())
        ]
        names = ("history", "wishes", "choice", "one_call", "results", "sampling")
        return cls(tools=tools, **{name: said[name] for name in names if name in said})

    @property
    def shapes(self) -> bool:
        """Whether it has a part in the answer beside what was said before."""
        return bool(self.wishes or self.tools or self.results or self.sampling)

    def offered(self, own: Sequence[ToolSpec]) -> tuple[ToolSpec, ...]:
        """Return the caller's tools, but those named as one of the cluster's ``own``."""
        taken = {spec.name for spec in own}
        return tuple(tool for tool in self.tools if tool.name not in taken)

    def handed(
        self, calls: Sequence[ToolCall], own: Sequence[ToolSpec]
    ) -> tuple[tuple[int, ToolCall], ...]:
        """Return, of one round's calls, those of the caller's tools, with their places from 1.

        Whose arguments cannot be read are left out.
        """
        names = {tool.name for tool in self.offered(own)}
        found = [
            (place, call)
            for place, call in enumerate(calls, start=1)
            if call.name in names and call.arguments is not None
        ]
        return tuple(found[:1] if self.one_call else found)

    def behind(self, *, trace_id: str, chars_max: int) -> tuple[ChatMessage, ...]:
        """Return the messages of a prompt that tell of ``results``, those quoted.

        Each round may take half of the ``chars_max`` that are left, the last one first.
        """
        told: list[ChatMessage] = []
        left = chars_max
        for one in reversed(self.results):
            calls = [ToolCall(it["id"], it["name"], it["arguments"]) for it in one["calls"]]
            left //= 2
            answers = tool_messages(
                calls, [it["result"] for it in one["calls"]], trace_id=trace_id, chars_max=left
            )
            told[:0] = [ChatMessage("assistant", one["text"], tool_calls=tuple(calls)), *answers]
        return tuple(told)


NOTHING: Final = Given()


def with_given(work: Work) -> Work:
    """Return ``work`` with the exchanges that were given as the last ones of its session."""
    given = Given.of(work)
    if not given.history:
        return work
    turns = (*work.session.turns, *exchanges(given.history))
    return replace(work, session=replace(work.session, turns=turns))


def is_alone(work: Work) -> bool:
    """Tell whether the session was made for this one turn."""
    return work.options.get(ALONE) is True
