"""Composes whom a turn may ask outside the cluster: a language model, a reranker and tools."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from kotaemon_node.adapters.llm.openai import Windows, make_language_model
from kotaemon_node.adapters.redis import RedisBreaker, connect
from kotaemon_node.adapters.reranker import RerankerPlace, make_reranker
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.adapters.system.secret_file import SecretLines
from kotaemon_node.domain import limits
from kotaemon_node.engine.breaking import GuardedModel, SharedBreaker
from kotaemon_node.engine.links import LinkTerms
from kotaemon_node.engine.pod import Pod
from kotaemon_node.engine.summarising import Advice, Memory
from kotaemon_node.engine.terms import ModelTerms
from kotaemon_node.engine.understanding.asking import Adviser
from kotaemon_node.engine.windows import text_window_s
from kotaemon_node.ports.language_model import LanguageModel, Usage
from kotaemon_node.ports.runtime import Clock, IdSource, Tasks
from kotaemon_node.retrieval.reranking import Reranking
from kotaemon_node.settings import Settings
from kotaemon_node.telemetry.metrics import Metrics


def language_model_of(
    settings: Settings, *, sampling: Mapping[str, float] | None = None
) -> LanguageModel | None:
    """Return the model behind ``LLM_BASE_URL``; None answers from the passages alone."""
    if not settings.llm_base_url:
        return None
    return make_language_model(
        settings.llm_base_url,
        settings.llm_api_key,
        settings.llm_model,
        settings.llm_continue,
        key_now=_key_now_of(settings),
        sampling=sampling_of(settings) if sampling is None else sampling,
        windows=Windows(text_window_s, SystemClock().sleep),
    )


def _key_now_of(settings: Settings) -> Callable[[], str] | None:
    """Return what reads ``LLM_API_KEY_FILE`` when it changes; None where there is no such file."""
    if settings.llm_api_key_file is None:
        return None
    lines = SecretLines(settings.llm_api_key_file, check=_unsent)
    last = lines.lines()[0]

    def key_now() -> str:
        nonlocal last
        # A file that cannot be read just now, or is being written, leaves the key before in use.
        last = next(iter(lines.lines()), last)
        return last

    return key_now


def _unsent(key: str) -> str:
    return "" if key.isascii() and key.isprintable() else "a header cannot carry it"


def reranking_of(
    settings: Settings, *, clock: Clock, metrics: Metrics, tasks: Tasks
) -> Reranking | None:
    """Return what orders passages by ``RERANK_MODEL``; ``tasks`` has a thread for it alone."""
    place = RerankerPlace(
        settings.rerank_model,
        key=settings.rerank_api_key,
        model_dir=settings.model_dir,
        threads=settings.encoder_threads,
    )
    reranker = make_reranker(place, compute=tasks.compute)
    return None if reranker is None else Reranking(reranker, clock=clock, count=metrics.rerank)


@dataclass(frozen=True, slots=True)
class GuardedEndpoint:
    """A language model, and the breaker before it that all pods share."""

    model: LanguageModel
    breaker: SharedBreaker

    def keep_looking(self, clock: Clock, pod: Pod) -> None:
        """Show whether the breaker is open, also while nobody asks this pod."""
        while not pod.draining:
            self.breaker.open_now()
            clock.sleep(limits.BREAKER_LOOK_S)


def guarded_model_of(
    settings: Settings, *, clock: Clock, ids: IdSource, metrics: Metrics
) -> GuardedEndpoint | None:
    """Return the model behind ``LLM_BASE_URL`` and its breaker, one for each address."""
    model = language_model_of(settings)
    if model is None:
        return None
    endpoint = urlsplit(settings.llm_base_url).netloc.rpartition("@")[2]
    # A pool of its own: requests that use theirs up must not make a pod judge alone.
    store = connect(settings.redis_url, pool_max=4)
    breaker = SharedBreaker(
        RedisBreaker(store, address=settings.llm_base_url),
        clock=clock,
        show=partial(metrics.breaker_open, endpoint),
    )
    return GuardedEndpoint(GuardedModel(model, breaker, ids=ids), breaker)


def terms_of(settings: Settings) -> ModelTerms:
    """Return on what terms it is asked."""
    return ModelTerms(
        price_prompt=settings.llm_price_prompt,
        price_completion=settings.llm_price_completion,
        sampling=sampling_of(settings),
        prompt_chars_max=settings.llm_prompt_chars,
        turn_tokens_max=settings.llm_turn_tokens,
        turn_cost_max=settings.llm_turn_cost,
        links=LinkTerms(
            settings.answer_links,
            frozenset(filter(None, map(_host, settings.answer_link_hosts.split(",")))),
        ),
    )


def _host(told: str) -> str:
    return told.strip().lower().strip(".")


def sampling_of(settings: Settings) -> Mapping[str, float]:
    """Return temperature and seed, as far as they are set."""
    asked = {"temperature": settings.llm_temperature, "seed": settings.llm_seed}
    return {name: value for name, value in asked.items() if value is not None}


def memory_of(
    settings: Settings, adviser: Adviser | None, *, tasks: Tasks, metrics: Metrics
) -> Memory:
    """Return what sums up the turns that leave a history; ``adviser`` where there is a model."""
    terms = terms_of(settings)

    def count(usage: Usage) -> None:
        metrics.llm_tokens(usage.prompt_tokens, usage.completion_tokens)
        metrics.llm_cost(terms.cost(usage))

    return Memory(advice=Advice(adviser, tasks, count) if adviser else None)
