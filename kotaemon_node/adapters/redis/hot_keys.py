"""The keys of hot answers; their schema is that of ``keys``."""

from dataclasses import dataclass

from kotaemon_node.ports.hot_answers import AnswerName


@dataclass(frozen=True, slots=True)
class HotKeys:
    """The keys that are read and written together for one hot answer; all are strings."""

    answer: str
    asked: str
    before: str
    kept: str

    @classmethod
    def of(cls, name: AnswerName) -> "HotKeys":
        """Return the keys of ``name``; of ``HOT_SHARES`` shares that of its question."""
        share = f"kn:answer:{{{name.question[:2]}}}:"
        asked = f"{share}asked:{name.tenant}"
        return cls(share + name.digest, asked, f"{asked}:before", share + "kept")
