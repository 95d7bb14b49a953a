"""Examples teach intents in two languages, and what is unlike them has none."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kotaemon_node.adapters.encoder.remembering import RememberingEncoder
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.intent_book import IntentBook, IntentRule
from kotaemon_node.engine.intents import IntentContext, Intents, Recognition
from kotaemon_node.engine.intents.examples import ExampleRecogniser
from kotaemon_node.engine.intents.features import SKETCH_PLACES, Features, sketch, unnumbered
from kotaemon_node.engine.intents.learning import learned
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.ports.tools import Caller
from kotaemon_node.retrieval.batching import QuestionEncoder
from tests.fakes.encoder import HashingEncoder

BOOK = IntentBook(
    intents=(
        IntentRule(
            "query_order",
            examples=(
                "where is my parcel",
                "has my parcel left",
                "when will my parcel arrive",
                "我的包裹到哪里了",
                "包裹什么时候到",
            ),
        ),
        IntentRule(
            "cancel_order",
            examples=(
                "please cancel it",
                "cancel the purchase",
                "I want to cancel this",
                "帮我取消这次购买",
                "我想取消购买",
            ),
        ),
        IntentRule(
            "change_address",
            examples=(
                "change the delivery address",
                "I moved to another address",
                "send it to a new address",
                "修改收货地址",
                "我要换一个收货地址",
            ),
        ),
    ),
    outside=("how do you make tea", "什么是绿茶"),
)


class Threads:
    """``ports.runtime.Tasks`` on plain threads; ``hold`` keeps what is spawned from running."""

    def __init__(self) -> None:
        self.spawned: list[threading.Thread] = []
        self.hold = threading.Event()
        self.hold.set()

    def spawn(self, name: str, work: Callable[[], None]) -> None:
        def run() -> None:
            self.hold.wait(60)
            work()

        self.spawned.append(threading.Thread(target=run, daemon=True))
        self.spawned[-1].start()

    def compute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return work(*arguments)

    def done(self) -> None:
        for task in self.spawned:
            task.join(60)


def recogniser(
    encoder: HashingEncoder,
    book: IntentBook = BOOK,
    tasks: Threads | None = None,
    *,
    wait_s: float = 60.0,
) -> ExampleRecogniser:
    tasks = tasks or Threads()
    return ExampleRecogniser(
        book,
        encoder,
        QuestionEncoder(encoder, compute=tasks.compute),
        clock=SystemClock(),
        tasks=tasks,
        wait_s=wait_s,
    )


def said(by: Any, text: str, **context: Any) -> Recognition:
    found: Recognition = by.recognise(
        text, context=IntentContext(Caller("t", "s"), **context), stop=Stop()
    )
    return found


def test_which_number_it_is_says_nothing_of_what_is_wanted() -> None:
    assert unnumbered("Where is order #1001?") == "Where is order ?"
    assert unnumbered("订单1001到哪了") == "订单 到哪了"
    assert unnumbered("1001") == "1001"
    assert unnumbered("the 2 lamps") == "the 2 lamps"
    intents = Intents(BOOK, others=(recogniser(HashingEncoder()),))
    plain, numbered = (
        said(intents, "where is my parcel"),
        said(intents, "where is my 100123 parcel"),
    )
    assert (numbered.intent, numbered.confidence) == (plain.intent, plain.confidence)


@pytest.mark.parametrize("by_language", [False, True])
@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("is my parcel on its way, where is it", "query_order"),
        ("CANCEL this purchase please", "cancel_order"),
        ("please cancl the purchase", "cancel_order"),  # letters are near where words are not
        ("my address is another one, change it", "change_address"),
        ("請問我的包裹到哪裡了", "query_order"),
        ("取消购买", "cancel_order"),
        ("收货地址要换", "change_address"),
    ],
)
def test_what_is_said_like_an_example_means_the_same(
    text: str, intent: str, by_language: bool
) -> None:
    intents = Intents(BOOK, others=(recogniser(HashingEncoder(by_language=by_language)),))

    found = said(intents, text)

    assert (found.intent, found.by) == (intent, "examples")
    assert found.candidates[0][0] == intent


@pytest.mark.parametrize(
    "text", ["what is the capital of France", "how is tea made", "绿茶怎么泡", "", "🙂", "?!"]
)
def test_strangers_have_no_intent(text: str) -> None:
    found = said(Intents(BOOK, others=(recogniser(HashingEncoder()),)), text)

    assert found.intent is None


def test_only_allowed_intents_are_found() -> None:
    by = recogniser(HashingEncoder())

    only = said(by, "please cancel it", allowed=frozenset({"query_order"}))

    assert {name for name, _ in only.candidates} <= {"query_order"}
    assert only.confidence < said(by, "please cancel it").confidence


def test_the_hooks_of_plugins_add_examples_and_cost_their_own_vectors_only() -> None:
    encoder, tasks = HashingEncoder(), Threads()
    by = recogniser(encoder, tasks=tasks)
    said(by, "where is my parcel")
    before = sum(map(len, encoder.calls))

    hooks = {"loyalty": ("how many points have I got", "我有多少积分")}
    said(by, "points", examples=hooks)
    tasks.done()
    found = said(by, "how many points are mine", examples=hooks)

    assert found.intent == "loyalty"
    assert said(by, "how many points are mine").intent != "loyalty"  # another set of plugins
    asked = 4  # questions above, of which the last two are one
    assert sum(map(len, encoder.calls)) - before == 2 + asked - 1


def test_until_it_has_learned_the_classifier_before_answers() -> None:
    tasks = Threads()
    by = recogniser(HashingEncoder(), tasks=tasks, wait_s=0.2)
    by.prepare({})
    tasks.done()
    tasks.hold.clear()

    found = said(by, "where is my parcel", examples={"loyalty": ("points", "积分")})
    tasks.hold.set()
    tasks.done()

    assert found.intent == "query_order"


class AwayEncoder(HashingEncoder):
    """Fails while ``away``."""

    away = True

    def encode_queries(self, texts: Any) -> Any:
        if self.away:
            raise Unavailable("the encoder is away")
        return super().encode_queries(texts)


def test_without_an_encoder_there_is_no_intent_and_no_error() -> None:
    encoder = AwayEncoder()
    encoder.away = False
    by = recogniser(encoder)
    assert said(by, "please cancel it").intent == "cancel_order"
    encoder.away = True

    assert said(by, "please cancel it").intent is None


def test_leaving_one_out_is_what_learning_without_it_says() -> None:
    """The closed form against the long way, for both ways to solve it."""
    from kotaemon_node.engine.intents.learning import _ridge

    random = np.random.default_rng(7)
    for rows, places in ((12, 30), (40, 9)):
        given = random.normal(size=(rows, places)).astype(np.float32)
        of = random.integers(0, 3, rows)
        of[:3] = 0, 1, 2
        _, unseen = _ridge(given, of, 3)
        for left in (0, 5):
            rest = np.arange(rows) != left
            weights, _ = _ridge(given[rest], of[rest], 3)
            np.testing.assert_allclose(given[left] @ weights, unseen[left], atol=2e-3)


def test_nine_of_ten_examples_that_are_recognised_stay_recognised() -> None:
    random = np.random.default_rng(1)
    features = Features({"all": 16})
    rows, names = [], []
    for intent in range(12):
        centre = random.normal(size=16)
        for number in range(10):
            vector = centre + 0.5 * random.normal(size=16)
            unit = (vector / np.linalg.norm(vector)).astype(np.float32)
            rows.append(features.row(f"{intent} word{number}", {"all": unit}))
            names.append(f"intent {intent}")
    made = learned(np.stack(rows), names, features, kept=0.9)

    first = [made.said(row)[0] for row in rows]
    right = [
        (name, sure) for (name, sure), wanted in zip(first, names, strict=True) if name == wanted
    ]
    assert len(right) > 100
    assert sum(sure >= 0.5 for _, sure in right) >= 0.9 * len(right)
    stranger = features.row("", {"all": np.zeros(16, np.float32)})
    assert made.said(stranger)[0][1] < 0.5


def test_one_intent_with_one_example_is_enough_to_begin() -> None:
    book = IntentBook(intents=(IntentRule("greet", examples=("good morning",)),))
    by = recogniser(HashingEncoder(), book)

    assert said(by, "good morning").intent == "greet"
    assert said(Intents(book, others=(by,)), "the price of a bicycle").intent is None


def test_sketches_of_texts_with_a_typo_are_near_and_digits_are_alike() -> None:
    near = float(sketch("cancel my purchase") @ sketch("cancl my purchse"))
    far = float(sketch("cancel my purchase") @ sketch("where do you live"))

    assert near > 0.4 > far + 0.2
    assert float(sketch("order 1003") @ sketch("order 2944")) == pytest.approx(1.0, abs=1e-5)
    assert sketch("").shape == (SKETCH_PLACES,)


def test_a_question_is_encoded_once_for_intents_and_retrieval() -> None:
    inner = HashingEncoder(by_language=True)
    encoder = RememberingEncoder(inner)

    first = encoder.encode_queries(["where", "哪里"])
    again = encoder.encode_queries(["哪里", "what", "where"])

    assert inner.calls == [["where", "哪里"], ["what"]]
    np.testing.assert_array_equal(again["zh"].positions, [0])
    np.testing.assert_array_equal(again["zh"].vectors[0], first["zh"].vectors[0])
    np.testing.assert_array_equal(again["en"].positions, [1, 2])
    np.testing.assert_array_equal(again["en"].vectors[1], first["en"].vectors[0])
    for number in range(600):
        encoder.encode_queries([str(number)])
    encoder.encode_queries(["where"])
    assert inner.calls[-1] == ["where"]  # what is long ago is forgotten


def test_with_a_handful_of_intents_usual_strangers_raise_the_bar() -> None:
    """The row is half as close to the intent as its examples are: sure only without strangers."""
    features = Features({"en": 2, "zh": 2})

    def row(space: str, x: float) -> Any:
        return features.row("", {space: np.array([x, np.sqrt(1 - x * x)], np.float32)})

    rows = np.stack([row(space, x) for space in ("en", "zh") for x in (0.5, 0.9, 1.0, 1.0, 1.0)])
    strange = np.stack([row("zh", 0.8), row("zh", 0.81)])
    alone = learned(rows, ["a"] * 10, features, kept=0.9)
    beside = learned(rows, ["a"] * 10, features, kept=0.9, strangers=strange)

    assert alone.said(row("zh", 0.75))[0][1] > 0.5 > beside.said(row("zh", 0.75))[0][1]
    assert beside.said(row("zh", 1.0))[0][1] > 0.5
    assert beside.said(row("en", 0.75)) == alone.said(row("en", 0.75))  # each space has its own


def test_what_is_usual_may_be_an_intent_all_the_same() -> None:
    book = IntentBook(
        intents=(
            IntentRule("greet", examples=("hello", "hello there", "你好", "你好啊")),
            IntentRule("cancel", examples=("cancel it", "please cancel this", "取消", "帮我取消")),
        )
    )
    intents = Intents(book, others=(recogniser(HashingEncoder(by_language=True), book),))

    assert said(intents, "hello").intent == "greet"
    assert said(intents, "你好").intent == "greet"
    assert said(intents, "what does this cost").intent is None
