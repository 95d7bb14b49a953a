"""What a question says, whatever way it is put: two that say the same need the same answer.

It is strict on purpose: an answer to another question is worse than none, and whoever is not
answered by it is answered from the passages. So nothing is left out but what cannot change what is
asked: politeness, articles, persons, the helping verbs of "how". Negation, numbers, names, most
prepositions, "can" against "must" and the order of the words stay, and have to be the same.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from kotaemon_node.domain.han import simplified
from kotaemon_node.domain.words import is_cjk

_Cut = tuple[re.Pattern[str], str]

# Words as they are told apart here: "c++" is not "c", 1.5 is not 15, and 5 is not 5 %.
_TOKEN: Final = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+[+#]*|[%$€£¥]")
_CJK_RUN: Final = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+")
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_CONTRACTIONS: Final[tuple[_Cut, ...]] = (
    (re.compile(r"\b(?:cannot|can'?t)\b"), "can not"),
    (re.compile(r"\bwon'?t\b"), "will not"),
    (
        re.compile(r"\b(do|does|did|is|are|was|were|ha[sd]|have|should|could|would)n'?t\b"),
        r"\1 not",
    ),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"\b(what|who|where|when|how|that|there|it)s\b"), r"\1"),
    (re.compile(r"'(?:s|re|m|ll|d|ve)\b"), ""),
)
# Said around a question, never in it.
_POLITE: Final = re.compile(
    r"\b(?:hi there|hi|hello|hey|good (?:morning|afternoon|evening|day)|please|pls|plz|kindly"
    r"|thanks(?: a lot| so much)?|thank you(?: very much| so much)?|thx|excuse me|dear (?:sir|team)"
    r"|(?:can|could|would|will) you (?:please )?(?:tell|explain to|show) me"
    r"|(?:can|could|may) i (?:please )?(?:ask|know)|tell me|let me know|do you (?:happen to )?know"
    r"|i (?:want|wish|need|would like|d like|like) to (?:know|ask|find out)"
    r"|i am wondering|i wonder|i was wondering|just wondering|i have a (?:quick )?question"
    r"|quick question)\b"
    "|你好|您好|请问|请教|麻烦|劳驾|谢谢|多谢|感谢|请告诉我|告诉我|想问一下|想问|问一下|想知道"
    "|想了解|想咨询|咨询一下|一下|亲"
)
# "I want to cancel" asks how to.
_WISH: Final = re.compile(
    r"\W*(?:i|we) (?:want|wish|would like|need|d like|like) to\b|(?<!\w)我?想要?(?=[\u4e00-\u9fff])"
)
# What is asked for, tried in this order; each is cut out where it stands.
_ASKS: Final[tuple[_Cut, ...]] = (
    (re.compile(r"\bhow (long|much|many|often|far|soon|old|big|large)\b"), r"how \1"),
    (re.compile(r"\bwhat time\b|什么时候|啥时候|何时|几时|几点"), "when"),
    (re.compile(r"\bhow come\b|为什么|为啥|为何|怎么(?=[还不没又总]|会(?![员议]))"), "why"),
    (re.compile(r"怎么办|咋办|怎么处理|如何处理|怎么解决|如何解决"), "what to do"),
    (re.compile(r"什么地方|在哪里|在哪儿|在哪|哪里|哪儿|何处"), "where"),
    (re.compile(r"要多久|需要多久|多久|多长时间|多长"), "how long"),
    (re.compile(r"多少钱|什么价格?|啥价"), "how much"),
    (re.compile(r"多少|几(?=[个天次人年月周件张位])"), "how many"),
    (re.compile(r"怎么样|怎么|怎样|如何|咋"), "how"),
    (re.compile(r"是什么意思|什么意思|是什么|什么是|什么样?|哪个|哪些|哪种|哪一|啥"), "what"),
    (re.compile(r"\b(?:when|where|why|how)\b"), r"\g<0>"),
    (re.compile(r"\b(?:who|whom|whose)\b|谁"), "who"),
    (re.compile(r"\b(?:what|which)\b"), "what"),
    (re.compile(r"[吗么]\s*(?:$|(?=[?!。,\s]))|是不是|是否"), "yes no"),
)
# Chinese asks by naming both: "can or cannot", "have or have not"; what it names is said.
_BOTH: Final[tuple[_Cut, ...]] = (
    (re.compile(r"能不能|可不可以|能否|可否"), "可以"),
    (re.compile(r"需不需要|要不要|用不用|该不该"), "需要"),
    (re.compile(r"有没有"), "有"),
    (re.compile(r"(?!是)([\u4e00-\u9fff]{1,2})不\1"), r"\1"),
)
_MODALS: Final[tuple[_Cut, ...]] = (
    (
        re.compile(
            r"\b(?:is it (?:possible|allowed)|(?:are you|am i) able|am i allowed)(?: for \w+)? to\b"
        ),
        "can",
    ),
    (re.compile(r"\b(?:do|does|did) (?:i|you|we|they|one) (?:have|need) to\b"), "must"),
    (re.compile(r"\b(?:have|has|had|need|needs|ought) to\b"), "must"),
    (re.compile(r"\b(?:can|could|may)\b|可以|能够|(?<![可功性智职技])能(?![力量源])"), "can"),
    (re.compile(r"\b(?:must|should|shall)\b|需要|必须|应该|应当"), "must"),
    (re.compile(r"\b(?:will|would|might)\b"), "will"),
    (re.compile(r"\b(?:did|was|were|had)\b"), "did"),
)
_OPENS_YES_NO: Final = re.compile(r"\W*(?:do|does|did|is|are|am|was|were|has|have|had)\b")
_FIRST: Final = frozenset({"i", "me", "my", "mine", "myself", "we", "us", "our", "我", "咱"})
_SECOND: Final = frozenset({"you", "your", "yours", "yourself", "u", "你", "您"})
_DROPPED: Final = (
    frozenset(
        re.findall(
            r"\S+",
            """a an the of to do does did is are am was were it its this that these those there some
            any so just also actually really 的 了 呢 吧 啊 呀 嘛 啦 哦 是 们 这 那 在""",
        )
    )
    | _FIRST
    | _SECOND
)
_SAME: Final[Mapping[str, str]] = {"与": "和", "跟": "和", "及": "和"}
# Asked for without a word for it: "delivery time?" is as good as "what is the delivery time?".
_UNSAID: Final = (frozenset[str](), frozenset({"what"}), frozenset({"how"}))
_TELLING_MIN: Final = 2  # "Hello, AI" and "Thanks, AI": a single word asks nothing by itself
_ROTATED_MIN: Final = 3  # two words in another order may be two roles: "cats, dogs"
_STEM_CHARS_MIN: Final = 4


@dataclass(frozen=True, slots=True)
class Wording:
    """A question without what does not change it."""

    said: tuple[str, ...]
    """Its telling words in their order, plurals as singulars; of Chinese the characters."""
    asks: frozenset[str]
    """What is asked for: "when", "how much", "yes no", …; empty where it is not said."""
    modal: str
    """Whether it is about what one can, must, will or did; of "how" it makes no difference."""
    persons: str
    """The order of speaker (1) and addressee (2), as "12": who does it to whom. May be unsaid."""


def wording_of(question: str) -> Wording:
    """Return what ``question`` says."""
    text = _POLITE.sub(" ", _plain(question))
    if (wish := _WISH.match(text)) is not None:
        text = text[wish.end() :]
    yes_no = _OPENS_YES_NO.match(text) is not None
    for pattern, named in _BOTH:
        text, found = pattern.subn(named, text)
        yes_no = yes_no or found > 0
    text, asks = _cut(text, _ASKS)
    text, modals = _cut(text, _MODALS)
    if len(asks) > 1:
        asks.discard("yes no")
    elif not asks and (yes_no or modals):
        asks.add("yes no")
    if "how" in asks:
        modals.clear()
    tokens = _tokens(text, singular=True)
    persons = ["1" if it in _FIRST else "2" for it in tokens if it in _FIRST or it in _SECOND]
    return Wording(
        said=tuple(_SAME.get(it, it) for it in tokens if it not in _DROPPED),
        asks=frozenset(asks),
        modal=" ".join(sorted(modals)),
        persons="".join(person for person, _ in groupby(persons)),
    )


def plain_words(question: str) -> tuple[str, ...]:
    """Return its words; two have the same that differ in case, blanks, script and marks alone."""
    return tuple(_tokens(_plain(question), singular=False))


def say_same(one: Wording, other: Wording) -> bool:
    """Tell whether two questions say the same: the same words in the same order, asked alike.

    A part may stand in front or at the end ("if I am ill, can I …"), as it may in both languages.
    """
    if not one.said or one.modal != other.modal:
        return False
    if len(one.said) < _TELLING_MIN and not (one.asks and other.asks):
        return False
    if one.persons and other.persons and one.persons != other.persons:
        return False
    if one.asks != other.asks and not _one_is_unsaid(one.asks, other.asks):
        return False
    # Joined: "e-mail" is "email", and "iPhone15" is "iPhone 15".
    return "".join(one.said) == "".join(other.said) or _rotated(one.said, other.said)


def _cut(text: str, cuts: Sequence[_Cut]) -> tuple[str, set[str]]:
    """Return ``text`` without what ``cuts`` find in it, and the names of what they found."""
    names: set[str] = set()
    for pattern, name in cuts:
        names.update(found.expand(name) for found in pattern.finditer(text))
        text = pattern.sub(" ", text)
    return text, names


def _one_is_unsaid(one: frozenset[str], other: frozenset[str]) -> bool:
    return one in _UNSAID and other in _UNSAID and not (one and other)


def _rotated(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    if len(one) != len(other) or len(one) < _ROTATED_MIN:
        return False
    return any(one[at:] + one[:at] == other for at in range(1, len(one)))


def _plain(text: str) -> str:
    plain = simplified(unicodedata.normalize("NFKC", text)).casefold().replace("’", "'")
    plain = _THOUSANDS.sub("", plain)
    for pattern, whole in _CONTRACTIONS:
        plain = pattern.sub(whole, plain)
    return plain


def _tokens(plain: str, *, singular: bool) -> list[str]:
    found: list[str] = []
    for token in _TOKEN.findall(plain):
        if not any(map(is_cjk, token)):
            found.append(_singular(token) if singular else token)
            continue
        at = 0
        for run in _CJK_RUN.finditer(token):
            found.extend(filter(None, [token[at : run.start()], *run.group()]))
            at = run.end()
        found.extend(filter(None, [token[at:]]))
    return found


def _singular(word: str) -> str:
    """Return a word without what a plural or an "-ing" adds; both sides are cut alike."""
    if word in _DROPPED:
        return word
    if word.endswith("ing") and len(word) >= _STEM_CHARS_MIN + 3:
        stem = word[:-3]
        return stem[:-1] if stem[-1] == stem[-2] and stem[-1] not in "ls" else stem
    if len(word) < _STEM_CHARS_MIN or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("ches", "shes", "xes", "sses")) else word[:-1]
