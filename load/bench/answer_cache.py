"""Measures hot answers: how many are hits, what a hit costs, who makes an answer of many at once.

Two pods of this process on a real Redis, with real documents, questions and encoder; and how safe
it would be to take a similar question for the same one.

    python -m load.bench.answer_cache --data FOLDER --models .models --out load/results/answer_cache
"""

import argparse
import hashlib
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.redis import RedisHotAnswers, connect
from kotaemon_node.adapters.redis.hot_keys import HotKeys
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.domain import limits
from kotaemon_node.domain.knowledge import Manifest, Passage
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.encoder import Encoder
from kotaemon_node.ports.hot_answers import AnswerName, Found, HotAnswer
from kotaemon_node.retrieval.analysis import terms
from kotaemon_node.retrieval.found_before import FoundBefore, RememberedKnowledge
from kotaemon_node.retrieval.generation import OpenGeneration, load_segment
from kotaemon_node.retrieval.indexed import indexed_text
from kotaemon_node.retrieval.opening import SearcherFactory
from kotaemon_node.retrieval.searcher import Searcher
from load.bench.answer_cache_report import report
from load.bench.answer_cache_similar import similar_questions
from load.bench.answer_corpora import Corpora
from load.kept import keep, progress
from load.surroundings import commit, machine
from tests.hot_pods import HotPod, Saying, cached
from tests.redis_server import RedisServer

DISTINCT, REQUESTS, ZIPF = 1_000, 5_000, 1.1
CLIENTS = 4
AT_ONCE, SHARED_QUESTIONS = 8, 20
# As a small model on a processor says it: the rest of a turn is the product's own.
TOKEN_S, TOKENS = 0.02, 40


class Lent:
    """One generation, lent for ever."""

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    @contextmanager
    def pinned(self, kb: str, *, min_generation: int = 0) -> Iterator[Searcher]:
        """Lend it."""
        yield self._searcher


def opened(passages: Sequence[Passage], encoder: Encoder, folder: Path) -> Lent:
    """Index the passages as the product does."""
    texts = [indexed_text(passage) for passage in passages]
    entry = FaissSegmentFormat().write(
        folder, passages, [terms(text) for text in texts], encoder.encode_passages(texts)
    )
    segment = FaissSegmentFormat().open({path.name: path for path in folder.iterdir()}, entry)
    manifest = Manifest(
        tenant="default",
        kb="default",
        generation=1,
        parent=None,
        encoder=encoder.name,
        spaces=dict(encoder.spaces),
        segments=(entry,),
        documents=(),
        created_at="",
    )
    generation = OpenGeneration(manifest, [load_segment(segment)], on_close=segment.close)
    return Lent(SearcherFactory(lambda _: encoder, tasks=ThreadTasks()).make(generation))


# --- the store alone -------------------------------------------------------------------------


def mix_of_looks(server: RedisServer) -> dict[str, Any]:
    """Do with a cold store what ``REQUESTS`` turns do with it, and nothing else."""
    shares = []
    for seed in (7, 8, 9):
        server.wipe()
        hot = RedisHotAnswers(connect(server.url), ttl_s=600)
        counts = Counter[str]()
        for number, question in enumerate(
            asked_in_turn([str(n) for n in range(DISTINCT)], seed=seed)
        ):
            digest = hashlib.sha256(question.encode()).hexdigest()
            name, asker = AnswerName("default", digest, digest), _turn(number)
            found = hot.look(name, asker)
            if found.author == asker:
                hot.keep(name, asker, HotAnswer("x" * 500, (), generation=1))
            counts["hit" if found.answer else "made" if found.author else "first"] += 1
        shares.append({**counts, "hit_share": counts["hit"] / REQUESTS})
    return {"requests": REQUESTS, "distinct": DISTINCT, "by_seed": shares}


def _turn(number: int) -> TurnKey:
    return TurnKey(SessionKey("default", f"s{number}"), "t")


# --- hits ------------------------------------------------------------------------------------


def asked_in_turn(questions: Sequence[str], *, seed: int = 7) -> list[str]:
    """Return ``REQUESTS`` questions, the r-th of them with a chance that goes with 1/r^ZIPF."""
    weights = [1 / rank**ZIPF for rank in range(1, len(questions) + 1)]
    return random.Random(seed).choices(questions, weights, k=REQUESTS)


