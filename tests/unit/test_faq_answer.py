"""Which question an entry of an FAQ answers: what says the same, and nothing that only looks so."""

import pytest

from kotaemon_node.domain.knowledge import Hit
from kotaemon_node.engine.faq import faq_answer
from tests.unit.test_extractive_answer import hit

OTHERS = [
    ("Can I return shoes?", "Can't I return shoes?"),
    ("Can I return shoes?", "Can I not return shoes?"),
    ("What happens if I cancel?", "What happens if I don't cancel?"),
    ("Which countries do you ship to?", "Which countries do you not ship to?"),
    ("Is shipping free with a subscription?", "Is shipping free without a subscription?"),
    ("How do I reset my iPhone 14?", "How do I reset my iPhone 15?"),
    ("Do I get 10,000 points?", "Do I get 1,000 points?"),
    ("Is version 1.5 supported?", "Is version 15 supported?"),
    ("Is the fee 5 %?", "Is the fee 5?"),
    ("Is C++ supported?", "Is C# supported?"),
    ("Do you ship to Austria?", "Do you ship to Australia?"),
    ("How do I turn on roaming?", "How do I turn off roaming?"),
    ("Can I sign in with Google?", "Can I sign up with Google?"),
    ("Can I get a refund before delivery?", "Can I get a refund after delivery?"),
    ("Flights from London to Paris?", "Flights from Paris to London?"),
    ("Can dogs infect humans?", "Can humans infect dogs?"),
    ("Can I call you?", "Can you call me?"),
    ("What is my name?", "What is your name?"),
    ("Can my employer see my data?", "Can my employee see my data?"),
    ("How long is the warranty?", "How much is the warranty?"),
    ("When can I return shoes?", "Can I return shoes?"),
    ("How many items can I return?", "How can I return items?"),
    ("Do I have to pay duties?", "Can I pay duties?"),
    ("When did I change my oil?", "When do I change my oil?"),
    ("Can minors open an account?", "Can only minors open an account?"),
    ("Who pays for return shipping?", "Who pays for shipping?"),
    ("可以退货吗", "不可以退货吗"),
    ("国内可以退货吗", "国外可以退货吗"),
    ("收到货怎么办", "没有收到货怎么办"),
    ("有发票可以退吗", "无发票可以退吗"),
    ("怎么开通会员", "怎么取消会员"),
    ("怎么发货", "怎么还没发货"),
    ("怎么发货", "什么时候发货"),
    ("可以用身份证吗", "需要身份证吗"),
    ("北京到上海的运费是多少", "上海到北京的运费是多少"),
    ("买一送一吗", "买二送一吗"),
    ("你们可以打电话给我吗", "我可以打电话给你们吗"),
]
SAME = [
    ("How long does delivery to Malaysia take?", "how long does the delivery to Malaysia take"),
    (
        "How do I reset my password?",
        "Hi, could you please tell me how I can reset it: my password?",
    ),
    ("How can I return an item?", "How to return items"),
    ("How can I return an item?", "return an item"),
    ("How do I cancel an order?", "I want to cancel my order."),
    ("Can I return an item?", "Is it possible to return an item?"),
    ("Do I need to pay duties?", "Must I pay duties?"),
    ("Can I travel if I am ill?", "If I am ill, can I travel?"),
    ("What is the e-mail address?", "whats the email address"),
    ("How much is the iPhone15?", "how much is the iPhone 15"),
    ("Why can't I log in?", "why can I not log in?"),
    ("What are the shipping costs?", "Shipping costs?"),
    ("怎么退货？", "请问如何退货呢"),
    ("发票怎么开", "怎么开发票"),
    ("發票怎麼開？", "怎么开发票"),
    ("可以退货吗？", "你好，能不能退货"),
    ("支持货到付款吗", "支不支持货到付款"),
    ("什么时候发货", "我想知道什么时候发货？"),
    ("是否支持 IPv6", "支持IPv6吗"),
]


def entry(question: str, answer: str = "So it is.", document: str = "faq.csv") -> Hit:
    return hit(f"{question}\n{answer}", kind="faq", document=document)


@pytest.mark.parametrize(("question", "asked"), OTHERS)
def test_another_question_is_not_answered(question: str, asked: str) -> None:
    assert faq_answer(asked, [entry(question)]) is None
    assert faq_answer(question, [entry(asked)]) is None


@pytest.mark.parametrize(("question", "asked"), SAME)
def test_the_same_question_in_other_words_is_answered(question: str, asked: str) -> None:
    for one, other in ((question, asked), (asked, question)):
        found = faq_answer(other, [entry(one)])
        assert found is not None


def test_case_marks_and_script_make_no_difference() -> None:
    for question, asked in (
        ("How do I return SHOES?", "how do i return shoes"),
        ("如何退貨？", "如何退货"),
        ("Can’t I pay?", "can't I pay"),
    ):
        found = faq_answer(asked, [entry(question)])
        assert found is not None
        assert found.match == "exact"


def test_the_same_text_goes_before_what_says_the_same() -> None:
    near = entry("How to return an item?", "Near.", document="a.csv")
    exact = entry("Return an item", "Exact.", document="b.csv")
    found = faq_answer("return an item", [near, exact])
    assert found is not None
    assert found.answer.text == "Exact. [1]"
    assert found.to_json() == {"document": "b.csv", "passage": "id-b.csv", "match": "exact"}


def test_the_whole_answer_is_shown_with_the_place_where_it_stands() -> None:
    answer = "First line.\n\n" + "A long sentence that goes on. " * 60 + "Last line."
    found = faq_answer("how to return shoes", [entry("How do I return shoes?", answer)])
    assert found is not None
    shown = found.answer
    assert shown.text == f"{answer} [1]"
    ((begin, end),) = shown.quotes[0]
    assert shown.cited[0].passage.text[begin:end] == answer


def test_a_mark_does_not_spoil_code_or_a_table() -> None:
    found = faq_answer("How do I start?", [entry("How do I start?", "```\nmake run\n```")])
    assert found is not None
    assert found.answer.text == "```\nmake run\n```\n [1]"


def test_an_answer_in_another_language_than_the_question_says_it_needs_no_excuse() -> None:
    found = faq_answer("WiFi?", [entry("WiFi", "网络名称是 shop，密码在收银台。请在店内使用。")])
    assert found is not None
    assert found.answer.text.startswith("网络名称")


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Hello, AI", "Thanks, AI"),
        ("Hi AI", "What can I ask you, AI?"),
        ("I need to know again", "Thank you again"),
        ("Tell me a fact", "That is a fact"),
    ],
)
def test_a_word_by_itself_asks_nothing(question: str, asked: str) -> None:
    assert faq_answer(asked, [entry(question)]) is None
    assert faq_answer(question, [entry(asked)]) is None


@pytest.mark.parametrize("asked", ["", "?", "What is it?", "Hello!", "请问一下", "word " * 200])
def test_nothing_in_particular_is_asked(asked: str) -> None:
    assert faq_answer(asked, [entry("How do I return shoes?"), entry("What are these?")]) is None


def test_only_entries_answer() -> None:
    text = hit("How do I return shoes?\nSo it is.")
    assert faq_answer("How do I return shoes?", [text]) is None
    assert faq_answer("How do I return shoes?", [text, entry("How do I return shoes?")])


def test_an_entry_without_an_answer_answers_nothing() -> None:
    assert faq_answer("Where is it?", [hit("Where is it?", kind="faq")]) is None
