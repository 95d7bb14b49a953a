"""Spoken wording as written one: without greetings and hesitation, with the words of documents.

A table each, and nothing that changes what is asked.
"""

import re
from typing import Final

from kotaemon_node.domain.language import language_of

_CHARS_MAX: Final = 600
"""Of a message that may be somebody's talk; a longer one is a document, or somebody's attack."""

_AROUND: Final = (
    r"(?:hi|hey|hello|hiya|good (?:morning|afternoon|evening)|there|everyone|guys|team"
    r"|thanks(?: a lot| so much| in advance)?|thank you(?: so much| very much)?|cheers|please|pls"
    r"|plz|sorry(?: to bother you)?|excuse me|ok(?:ay)?|so|well|anyway|quick question"
    r"|(?:i )?(?:just )?(?:have|got) a (?:quick )?question)"
)
_ASKS: Final = (
    r"(?:(?:can|could|would|will) (?:you|u|ya|someone|anyone)(?: please| maybe| possibly)? "
    r"(?:tell me|let me know|help me(?: to)?(?: find out| understand)?|explain(?: to me)?|check)"
    r"|(?:i was|i'm|im|just) wondering|i(?:'d| would) (?:like|love) to know|i want(?:ed)? to know"
    r"|do (?:you|u) (?:happen to )?know|any idea)"
)
_HESITATES: Final = re.compile(
    r"\b(?:u+h+|u+m+|h+m+|e+r+m*|a+h+|mhm|y'?know|(?<!do )(?<!how )you know|kinda|sorta)\b[ ,.…]*",
    re.IGNORECASE,
)
_BEGINS: Final = re.compile(rf"^(?:{_AROUND}\b[ ,.!;:-]*)+(?=\S)", re.IGNORECASE)
_BEGINS_ASKING: Final = re.compile(
    rf"^{_ASKS}\b[ ,:]*(?:if |whether )?(?!more\b|about\b)(?=\S)", re.IGNORECASE
)
_ENDS: Final = re.compile(rf"(?<=\S)[ ,.!-]+{_AROUND}[ .!]*(?P<mark>\??)$", re.IGNORECASE)
_WRITTEN: Final = (
    (re.compile(r"\bgonna\b", re.IGNORECASE), "going to"),
    (re.compile(r"\bwanna\b", re.IGNORECASE), "want to"),
    (re.compile(r"\bgotta\b", re.IGNORECASE), "have to"),
    (re.compile(r"\b(?:cuz|coz)\b", re.IGNORECASE), "because"),
    (re.compile(r"\bu\b", re.IGNORECASE), "you"),
    (re.compile(r"\bur\b", re.IGNORECASE), "your"),
)

_AROUND_ZH: Final = re.compile(
    "^(?:(?:你好|您好|哈喽|在吗|在么|亲|嗨|喂|嗯|那个|麻烦(?:您|你)?|劳驾|不好意思|打扰(?:了|一下)?"
    "|我?想?(?:请?问|咨询|了解|知道)一?下|请问|(?:请教|打听)一?下|帮我?(?:看|查)一?下"
    "|跟您?打听一?下)[，,。！!~～ 、]*)+"
    "(?=[^，,。！!~～ 、?？])"
)
_ENDS_ZH: Final = re.compile(
    "(?<=.)[，,。！!~～ ]*(?:谢谢|多谢|感谢)(?:你|您|啦|了|哈)*[。！!~～ ]*$"
)
_WRITTEN_ZH: Final = (
    (re.compile("啥时候|多会儿|多咱|嘛时候"), "什么时候"),
    (re.compile("为啥|干嘛要"), "为什么"),
    (re.compile("咋样|咋着"), "怎么样"),
    (re.compile("咋|肿么"), "怎么"),
    (re.compile("(?<!没)啥"), "什么"),
    (re.compile("木有"), "没有"),
    (re.compile("几多钱|多少米"), "多少钱"),
    (re.compile("甭"), "不用"),
)


def written(message: str) -> str:
    """Return what ``message`` asks as one would write it; itself where it is written so."""
    if len(message) > _CHARS_MAX:
        return message
    chinese = language_of(message) == "zh"
    text = (_written_zh if chinese else _written_en)(message)
    says = any(char.isalnum() for char in text)
    return text if says and text.split() != message.split() else message


def _written_en(text: str) -> str:
    text = _HESITATES.sub("", text.strip())
    text = _BEGINS.sub("", text)
    text = _BEGINS_ASKING.sub("", text)
    text = _ENDS.sub(lambda found: found["mark"], text)
    for spoken, word in _WRITTEN:
        text = spoken.sub(word, text)
    return " ".join(text.split())


def _written_zh(text: str) -> str:
    text = _ENDS_ZH.sub("", _AROUND_ZH.sub("", text.strip()))
    for spoken, word in _WRITTEN_ZH:
        text = spoken.sub(word, text)
    return text
