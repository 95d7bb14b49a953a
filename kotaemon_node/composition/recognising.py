"""Composes who recognises what a message wants: rules, a service, examples, a language model."""

from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from kotaemon_node.adapters.intents.described import read_intents
from kotaemon_node.adapters.intents.service import HttpIntentService
from kotaemon_node.adapters.redis import RedisBreaker, connect
from kotaemon_node.adapters.system.gevent_tasks import GeventTasks
from kotaemon_node.engine.breaking import SharedBreaker
from kotaemon_node.engine.intents import Intents, Recogniser
from kotaemon_node.engine.intents.asking import ModelRecogniser, ServiceRecogniser
from kotaemon_node.engine.intents.checking import problems
from kotaemon_node.engine.intents.examples import ExampleRecogniser
from kotaemon_node.engine.understanding.asking import Adviser
from kotaemon_node.ports.encoder import Encoder, is_elsewhere
from kotaemon_node.ports.runtime import Clock, IdSource, Tasks
from kotaemon_node.retrieval.batching import QuestionEncoder
from kotaemon_node.settings import Settings
from kotaemon_node.telemetry.metrics import Metrics


def intents_of(
    settings: Settings,
    *,
    encoder: Encoder,
    adviser: Adviser | None,
    clock: Clock,
    ids: IdSource,
    tasks: Tasks,
    metrics: Metrics,
) -> Intents:
    """Return them. Raises ``ValueError`` saying what is wrong in ``INTENTS_FILE`` or the address.

    ``encoder``: that of retrieval, so that a question is encoded once. ``adviser``: None where
    there is no language model.
    """
    book = read_intents(settings.intents_file, check=problems)
    others: list[Recogniser] = []
    if settings.intent_url:
        service = HttpIntentService(settings.intent_url, key=settings.intent_api_key)
        breaker = SharedBreaker(
            RedisBreaker(connect(settings.redis_url, pool_max=2), address=settings.intent_url),
            clock=clock,
            show=partial(metrics.breaker_open, urlsplit(settings.intent_url).netloc),
        )
        others.append(
            ServiceRecogniser(service, breaker, ids=ids, threshold=settings.intent_threshold)
        )
    compute: Callable[..., Any] = _here if is_elsewhere(encoder) else tasks.compute
    examples = ExampleRecogniser(
        book,
        encoder,
        QuestionEncoder(encoder, compute=compute),
        clock=clock,
        tasks=GeventTasks(native_threads=1),  # seconds of learning must not hold up searches
        kept=settings.intent_kept,
    )
    examples.prepare({})
    others.append(examples)
    last = ModelRecogniser(adviser, book) if adviser else None
    return Intents(book, others=others, last=last)


def _here(work: Callable[..., Any], *arguments: Any) -> Any:
    """Run what waits for a server where tasks wait: it needs no native thread."""
    return work(*arguments)
