"""Makes the question that is searched, as a profile says.

| expander | searched |
|---|---|
| none | the message |
| rewrite | the question that stands alone: by rules, or by a language model where there is one |
| multi_hop | that one, and its parts |
| hyde | that one, and a passage that a language model drafts |
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from kotaemon_node.domain import limits
from kotaemon_node.domain.experiment import ExpanderType
from kotaemon_node.engine.profile import AnswerProfile
from kotaemon_node.engine.prompt import fence_mark
from kotaemon_node.engine.understanding import Asked, unannounced
from kotaemon_node.engine.understanding.advised import drafted, rewritten, to_draft, to_rewrite
from kotaemon_node.engine.understanding.asking import Adviser
from kotaemon_node.engine.understanding.colloquial import written
from kotaemon_node.engine.understanding.rewriting import stand_alone
from kotaemon_node.engine.understanding.splitting import parts_of
from kotaemon_node.engine.understanding.topics import Exchange
from kotaemon_node.ports.language_model import Usage
from kotaemon_node.ports.runtime import StopSignal
from kotaemon_node.ports.sessions import Work

_CITATION: Final = re.compile(r" ?\[\d{1,3}\]")


@dataclass(frozen=True, slots=True)
class Said:
    """A message and what is known where it was said."""

    message: str
    past: Sequence[Exchange]
    """Oldest first."""
    id: str
    """From which the mark of quotations follows: the same, the same prompt."""
    sampling: Mapping[str, float] = field(default_factory=dict)
    summary: str = ""
    """Of what was said before ``past``."""


class Expanding:
    """``engine.understanding.Understanding``. Thread safe."""

    def __init__(self, adviser: Adviser | None = None) -> None:
        """Without an ``adviser`` rules alone decide, and nothing is drafted."""
        self._adviser = adviser

    def understand(
        self,
        work: Work,
        profile: AnswerProfile,
        *,
        stop: StopSignal,
        asking: Callable[[], None] = unannounced,
    ) -> Asked:
        past = [
            # Numbers of citations are no words of the talk.
            Exchange(turn.message, _CITATION.sub("", turn.answer))
            for turn in work.session.turns
        ]
        said = Said(work.message, past, work.lease.trace_id, profile.sampling, work.session.summary)
        return self.expand(said, profile.expander, stop=stop, asking=asking)

    def expand(
        self,
        said: Said,
        expander: ExpanderType,
        *,
        stop: StopSignal,
        asking: Callable[[], None] = unannounced,
    ) -> Asked:
        """Return what is asked; raises nothing but the reason of ``stop``."""
        if expander == "none":
            return Asked(said.message, said.message)
        asked = self._alone(said, stop=stop, asking=asking)
        match expander:
            case "rewrite":
                return asked
            case "multi_hop":
                return replace(asked, parts=parts_of(asked.search))
            case "hyde":
                return self._drafted(asked, said, stop=stop, asking=asking)

    def _alone(self, said: Said, *, stop: StopSignal, asking: Callable[[], None]) -> Asked:
        plain = written(said.message)
        by_rules = stand_alone(plain, said.past)
        if by_rules == said.message:
            return Asked(said.message, said.message)
        leans = by_rules != plain
        asked = Asked(said.message, by_rules, from_history=leans, by="rules")
        if self._adviser is None or not leans:
            return asked
        asking()
        mark, usage = fence_mark(said.id), Usage()
        answer = self._adviser.said(
            to_rewrite(said.message, said.past, mark=mark, summary=said.summary),
            chars_max=limits.REWRITTEN_CHARS_MAX + len(said.message),
            limit_s=limits.UNDERSTANDING_TIMEOUT_S,
            usage=usage,
            sampling=said.sampling,
            stop=stop,
        )
        asked = replace(asked, tokens=(usage.prompt_tokens, usage.completion_tokens))
        question = rewritten(answer or "", said.message, said.past, mark=mark, summary=said.summary)
        if question is None:
            return asked
        return replace(asked, search=question, from_history=question != said.message, by="model")

    def _drafted(
        self, asked: Asked, said: Said, *, stop: StopSignal, asking: Callable[[], None]
    ) -> Asked:
        if self._adviser is None:
            return asked
        asking()
        usage = Usage()
        answer = self._adviser.said(
            to_draft(asked.search),
            chars_max=limits.DRAFT_CHARS_MAX,
            limit_s=limits.DRAFT_TIMEOUT_S,
            usage=usage,
            sampling=said.sampling,
            stop=stop,
        )
        tokens = (
            asked.tokens[0] + usage.prompt_tokens,
            asked.tokens[1] + usage.completion_tokens,
        )
        passage = drafted(answer or "", asked.search)
        return replace(asked, parts=() if passage is None else (passage,), tokens=tokens)
