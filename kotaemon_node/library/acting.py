"""Plugins of a program: recognised by their examples, asked and carried out as in a pod."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from kotaemon_node.domain.intent_book import EMPTY_BOOK
from kotaemon_node.engine.acting.step import Acting
from kotaemon_node.engine.intents import Intents
from kotaemon_node.engine.intents.examples import ExampleRecogniser
from kotaemon_node.library.plugin_trial import Trial, on_trial
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.plugins import Plugin
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.retrieval.batching import QuestionEncoder
from kotaemon_node.telemetry.metrics import Metrics


class LocalPlugins:
    """``ports.plugins.Plugins`` from files, each in a process of its own."""

    def __init__(self, paths: Iterable[str | Path]) -> None:
        """Start them. Raises ``Invalid`` and ``PluginRefused``, and leaves none running then."""
        self._all: list[Trial] = []
        try:
            for path in paths:
                self._all.append(on_trial(Path(path), config={}, sandboxed=True))
        except BaseException:
            self.close()
            raise

    def offered(self, tenant: str, session_id: str) -> Sequence[Plugin]:
        """See the port: all of them, to every talk."""
        return sorted(self._all, key=lambda it: it.description.name)

    @property
    def revision(self) -> int:
        """See the port: they do not change."""
        return 1

    def close(self) -> None:
        """End them."""
        while self._all:
            self._all.pop().close()


def acting_of(
    plugins: LocalPlugins, encoder: Encoder, *, clock: Clock, tasks: Tasks, metrics: Metrics
) -> Acting:
    """Return the step of a turn in which ``plugins`` answer."""
    examples = ExampleRecogniser(
        EMPTY_BOOK,
        encoder,
        QuestionEncoder(encoder, compute=tasks.compute),
        clock=clock,
        tasks=tasks,
    )
    intents = Intents(EMPTY_BOOK, others=[examples])
    return Acting(plugins, intents, clock=clock, tasks=tasks, metrics=metrics)
