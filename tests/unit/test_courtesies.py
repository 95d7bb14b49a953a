"""What is nothing but courtesy gets a courteous answer; everything else is a question as any."""

import pytest

from kotaemon_node.engine.courtesies import courteous, courtesy_of


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("hello", "greeting"),
        ("Hi there! How are you today?", "greeting"),
        ("Good morning 👋", "greeting"),
        ("ok great, thanks", "thanks"),
        ("Thank you for your help!", "thanks"),
        ("thanks, bye", "farewell"),
        ("no, leave it", "agreed"),
        ("That’s all for now", "agreed"),
        ("hi, who are you?", "who"),
        ("你好！", "greeting"),
        ("谢谢你的帮助！", "thanks"),
        ("好的谢谢，再见", "farewell"),
        ("嗯嗯，知道了", "agreed"),
        ("你是真人吗？", "who"),
    ],
)
def test_courtesy_is_told_by_its_kind(message: str, kind: str) -> None:
    assert courtesy_of(message) == kind


@pytest.mark.parametrize(
    "message",
    [
        "hello, how do I return a lamp?",
        "thanks, and what does it cost?",
        "help me cancel my order",
        "the right of return",
        "how",
        "?",
        "",
        "goodness",
        "你好，请问怎么退货",
        "不用密码怎么登录",
        "好评怎么写",
        "thanks " * 40,
    ],
)
def test_what_asks_anything_is_no_courtesy(message: str) -> None:
    assert courtesy_of(message) is None


def test_it_is_answered_in_its_language() -> None:
    assert courteous("thank you") == "You're welcome! Is there anything else I can help you with?"
    assert courteous("谢谢") == "不客气！还有什么可以帮您的吗？"
    assert courteous("What does a lamp cost?") is None
