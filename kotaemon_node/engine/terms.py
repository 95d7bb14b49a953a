"""On what terms a language model is asked: what it costs, how it samples, how much it may read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kotaemon_node.domain.limits import PROMPT_CHARS_MAX
from kotaemon_node.engine.links import LinkTerms
from kotaemon_node.ports.language_model import Usage

_PER: Final = 1_000_000
_DECIMALS: Final = 9  # a token of the cheapest models costs 0.00000002 of the usual currencies


@dataclass(frozen=True, slots=True)
class ModelTerms:
    """Those of one deployment."""

    price_prompt: float = 0.0
    """Of a million tokens that the model reads; the currency is the operator's."""
    price_completion: float = 0.0
    """Of a million tokens that it writes."""
    sampling: Mapping[str, float] = field(default_factory=dict)
    """``temperature`` and ``seed`` that the model was configured with."""
    prompt_chars_max: int = PROMPT_CHARS_MAX
    turn_tokens_max: int = 0
    """Of all rounds of a turn; 0: no limit."""
    turn_cost_max: float = 0.0
    links: LinkTerms = field(default_factory=LinkTerms)
    """Which addresses may leave in what it writes."""

    def used_up(self, usage: Usage) -> bool:
        """Tell whether a turn has taken what one turn may take."""
        tokens = usage.prompt_tokens + usage.completion_tokens
        dear = 0 < self.turn_cost_max <= self.cost(usage)
        return dear or 0 < self.turn_tokens_max <= tokens

    def cost(self, usage: Usage) -> float:
        """Return what the tokens cost."""
        of_prompt = usage.prompt_tokens * self.price_prompt
        of_completion = usage.completion_tokens * self.price_completion
        return round((of_prompt + of_completion) / _PER, _DECIMALS)

    def told(self, usage: Usage) -> Mapping[str, Any]:
        """Return tokens and cost as a turn shows them; guesses say so."""
        told = {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cost": self.cost(usage),
        }
        return {**told, "estimated": True} if usage.estimated else told


FREE: Final = ModelTerms()
