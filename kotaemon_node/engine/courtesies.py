"""What is answered to a message that is nothing but courtesy: "hello", "thanks, bye", "好的".

The documents have no answer to these, and "I don't know" is none. A rule, so that it works without
a language model; a message that says anything else beside is a question as any other.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

from kotaemon_node.domain.language import Language, language_of

Courtesy = Literal["who", "farewell", "thanks", "greeting", "agreed"]

_CHARS_MAX: Final = 120
# The first kind that a message holds is answered: "hi, who are you?" asks, "no thanks, bye" leaves.
# Longer wordings stand before their beginnings.
_ENGLISH: Final[Mapping[Courtesy, str]] = {
    "who": (
        r"who (?:are you|am i (?:talking|speaking|chatting) (?:to|with))|what are you"
        r"|are you (?:an? )?(?:real |live )?(?:bot|robot|chatbot|machine|human|person|ai|real)"
        r"|what (?:can|do) you do(?: for me)?|how can you help(?: me)?|what can i ask(?: you)?|help"
    ),
    "farewell": (
        r"(?:good)?bye(?: bye)?|see (?:you|ya)(?: later| soon| then)?|good night|take care"
        r"|have a (?:nice|good|great|lovely) (?:day|one|evening|night|weekend|time)"
    ),
    "thanks": (
        r"(?:many |so many )?thanks(?: a lot| so much| very much| a million| again)?"
        r"(?: for (?:your|the|all your) (?:help|time|support|information|answer))?"
        r"|(?:ok )?thank (?:you|u)(?: so much| very much| again)?"
        r"(?: for (?:your|the|all your) (?:help|time|support|information|answer))?"
        r"|thx|ty|cheers|much appreciated|i appreciate (?:it|that|your help)"
        r"|that (?:really |also )?(?:helps|helped)(?: a lot| me)?|you(?:'ve| have)? (?:really )?"
        r"(?:helped|been (?:very |really |so )?helpful)(?: me)?(?: a lot)?"
    ),
    "greeting": (
        r"hi|hello|hey|hiya|howdy|greetings|good (?:morning|afternoon|evening|day)"
        r"|how are you(?: doing)?(?: today)?|nice to meet you|hope you are well"
    ),
    "agreed": (
        r"ok(?:ay)?|yes|yeah|yep|no problem|nope|no|sure|fine|all ?right|right|great|perfect"
        r"|awesome|cool|nice|good|wonderful|excellent|never ?mind|leave it|not now|got it|i see"
        r"|i understand|understood|nothing(?: else)?|sounds good|will do|makes sense"
        r"|(?:that'?s|that is|that will be|that would be)"
        r" (?:all|it|fine|great|perfect|good|ok(?:ay)?)(?: for (?:now|today))?"
    ),
}
_BESIDE: Final = r"there|again|everyone|all|team|sir|madam|bot|assistant|so|then|please|and|well|oh"
_CHINESE: Final[Mapping[Courtesy, str]] = {
    "who": (
        "[你您]是谁|[你您]是(?:个|一个)?(?:机器人|真人|人工智能|人工|人|AI|ai)[吗么]?"
        "|[你您](?:能|会|可以)(?:帮我)?(?:做|干)(?:些)?(?:什么|啥)|[你您]有(?:什么|哪些)功能|帮助|帮帮我"
    ),
    "farewell": "再见|拜拜|回见|下次见|晚安|回头见",
    "thanks": (
        "(?:非常|十分|太|好的?|多)?(?:谢谢|感谢|多谢)(?:[你您]的(?:帮助|解答|回答)|[你您]|大家)?"
        "|谢了|辛苦(?:[你您])?了|麻烦[你您]了"
    ),
    "greeting": (
        "[你您]好|大家好|嗨|哈[喽啰罗]|在[吗么]|(?:早上|上午|中午|下午|晚上)好|早安?|hello|hi"
    ),
    "agreed": (
        "好的?|行|嗯+|哦+|可以|知道了|明白了?|了解了?|懂了|收到|没事了?|没有了?|不用了?|不要了?"
        "|不必了|算了|对|是的?|不是|没问题|不|先这样|就这样|那就这样|没别的了|ok|OK"
    ),
}
_PARTICLES: Final = "[啊呀哦呢吧啦了哈哟喔嘛的]|那|请"
_GAP: Final = re.compile(r"\W*")


def _compiled(
    table: Mapping[Courtesy, str], beside: str, *, edge: str
) -> Mapping[Courtesy | None, re.Pattern[str]]:
    compiled: dict[Courtesy | None, re.Pattern[str]] = {None: re.compile(f"(?:{beside}){edge}")}
    return compiled | {kind: re.compile(f"(?:{text}){edge}") for kind, text in table.items()}


_SAID: Final[Mapping[Language, Mapping[Courtesy | None, re.Pattern[str]]]] = {
    "en": _compiled(_ENGLISH, _BESIDE, edge=r"\b"),
    "zh": _compiled(_CHINESE, _PARTICLES, edge=""),
}
_ANSWERS: Final[Mapping[Language, Mapping[Courtesy, str]]] = {
    "en": {
        "who": (
            "I am an automated assistant: I answer questions from the documents here and name my "
            "sources. Just ask; if you would rather talk to a person, say so."
        ),
        "farewell": "Goodbye, and have a good day!",
        "thanks": "You're welcome! Is there anything else I can help you with?",
        "greeting": "Hello! What can I help you with?",
        "agreed": "All right. If there is anything else, just ask.",
    },
    "zh": {
        "who": (
            "我是自动助手：根据这里的文档回答问题，并注明出处。"
            "请直接提问；如果想和真人交谈，请告诉我。"
        ),
        "farewell": "再见，祝您愉快！",
        "thanks": "不客气！还有什么可以帮您的吗？",
        "greeting": "您好！有什么可以帮您？",
        "agreed": "好的。如果还有别的问题，请随时问我。",
    },
}


def courtesy_of(message: str) -> Courtesy | None:
    """Return which courtesy ``message`` is; None: it says something else, too."""
    said = message.replace("’", "'").strip().lower()
    if len(said) > _CHARS_MAX:
        return None
    found = _kinds(said, _SAID[language_of(said)])
    return next((kind for kind in _ENGLISH if kind in found), None)


def _kinds(
    said: str, patterns: Mapping[Courtesy | None, re.Pattern[str]]
) -> frozenset[Courtesy | None]:
    """Return what the message consists of; nothing where anything else is in it.

    Piece by piece, the longest that fits: one pattern for the whole would try every way to cut
    "bye bye bye", and their number grows with a power of two.
    """
    found: set[Courtesy | None] = set()
    place = _end(_GAP.match(said))
    while place < len(said):
        ends = {kind: _end(it.match(said, place)) for kind, it in patterns.items()}
        kind = max(ends, key=lambda it: ends[it])
        if ends[kind] <= place:
            return frozenset()
        found.add(kind)
        place = _end(_GAP.match(said, ends[kind]))
    return frozenset(found)


def _end(found: re.Match[str] | None) -> int:
    return found.end() if found else -1


def courteous(message: str) -> str | None:
    """Return the answer to a message that is nothing but courtesy, else None."""
    kind = courtesy_of(message)
    return _ANSWERS[language_of(message)][kind] if kind is not None else None
