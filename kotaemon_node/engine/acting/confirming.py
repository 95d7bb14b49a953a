"""Whether a message is a plain yes or a plain no to what was asked just before.

Law: a yes carries something out that cannot be taken back, so only what says nothing else is one.
Every word of it must consent, be polite, or stand in what was asked: "yes, cancel 1004" to a
question about order 1003 is none, nor is a question, a condition, or a "yes, but".
"""

import re
import unicodedata
from typing import Final, Literal

Reply = Literal["yes", "no", "other"]

_REPLY_CHARS_MAX: Final = 120
"""Who says more than that says something else besides."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_YES: Final = _words(
    "yes yep yeah yup ya sure ok okay okey confirm confirmed confirming affirmative absolutely "
    "definitely certainly alright fine correct right agreed agree proceed aye y"
)
_YES_PHRASES: Final = (
    "go ahead", "do it", "do that", "please do", "go for it", "of course", "that is right",
    "that's right", "thats right", "sounds good", "make it so", "i do", "i am sure", "i'm sure",
    "im sure", "i confirm", "i agree", "that is fine", "that's fine", "perfect", "yes i want that",
)  # fmt: skip
_POLITE: Final = _words(
    "please thanks thank you very much kindly it that this the my order one now do go ahead for me "
    "i want to is am sure yes and so just i'm im that's thats right fine perfect great thing"
)
_NO: Final = _words("no nope nah n negative decline declined")
_NO_PHRASES: Final = (
    "no thanks", "no thank you", "do not", "don't", "dont", "please don't", "please dont",
    "please do not", "never mind", "nevermind", "forget it", "forget that", "leave it",
    "leave it as it is", "rather not", "i'd rather not", "i would rather not", "not now", "not yet",
    "stop", "better not", "no i don't", "no i do not", "no don't", "no dont", "no do not",
    "don't do it", "don't do that", "do not do it", "do not do that", "i changed my mind",
    "no leave it", "no stop", "no wait", "wait", "no not yet", "no not now", "no never mind",
    "no forget it", "no don't do it", "no don't do that", "please no", "no please don't",
)  # fmt: skip
# The longest that fits counts.
_NO_FIRST: Final = sorted({*_NO, *_NO_PHRASES}, key=len, reverse=True)
_HEDGES: Final = _words(
    "not no don't dont never but however except unless if when after before later tomorrow wait "
    "instead first only maybe perhaps actually almost could would what why how which who or other "
    "another different both also"
)

_YES_ZH: Final = re.compile(
    r"^(?:嗯+|恩|哦|噢)?(?:是的?|好的?|好[啊吧呀]|行[啊吧]?|可以的?|确认|确定|对的?|对[啊呀]|没错|没问题"
    r"|同意|当然|请(?:继续|执行|办理|确认)|就这样|就这么办|嗯+|要的?|我(?:确认|确定|同意|要))"
)
_POLITE_ZH: Final = re.compile(
    r"请|麻烦|谢谢|多谢|您|你|帮|我|的|了|吧|啊|呀|哦|嗯|就|这样|这么|办|做|执行|继续|操作|给|一下|它"
    r"|这个|这笔|订单|确认|确定|是|好|行|可以|要|现在|马上|立即|把"
)
_NO_ZH: Final = re.compile(
    r"^(?:不|不是|不行|不用|不用了|不了|不要|不要了|不需要|不必|不必了|别|别了|先别|先不|先不要|先不用"
    r"|算了|算了吧|否|不可以|不确认|不确定|不同意|不对|不想|不想了|暂时不|暂时不要|暂时不用|还是不了"
    r"|还是算了|还是不要了|停|取消操作|不用谢谢|不用了谢谢|不要谢谢|不谢谢)$"
)
_REFUSES_ZH: Final = re.compile(r"^(?:先|还是|请)?(?:不要|不用|别|不)")
_HEDGES_ZH: Final = re.compile(
    r"不|没有|别|但|可是|不过|如果|要是|除非|等|先|明天|以后|之后|另|别的|其他|换|改|还是|或"
    r"|吗|呢|么|什么|怎么|为什么|哪|多少|谁|几"
)
_HAN: Final = re.compile(r"[\u4e00-\u9fff]")
_MARKS: Final = re.compile(r"[^\w'?？]+")


def reply_of(message: str, asked: str) -> Reply:
    """Return what ``message`` says to a question that names the action ``asked``."""
    text = unicodedata.normalize("NFKC", message).lower().replace("’", "'").strip()
    if not text or len(text) > _REPLY_CHARS_MAX or "?" in text:
        return "other"
    named = unicodedata.normalize("NFKC", asked).lower()
    return _chinese(text, named) if _HAN.search(text) else _english(text, named)


def _english(text: str, named: str) -> Reply:
    words = _MARKS.sub(" ", text).split()
    said = " ".join(words)
    known = set(_MARKS.sub(" ", named).split()) | _POLITE
    refusal = next((it for it in _NO_FIRST if f"{said} ".startswith(f"{it} ")), "")
    rest = said[len(refusal) :].split()
    if refusal and all(word in _NO or word in known - _YES for word in rest):
        return "no"
    if any(word in _HEDGES for word in words):
        return "other"
    begins = (said, said.removeprefix("please "))
    consents = bool(words) and (
        words[0] in _YES or any(it.startswith(_YES_PHRASES) for it in begins)
    )
    return "yes" if consents and all(word in _YES or word in known for word in words) else "other"


def _chinese(text: str, named: str) -> Reply:
    said, known = (re.sub(r"[\W_]+", "", it) for it in (text, named))
    if _NO_ZH.fullmatch(said) or (
        (refusal := _REFUSES_ZH.match(said)) and _stands_in(said[refusal.end() :], known)
    ):
        return "no"
    if _HEDGES_ZH.search(said.replace("没问题", "").replace("没错", "")):
        return "other"
    consent = _YES_ZH.match(said)
    return "yes" if consent and _stands_in(said[consent.end() :], known) else "other"


def _stands_in(rest: str, known: str) -> bool:
    """Tell whether all that is not polite stands in what was asked."""
    return all(piece in known for piece in _POLITE_ZH.sub(" ", rest).split())
