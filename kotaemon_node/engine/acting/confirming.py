"""Whether a message is a plain yes or a plain no to what was asked just before.

Law: a yes carries something out that cannot be taken back, so only what says nothing else is one.
Every word of it must consent or be polite; words of what was asked, and words of wishes, count only
beside its verb: to "Cancel order 1003", "yes, cancel my order" is a yes, "sure, I want my order" is
none, nor is "yes, cancel 1004", a question, a condition, or a "yes, but". What is in doubt is none.
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
    "definitely certainly alright agreed agree proceed aye y"
)
# Read as "yes", the longest first.
_YES_PHRASES: Final = re.compile(
    r"\b(?:just do it|go ahead|do it|do that|please do|go for it|of course|sounds good|make it so"
    r"|i am sure|i'm sure|im sure|i confirm|i agree)\b"
)
# These consent where they stand alone, or before the verb: "correct order 1003" asks for more.
_ALONE_PHRASES: Final = re.compile(
    r"\b(?:(?:yes )?i do|(?:that is|that's|thats) (?:right|correct|fine)|perfect)\b"
)
_ALONE: Final = _words("right correct fine perfect")
_THANKS: Final = _words("please thanks thank you very much kindly")
_POLITE: Final = _THANKS | _words("it that this the now do me for and")
# Of wishes, of which only the verb tells what is wished.
_WISHES: Final = _words("i want to my order the one")
_ALL_POLITE: Final = (
    _POLITE
    | _WISHES
    | _ALONE
    | _words("go ahead is am sure yes so just i'm im that's thats great thing")
)
"""Beside a no; there no word of these carries anything out."""
# Words with which no action begins: what begins with one has no verb that could be told.
_NO_VERBS: Final = _ALL_POLITE | _YES | _words("your a an we will be would should there")
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
    r"|同意|当然|请(?:(?:继续|执行)(?:操作)?|办理|确认)|就这样|就这么办|嗯+|我(?:确认|确定|同意))"
)
_POLITE_ZH: Final = re.compile(
    r"请|麻烦|谢谢|多谢|您|你|帮我?|的|了|吧|啊|呀|哦|嗯|就|这样|这么|办|做|(?:执行|继续)(?:操作)?"
    r"|一下|它|这个|这笔|确认|确定|是|好|行|可以|现在|马上|立即"
)
# Only beside the verb, or a no, as in English.
_WISHES_ZH: Final = re.compile(rf"{_POLITE_ZH.pattern}|我|给|订单|要|把")
_BEFORE_VERB_ZH: Final = re.compile(r"^(?:请|为|给|将|把|帮|您|你|我|的)+")
_NOUN_ZH: Final = re.compile(r"^(?:订单|这|该)")
_VERB_ZH_CHARS: Final = 2
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
_SIGNS: Final = re.compile(r"[\W_]+")
_ACTION_END: Final = re.compile(r"[(\[:;,。]|\.\s")
"""Behind it stand details, and whoever names only some of them wants only some of it."""
_NUMBERS: Final = re.compile(r"\d+")


def reply_of(message: str, asked: str) -> Reply:
    """Return what ``message`` says to a question that names the action ``asked``."""
    text = _plain(message).replace("’", "'").strip()
    if not text or len(text) > _REPLY_CHARS_MAX or "?" in text:
        return "other"
    return _chinese(text, _plain(asked)) if _HAN.search(text) else _english(text, _plain(asked))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).lower()


def _english(text: str, asked: str) -> Reply:
    said = " ".join(_MARKS.sub(" ", text).split())
    named = set(_MARKS.sub(" ", asked).split())
    refusal = next((it for it in _NO_FIRST if f"{said} ".startswith(f"{it} ")), "")
    rest = said[len(refusal) :].split()
    if refusal and all(word in _NO or word in (named | _ALL_POLITE) - _YES for word in rest):
        return "no"
    if any(word in _HEDGES for word in said.split()):
        return "other"
    said = _YES_PHRASES.sub("yes", _ALONE_PHRASES.sub("perfect", said))
    return "yes" if _consents(said.removeprefix("please ").split(), _action(asked)) else "other"


def _consents(words: list[str], action: str) -> bool:
    """Tell whether ``words`` say yes, and nothing else, to ``action``."""
    agrees = _YES | _ALONE
    if not words or words[0] not in agrees:
        return False
    if all(word in agrees | _THANKS for word in words):
        return True
    named = _MARKS.sub(" ", action).split()
    verb = next(iter(named), "")
    if verb in words and verb.isalpha() and verb not in _NO_VERBS:
        known = _YES | _POLITE | _WISHES | set(named)
        return all(word in known for word in words[1:]) and _all_or_none(words, action)
    return words[0] in _YES and all(word in _YES | _POLITE for word in words)


def _chinese(text: str, asked: str) -> Reply:
    said, named, action = (_SIGNS.sub("", it) for it in (text, asked, _action(asked)))
    if _NO_ZH.fullmatch(said) or (
        (refusal := _REFUSES_ZH.match(said))
        and not _pieces(said[refusal.end() :], _WISHES_ZH, f"{named} 操作")
    ):
        return "no"
    if _HEDGES_ZH.search(said.replace("没问题", "").replace("没错", "")):
        return "other"
    consent = _YES_ZH.match(said)
    if consent is None:
        return "other"
    rest = said[consent.end() :]
    verb = _BEFORE_VERB_ZH.sub("", action)[:_VERB_ZH_CHARS]
    if len(verb) == _VERB_ZH_CHARS and verb in rest and not _NOUN_ZH.match(verb):
        left = _pieces(rest.replace(verb, " ", 1), _WISHES_ZH, action)
        return "yes" if not left and _all_or_none([rest], action) else "other"
    return "other" if _pieces(rest, _POLITE_ZH) else "yes"


def _pieces(rest: str, polite: re.Pattern[str], known: str = "") -> list[str]:
    """Return what of ``rest`` is neither polite nor stands in what is ``known``."""
    return [it for it in polite.sub(" ", rest).split() if it not in known]


def _action(asked: str) -> str:
    """Return what is to be done, without its details."""
    return _ACTION_END.split(asked, maxsplit=1)[0]


def _all_or_none(words: list[str], action: str) -> bool:
    """Tell whether all numbers of the action are named, or none: one of two orders is less."""
    said = set(_NUMBERS.findall(" ".join(words)))
    return not said or said == set(_NUMBERS.findall(action))