def zipf_mix(
    server: RedisServer, knowledge: Any, questions: Sequence[str], turns: int
) -> dict[str, Any]:
    """Ask a cold store, each question in a session of its own."""
    server.wipe()
    pods = [HotPod(f"pod-{number}", server, knowledge=knowledge, look_s=1.0) for number in (0, 1)]
    requests = asked_in_turn(questions)[:turns]
    took_s: dict[bool, list[float]] = {True: [], False: []}
    texts: dict[str, set[str]] = {}

    def ask(number: int) -> None:
        pod = pods[number % 2]
        begun_s = time.perf_counter()
        frames = pod.ends(pod.asks(f"zipf-{number}", requests[number]))
        took_s[cached(frames)].append(time.perf_counter() - begun_s)
        texts.setdefault(requests[number], set()).add(str(frames[-1].fields["answer"]))

    with ThreadPoolExecutor(CLIENTS) as clients:
        for done, _ in enumerate(clients.map(ask, range(turns)), start=1):
            if done % 1_000 == 0:
                progress(f"{done} of {turns} requests")
    client = pods[0].store.client
    return {
        "requests": turns,
        "distinct_asked": len(set(requests)),
        "results": results_of(pods),
        "hit_share": len(took_s[True]) / turns,
        "hit": quantiles_ms(took_s[True]),
        "made": quantiles_ms(took_s[False]),
        "questions_with_two_answers": sum(len(found) > 1 for found in texts.values()),
        "redis": kept_bytes(client),
    }


def results_of(pods: Sequence[HotPod]) -> dict[str, int]:
    """Return how the looks of all pods ended."""
    names = ("hit", "joined", "made", "first", "skipped", "unavailable")
    return {name: int(sum(pod.count(name) for pod in pods)) for name in names}


def quantiles_ms(times_s: Sequence[float]) -> dict[str, float]:
    """Return the middle and the slow end of some times."""
    cuts = statistics.quantiles(times_s, n=20)
    return {
        "p50_ms": round(statistics.median(times_s) * 1000, 2),
        "p95_ms": round(cuts[-1] * 1000, 2),
        "count": len(times_s),
    }


def kept_bytes(client: Any) -> dict[str, int]:
    """Return what the store holds of hot answers."""
    sizes = Counter[str]()
    for name in client.scan_iter("kn:answer:*", count=1_000):
        kind = "asked" if b":asked:" in name else "kept" if name.endswith(b":kept") else "answers"
        sizes[kind] += client.memory_usage(name) or 0
        sizes[f"{kind}_keys"] += 1
    return dict(sizes)


# --- many at once ----------------------------------------------------------------------------


def at_once(
    server: RedisServer, knowledge: Any, questions: Sequence[str], *, asked_before: bool
) -> dict[str, Any]:
    """Have two pods asked the same by ``AT_ONCE`` clients at the same moment, with a slow model."""
    server.wipe()
    models = [Saying([f"word{place} " for place in range(TOKENS)], paced) for _ in range(2)]
    pods = [
        HotPod(f"slow-{number}", server, knowledge=knowledge, model=model, follow_s=1.0, look_s=1.0)
        for number, model in enumerate(models)
    ]
    made = Counter[int]()
    took_s: list[float] = []
    with ThreadPoolExecutor(AT_ONCE) as clients:
        for place, question in enumerate(questions):
            if asked_before:
                gates, models[0].gate = models[0].gate, lambda _: None
                pods[0].ends(pods[0].asks(f"before-{place}", question))
                models[0].gate = gates
            before = sum(model.asked for model in models)

            def ask(number: int, place: int = place, question: str = question) -> float:
                begun_s = time.perf_counter()
                pod = pods[number % 2]
                pod.ends(pod.asks(f"at-once-{place}-{number}", question))
                return time.perf_counter() - begun_s

            took_s += clients.map(ask, range(AT_ONCE))
            made[sum(model.asked for model in models) - before] += 1
    return {
        "questions": len(questions),
        "clients": AT_ONCE,
        "computations_per_question": {str(number): made[number] for number in sorted(made)},
        "turn": quantiles_ms(took_s),
    }


