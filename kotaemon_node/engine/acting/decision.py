"""What a turn decided to do, as it is journalled before anything is called."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.engine.acting.sentences import Sentence
from kotaemon_node.ports.tools import Effects

ACTING: Final = "acting"
"""Step: what is done about the message."""

Kind = Literal["none", "hook", "run", "tell"]
"""``none``: the message is a question to the documents, but the state may have changed. ``hook``: a
plugin answers its intent. ``run``: what the user said yes to is carried out. ``tell``: only a
sentence is said.
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision. ``state`` is the session's once the turn has ended so far as is known now."""

    kind: Kind
    state: DialogueState
    intent: str = ""
    by: str = ""
    confidence: float = 0.0
    plugin: str = ""
    version: str = ""
    method: str = ""
    effects: Effects = "read"
    """Of the plugin, not of its hook."""
    looks_up: bool = False
    confirm: bool = True
    arguments: Mapping[str, Any] = field(default_factory=dict)
    summary: str = ""
    user_input: str = ""
    sentence: Sentence | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    """What fills ``sentence`` in."""
    text: str = ""
    """Said as it is, where there is no ``sentence``."""
    tokens: tuple[int, int] = (0, 0)
    """What a language model read and wrote to recognise the intent."""
    reply: str = ""
    """What became of a proposal: confirmed, declined, expired, changed, or dropped."""

    def to_json(self) -> Mapping[str, Any]:
        """Return it as a JSON object, without what is as usual."""
        said = asdict(self)
        usual = asdict(Decision("none", DialogueState()))
        kept = {name: it for name, it in said.items() if it != usual[name]}
        return {**kept, "kind": self.kind, "state": self.state.to_json()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Decision":
        """Read ``to_json`` back, also what a newer program wrote."""
        known = {name: it for name, it in fields.items() if name in cls.__slots__}
        return cls(**{**known, "state": DialogueState.from_json(fields.get("state"))})

    def noted(self) -> Mapping[str, Any]:
        """Return what the audit record says of it."""
        names = ("kind", "intent", "by", "plugin", "version", "method", "summary", "reply")
        said = {name: getattr(self, name) for name in names if getattr(self, name)}
        if self.confidence:
            said["confidence"] = round(self.confidence, 3)
        if self.sentence:
            said["said"] = self.sentence
        return said
