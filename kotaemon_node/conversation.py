"""Conversations for programs: in this process alone, or shared with the pods of a cluster.

    memory = ConversationMemory(max_history=10, summary_threshold=5)
    agent = ConversationAgent(memory, rag_pipeline, tool_registry, use_tool_calling=True)
    print(agent.step("How long does shipping to Germany take?"))
    print(agent.step("And to Canada?"))

With ``ConversationMemory(store="redis://…", session_id="s1")`` the talk is the session ``s1`` of
the cluster on that Redis: what is said here, a pod goes on with, and the other way round.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.domain.acting_limits import HISTORY_READ_TURNS, SUMMARY_THRESHOLD_TURNS
from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.domain.errors import Fenced, Gone, SessionBusy, StoreUnavailable
from kotaemon_node.domain.frames import Frame, FrameBody
from kotaemon_node.domain.ids import checked_id
from kotaemon_node.domain.limits import MAX_HISTORY_TURNS
from kotaemon_node.domain.session import Turn
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.memory import MemoryRule
from kotaemon_node.engine.summarising import Memory
from kotaemon_node.library.acting import LocalPlugins
from kotaemon_node.library.running import Answer, Running, Text, TurnNotAnswered, answer, texts
from kotaemon_node.library.shared import OnRedis
from kotaemon_node.library.talk import InProcess, Place
from kotaemon_node.ports.sessions import Ending
from kotaemon_node.rag import RetrievalAugmentedGenerator, in_loop
from kotaemon_node.telemetry.metrics import Metrics
from kotaemon_node.tools import ToolRegistry

__all__ = [
    "Answer",
    "ConversationAgent",
    "ConversationMemory",
    "Fenced",
    "Gone",
    "SessionBusy",
    "StoreUnavailable",
    "Text",
    "TurnNotAnswered",
]


class ConversationMemory:
    """What is remembered of one talk: its last turns whole, those before them summarised."""

    def __init__(
        self,
        max_history: int = MAX_HISTORY_TURNS,
        summary_threshold: int = SUMMARY_THRESHOLD_TURNS,
        *,
        store: str | None = None,
        session_id: str | None = None,
        user_id: str | None = None,
        channel: str | None = None,
        context: Mapping[str, Any] | None = None,
        encryption_key_file: str | Path | None = None,
    ) -> None:
        """Begin a talk, or go on with the session ``session_id`` of the Redis at ``store``.

        The last ``max_history`` turns are kept whole. Once more than ``summary_threshold`` turns
        stand behind them, those leave together, into the summary. ``user_id``, ``channel`` and
        ``context`` are given to a session that is new, for prompts and tools.
        ``encryption_key_file``: that of a cluster that seals what is said.

        Raises ``ValueError`` (numbers that cannot be; on Redis at most 15 turns in all, which is
        what pods read), ``Malformed`` (an id) and ``StoreUnavailable``.

        >>> memory = ConversationMemory(max_history=2, summary_threshold=1)
        >>> for number in range(1, 5):
        ...     memory.add(f"Where is parcel {number}000?", f"Parcel {number}000 is on its way.")
        >>> [turn.message for turn in memory.turns]
        ['Where is parcel 3000?', 'Where is parcel 4000?']
        >>> print(memory.summary)
        # 1000, 2000
        - Asked: Where is parcel 1000? | Told: Parcel 1000 is on its way.
        - Asked: Where is parcel 2000? | Told: Parcel 2000 is on its way.
        """
        self.rule = MemoryRule(max_history, summary_threshold)
        ids, clock = RandomIds(), SystemClock()
        self.session_id = checked_id("session_id", session_id or ids.new_id())
        head = {"user_id": user_id, "channel": channel, "context": dict(context or {})}
        self.place: Place
        if store is None:
            self.place = InProcess(self.session_id, rule=self.rule, clock=clock, ids=ids, head=head)
            return
        if max_history + summary_threshold > HISTORY_READ_TURNS:
            raise ValueError(
                f"max_history and summary_threshold are {HISTORY_READ_TURNS} together at most on"
                " Redis: the pods that share the session read no more"
            )
        self.place = OnRedis(
            store,
            self.session_id,
            head=head,
            metrics=Metrics(),
            encryption_key_file=Path(encryption_key_file) if encryption_key_file else None,
        )

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns that no summary tells of, oldest first."""
        return self.rule.whole(self.place.view())

    @property
    def summary(self) -> str:
        """What is remembered of the turns before them, "" where there are none."""
        return self.place.view().summary

    @property
    def state(self) -> DialogueState:
        """Slots, topic, and what waits for a yes."""
        return self.place.view().state

    def add(self, message: str, text: str) -> None:
        """Remember an exchange that was made elsewhere. Errors as ``ConversationAgent.step``."""
        with self.place.owning():
            work = self.place.begin(message)
            turn = Turn(
                work.lease.key.turn_id,
                message,
                State.DONE,
                answer=text,
                owner=work.lease.owner,
                attempts=1,
                trace_id=work.lease.trace_id,
                created_at=work.created_at,
            )
            kept = Memory(self.rule).begin(work, advised=False).summary()
            ending = Ending(turn, FrameBody("done", {"state": "done"}), seq=1, summary=kept)
            committed = self.place.commit(work.lease, ending, take_next=False)
        self.place.announce(work, committed, turn)

    def close(self) -> None:
        """Let go of the store; a talk that is kept there goes on."""
        self.place.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ConversationAgent:
    """Answers the messages of one talk, from documents and with tools."""

    def __init__(
        self,
        memory: ConversationMemory,
        rag_pipeline: RetrievalAugmentedGenerator,
        tool_registry: ToolRegistry | None = None,
        use_tool_calling: bool = True,
        *,
        plugins: Sequence[str | Path] = (),
    ) -> None:
        """``tool_registry``: what the language model of ``rag_pipeline`` may call.

        ``use_tool_calling`` False: no tool is called. ``plugins``: files of plugins that answer
        the messages whose intent they have examples of, with or without a language model; each
        runs behind its walls until ``close``. Raises ``Invalid`` and ``PluginRefused``.
        """
        self.memory = memory
        toolbox = tool_registry if use_tool_calling else None
        self._plugins = LocalPlugins(plugins) if plugins else None
        self._running: Running = (
            rag_pipeline.running(toolbox)
            if self._plugins is None
            else rag_pipeline.running(toolbox, self._plugins)
        )
        self._summing = rag_pipeline.memory(memory.rule)

    def step(self, text: str) -> Answer:
        """Answer one message of the talk, and remember both.

        On Redis the turn is owned, stored and committed as a pod does it. Raises
        ``TurnNotAnswered``, ``SessionBusy`` (another turn of the session runs), ``Gone`` (the
        store has lost some of the session; say it again) and ``StoreUnavailable``.
        """
        return answer(self.frames(text))

    def stream(self, text: str) -> Iterator[Text]:
        """Yield the answer piece by piece; as ``RetrievalAugmentedGenerator.stream_generate``."""
        return texts(self.frames(text))

    async def astream(self, text: str) -> AsyncIterator[Text]:
        """Yield as ``stream``, in an event loop that goes on meanwhile."""
        async for piece in in_loop(self.stream(text)):
            yield piece

    def close(self) -> None:
        """End its plugins; memory and documents are others'."""
        if self._plugins is not None:
            self._plugins.close()

    def frames(self, text: str) -> Iterator[Frame | Turn]:
        """Yield all that happens in the turn: sources, calls of tools, text; at last the turn."""
        return self._running.turn(self.memory.place, text, memory=self._summing)