def paced(_: int) -> None:
    """Wait as long as a token takes."""
    time.sleep(TOKEN_S)


# --- the filter ------------------------------------------------------------------------------


def strangers(server: RedisServer, *, share_holds: Sequence[int]) -> dict[str, float]:
    """Return which share of strangers is taken for asked before, by questions in one of 256."""
    hot, found = RedisHotAnswers(connect(server.url), ttl_s=600), dict[str, float]()
    for number in share_holds:
        server.wipe()
        dice = random.Random(number)
        for _ in range(number):
            hot.look(_stranger(dice), _TURN)
        tries = 500
        taken = sum(hot.look(_stranger(dice), _TURN) != Found() for _ in range(tries))
        found[str(number * limits.HOT_SHARES)] = taken / tries
    return found


_TURN = TurnKey(SessionKey("default", "s"), "t")


def _stranger(dice: random.Random) -> AnswerName:
    digest = "7f" + dice.randbytes(31).hex()
    return AnswerName("default", digest, dice.randbytes(32).hex())


def look_ms(server: RedisServer) -> dict[str, float]:
    """Return how long looks take that find an answer, in the store's own round trip."""
    server.wipe()
    hot = RedisHotAnswers(connect(server.url), ttl_s=600)
    name = _stranger(random.Random(1))
    assert HotKeys.of(name).answer
    times: list[float] = []
    for _ in range(2_000):
        begun_s = time.perf_counter()
        hot.look(name, _TURN)
        times.append(time.perf_counter() - begun_s)
    return quantiles_ms(times)


def main() -> None:
    """Measure and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=("hits", "similar"), default=None)
    parser.add_argument("--turns", type=int, default=REQUESTS, help="whole turns to run")
    parser.add_argument("--passages", type=int, default=10_000, help="to index, of each language")
    options = parser.parse_args()
    encoder = make_encoder("", "onnx", options.models, 1)
    results: dict[str, Any] = {"commit": commit(), "machine": machine()}
    parts: dict[str, Callable[[], Any]] = {
        "hits": lambda: hits(options.data, encoder, options.turns, options.passages),
        "similar": lambda: similar_questions(options.data, encoder),
    }
    for name, part in parts.items():
        if options.only in (None, name):
            progress(name)
            results[name] = part()
    keep(options.out, results, report(results))


def hits(data: Path, encoder: Encoder, turns: int, passages_max: int) -> dict[str, Any]:
    """Run what needs pods and a store."""
    corpora = Corpora(data)
    english = corpora.reading("xquad en", "xquad_en_zh", language="en", every=1)
    chinese = corpora.reading("cmrc", "cmrc2018_dev", every=1)
    questions = [*dict.fromkeys(question.text for question in english.questions)][: DISTINCT // 2]
    others = {question.text: question.gold for question in chinese.questions}
    chosen = dict([*others.items()][: DISTINCT - len(questions)])
    questions += chosen
    gold = frozenset().union(*chosen.values())
    random.Random(1).shuffle(questions)
    server = RedisServer()
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            # Of the Chinese side what is asked for: encoding all of it takes longer than the rest.
            asked = [it for it in chinese.passages if it.document in gold]
            passages = (*english.passages[:passages_max], *asked[:passages_max])
            lent = opened(passages, encoder, Path(folder))
            progress(f"{len(passages)} passages, {len(questions)} questions")
            knowledge = RememberedKnowledge(lent, FoundBefore())  # type: ignore[arg-type]
            shared = questions[:SHARED_QUESTIONS]
            return {
                "passages": len(passages),
                "looks": mix_of_looks(server),
                "zipf": zipf_mix(server, knowledge, questions[:DISTINCT], turns),
                "at_once_known": at_once(server, knowledge, shared, asked_before=True),
                "at_once_new": at_once(server, knowledge, shared, asked_before=False),
                "strangers_taken": strangers(server, share_holds=(400, 1_800, 3_400)),
                "look": look_ms(server),
            }
    finally:
        server.remove()


if __name__ == "__main__":
    main()
