"""Who asks for a person is understood without intents, in English and Chinese."""

import pytest

from kotaemon_node.engine.wanting_person import wants_person


@pytest.mark.parametrize(
    "text",
    [
        "I want to talk to a human",
        "talk to a human",
        "Can I speak to a real person please?",
        "please connect me to an agent",
        "Could you put me through to customer service?",
        "get me a manager!",
        "I need a human.",
        "I'd like to speak with someone",
        "human please",
        "AGENT",
        "Is there someone I can talk to?",
        "This is useless, let me speak to your supervisor",
        "transfer me to a live agent now",
        "转人工",
        "请帮我转人工客服",
        "我要人工",
        "我要找真人客服！",
        "人工客服",
        "有人工客服吗",
        "我想和客服沟通",
        "能不能跟真人聊",
        "怎么转人工？",
    ],
)
def test_asks_for_a_person(text: str) -> None:
    assert wants_person(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "When does the shop open?",
        "I don't want to talk to a human",
        "no need to talk to an agent",
        "Did you talk to a person about it?",
        "I was told to speak to a representative, what are the hours?",
        "How many people work at the warehouse?",
        "What does a customer service representative earn?",
        "Can an agent cancel my order?",
        "I need the manager edition of the handbook",
        "Who is the contact person for returns?",
        "Do customers have to speak to an agent to cancel?",
        "人工智能是什么",
        "人工服务时间是几点",
        "退货需要人工审核吗",
        "我不要转人工",
        "不用转人工了",
        "我昨天和客服沟通过",
        "安装的人工费用是多少",
        "什么时候发货",
    ],
)
def test_asks_something_else(text: str) -> None:
    assert not wants_person(text)
