"""Answers from documents, for programs without a cluster.

    generator = RetrievalAugmentedGenerator.from_config("rag.yaml")
    generator.ingest(["handbook.pdf", "faq/"])
    print(generator.generate("How long does shipping take?"))
    async for piece in generator.astream_generate("And to Canada?"):
        print(piece, end="")

Reading, cutting, encoding, searching and answering are those of a cluster; without a language model
the best sentences of the best passages are the answer, each with its citation.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Self

from kotaemon_node.adapters.llm.openai import make_language_model
from kotaemon_node.adapters.system import RandomIds, SystemClock, ThreadTasks
from kotaemon_node.domain.experiment import EXTRACTIVE
from kotaemon_node.domain.knowledge import Hit
from kotaemon_node.domain.limits import TOP_K_DEFAULT
from kotaemon_node.engine.answering import Answerer
from kotaemon_node.engine.memory import MemoryRule
from kotaemon_node.engine.plugin_tools import PluginToolbox
from kotaemon_node.engine.summarising import Advice, Memory
from kotaemon_node.engine.understanding.asking import Adviser
from kotaemon_node.engine.understanding.expanding import Expanding
from kotaemon_node.evaluation.base import Tell
from kotaemon_node.library.acting import LocalPlugins, acting_of
from kotaemon_node.library.config import ConfigProblem, RagConfig, read_config
from kotaemon_node.library.knowledge import Ingested, LocalIndex
from kotaemon_node.library.running import Answer, Running, Text, TurnNotAnswered, answer, texts
from kotaemon_node.library.talk import InProcess
from kotaemon_node.local.places import models_folder
from kotaemon_node.ports.language_model import LanguageModel
from kotaemon_node.ports.tools import Toolbox
from kotaemon_node.settings import environment_value
from kotaemon_node.telemetry.metrics import Metrics

__all__ = [
    "Answer",
    "ConfigProblem",
    "Ingested",
    "RagConfig",
    "RetrievalAugmentedGenerator",
    "Text",
    "TurnNotAnswered",
]

_ADDRESSES: Final = ("LLM_BASE_URL", "OPENAI_BASE_URL")
_KEYS: Final = ("LLM_API_KEY", "OPENAI_API_KEY")
_END: Final = object()


def _say_nothing(doing: str, done: int, of: int) -> None:
    """Keep how far an ingest is to itself."""


class RetrievalAugmentedGenerator:
    """Finds passages of its documents and answers from them. Thread safe but for ``ingest``."""

    def __init__(self, config: RagConfig = RagConfig()) -> None:  # noqa: B008 - a frozen value
        """Open the index of ``config``; its documents are ingested when they are first needed.

        Raises ``EncoderSetupError`` where the encoder's weights are not there
        (``kotaemon models fetch`` fetches them).
        """
        self._config = config
        self._clock, self._ids, self._tasks = SystemClock(), RandomIds(), ThreadTasks()
        self._metrics = Metrics()
        models = config.models or models_folder()
        self._index = LocalIndex(config.index, encoder=config.encoder, models=models)
        self._model = _model(config)
        self._adviser = (
            Adviser(self._model, clock=self._clock, tasks=self._tasks) if self._model else None
        )
        self._begun = threading.Lock()
        self._ingested = False

    @classmethod
    def from_config(cls, file: str | Path) -> Self:
        """Return the generator that a YAML file describes. Raises ``ConfigProblem``."""
        return cls(read_config(Path(file)))

    def ingest(self, paths: Iterable[str | Path] = (), *, tell: Tell = _say_nothing) -> Ingested:
        """Put documents into the index: files, and all files of folders; the config's, too.

        A file of a name that is there replaces it. ``tell(doing, done, of)`` hears how far it is.
        What cannot be read is listed with its reason and keeps nothing else out.
        """
        with self._begun:
            self._ingested = True
            wanted = [*self._config.knowledge, *(Path(path) for path in paths)]
            return self._index.ingest(wanted, tell)

    def search(self, question: str, *, top_k: int = TOP_K_DEFAULT) -> tuple[Hit, ...]:
        """Return the best passages with their scores, best first."""
        self._begin()
        with self._index.pinned("default") as knowledge:
            legs = self._config.profile.legs
            return tuple(knowledge.search(question, top_k=top_k, legs=legs).hits)

    def generate(self, text: str) -> Answer:
        """Answer one question. Raises ``TurnNotAnswered``."""
        return answer(self._turn(text))

    def stream_generate(self, text: str) -> Iterator[Text]:
        """Yield the answer piece by piece as it is made. Raises ``TurnNotAnswered``.

        A piece whose ``restart`` is true begins the answer anew: what came before it is void. That
        is rare: a language model failed in the middle.
        """
        return texts(self._turn(text))

    async def astream_generate(self, text: str) -> AsyncIterator[Text]:
        """Yield as ``stream_generate``, in an event loop that goes on meanwhile."""
        async for piece in in_loop(self.stream_generate(text)):
            yield piece

    def close(self) -> None:
        """Let go of the index."""
        self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def running(
        self, toolbox: Toolbox | None = None, plugins: LocalPlugins | None = None
    ) -> Running:
        """Return what runs turns on these documents; a language model may call ``toolbox``."""
        self._begin()
        acting = None
        if plugins is not None:
            toolbox = PluginToolbox(plugins, toolbox)
            acting = acting_of(
                plugins,
                self._index.encoder,
                clock=self._clock,
                tasks=self._tasks,
                metrics=self._metrics,
            )
        answerer = Answerer(
            self._index,
            language_model=self._model,
            clock=self._clock,
            metrics=self._metrics,
            toolbox=toolbox,
            understanding=Expanding(self._adviser),
            profile_of=lambda work: self._config.profile,
            acting=acting,
        )
        return Running(answerer, self._metrics, lambda work: self._config.profile)

    def memory(self, rule: MemoryRule) -> Memory:
        """Return what sums up talks by ``rule``, with the help of the language model."""
        advice = Advice(self._adviser, self._tasks, lambda usage: None) if self._adviser else None
        return Memory(rule, advice)

    def _turn(self, text: str) -> Iterator[Any]:
        rule = MemoryRule()
        place = InProcess(self._ids.new_id(), rule=rule, clock=self._clock, ids=self._ids, head={})
        return self.running().turn(place, text, memory=self.memory(rule))

    def _begin(self) -> None:
        """Ingest what the config names, once."""
        if self._config.knowledge and not self._ingested:
            self.ingest()


async def in_loop(pieces: Iterator[Text]) -> AsyncIterator[Text]:
    """Yield ``pieces``, which wait, without holding up the event loop."""
    while (piece := await asyncio.to_thread(next, pieces, _END)) is not _END:
        assert isinstance(piece, Text)
        yield piece


def _model(config: RagConfig) -> LanguageModel | None:
    """Return the language model of a config or of the environment; None: the passages answer."""
    address = config.base_url or _first(_ADDRESSES)
    if config.model == EXTRACTIVE or not address:
        return None
    key = environment_value(config.api_key_env) if config.api_key_env else _first(_KEYS)
    name = config.model or environment_value("LLM_MODEL") or ""
    return make_language_model(address, key or "", name, "none")


def _first(names: Iterable[str]) -> str:
    return next((value for name in names if (value := environment_value(name))), "")
