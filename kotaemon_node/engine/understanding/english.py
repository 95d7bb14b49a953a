"""English, as the rules of understanding know it: tables of words and what they tell."""

import re
from typing import Final

from kotaemon_node.domain.words import is_small, words

# Words that say nothing about what a talk is about: how one asks, thanks, hesitates and judges.
_VAGUE: Final = frozenset(
    re.findall(
        r"\S+",
        """know tell find see show explain describe help make makes made making go goes
        going take takes took taken use uses used using need needs look looking looks
        think thinking mean means meant work works happen happens happened call called
        calls include includes become became come comes came say says said let let's
        lets feel seem seems good best better great main important interesting
        interested difference differences different example examples way ways type types
        kind kinds thing things info information details detail question questions
        aspect aspects article first second third last other another same new old
        possible common typical famous popular keep put still even ok okay thanks thank
        yes yeah yep yea no nope hi hello hey could wants wanted like likes really
        actually lot lots bit sure right well oh cool wow hmm hm um umm ummm uh uhh ah
        ahh ha haa hah hh ho awesome perfect excellent amazing nice fine definitely
        person anything something everything everyone someone one two three sort part
        parts place places major long far often time times year years day today
        currently now later next back away talk talking discuss learn learning hear
        heard read mentioned mention given getting got gets start started try tried
        trying wonder wondering understand sound sounds check checking book booking
        nevermind mind sorry else anyway specifically""",
    )
)
# What every customer asks of whatever the talk is about; alone it names no topic.
_ATTRIBUTES: Final = frozenset(
    re.findall(
        r"\S+",
        """phone number numbers zip code address addresses price prices range cost costs
        fee fees opening hours rating ratings star stars email website location hour""",
    )
)
_OPENERS: Final = re.compile(
    r"^(?:(?:ok(?:ay)?|oh|well|cool|great|thanks|thank you|yes|yeah|no|wow|hmm+|um+|uh+|wait|so"
    r"|interesting|got it|sure|right|alright|awesome|perfect|please|also|hm)\b[ ,.!-]*)+",
    re.IGNORECASE,
)
# Asks nothing, of whatever the talk is about.
_COURTESY: Final = re.compile(
    r"^(?:(?:thanks|thank you|thx|so much|very much|a lot|ok(?:ay)?|great|cool|perfect|awesome"
    r"|got it|(?:good)?bye|hi|hello|hey|good (?:morning|evening|day)|nice|wow)\b\W*)+$",
    re.IGNORECASE,
)
# A message that begins so goes on with what was said before.
_GOES_ON: Final = re.compile(
    r"^(?:(?:and|but|or|then)\b|(?:what|how) about\b|why(?: not)?\W*$|how (?:so|come)\b|what if\b"
    r"|what else\b|which ones?\b|any(?:thing)? (?:else|others?)\b|more (?:about|on|info|details)"
    r"|tell me more|(?:no|yes)[,.]|another\b|others?\b|same\b|i mean|meaning\b|like what\b"
    r"|such as\b|not\b|for example\b)",
    re.IGNORECASE,
)
_SUPPOSES: Final = re.compile(r"(?:what|how) about\b|what if\b", re.IGNORECASE)
"""Beginnings of a question of its own as well ("What if I was in an area of transmission?")."""
_POINTS_BACK: Final = re.compile(
    r"\b(?:its?|it's|they|them|their|theirs|they're|he|he's|him|his|she|she's|her|hers|this|these"
    r"|those|that|that's|there|itself|themselves"
    r"|ones?(?=\s*(?:[?.,!]|$|is\b|are\b|was\b|do\b|does\b|should\b|would\b|can\b|has\b)))\b",
    re.IGNORECASE,
)
_BY_ITSELF: Final = frozenset({"this", "these", "those", "one", "ones"})
"""What points out of its message whatever stands before it."""
_AT_THE_END: Final = frozenset({"it", "them", "that", "there"})
# "Is it safe to …", "is there a …", "this year", "I read that …": words that look alike and point
# at nothing.
_POINTS_AT_NOTHING: Final = re.compile(
    r"\b(?:is|was|are|be|isn't|does|will|would|can|it's|how long does|how much does|what does"
    r"|when is|how (?:hard|easy|difficult|long|much) (?:is|does|will|would)) it"
    r" (?:\w+ ){0,3}?(?:to|that|if|for \w+ to|when)\b"
    r"|\bit (?:takes?|costs?|is \w+|was \w+) (?:to|that)\b"
    r"|\b(?:is|are|was|were|will|would) there\b|\bthere (?:is|are|was|were|a|an|any|some|be)\b"
    r"|\bwhat time is it\b|\bthis (?:year|month|week|morning|time)\b|\bthose who\b"
    r"|\bthat\b(?=\s+(?!is\b|was\b|does\b|did\b|will\b|would\b|can\b|could\b|mean|happen|have\b"
    r"|has\b|work)\w)",
    re.IGNORECASE,
)
_CLAUSE: Final = re.compile(r"[,;.?]|\b(?:and|but|if|when|or|because|so|whether|how)\b", re.I)
# "the region", "the second": somebody said which, unless the message does ("the cost of …").
_DEFINITE: Final = re.compile(
    r"\bthe (?:region|area|company|process|book|film|movie|band|album|team|show|differences?"
    r"|causes?|effects?|reasons?|results?|role|cost|price|name|author|original|rest)\b"
    r"(?! (?:\w+ )?(?:of|for|between|in|to|on|from|with|at|that|which|who|whose|where|when)\b)"
    r"|\bthe (?:first|second|third|last|latter|former|others?|next|same)\b(?=(?: ones?| two)?\W*$)",
    re.IGNORECASE,
)
_RELATES: Final = re.compile(
    r"\b(?:others?|another|else|too|as well|either|instead|also|more|similar|such|again|still"
    r"|besides|specifically|same)\b",
    re.IGNORECASE,
)
_DEFINES: Final = re.compile(
    r"what (?:is|are|was|were) (?:an? )?\w+\W*$|who (?:is|was) ", re.IGNORECASE
)
_OWN_OBJECT: Final = re.compile(r"\b(?:an?|my|our)\b", re.IGNORECASE)
"""Brings its own object, as in "Should I wear a mask?"."""
_ANTECEDENT_WORDS_MIN: Final = 3
"""So many telling words before a pronoun may be what it stands for ("What tool do … use to …")."""
_SHORT_WORDS_MAX: Final = 2

# Who offers something names it behind these words.
_OFFERED: Final = re.compile(
    r"\b(?:called|named|recommend|by the name of|how about|what about)\s+(?:the |a )?"
    r"((?:(?!(?:and|is|in|that|how|what|would|which|it|they|with|do|or|place)\b)"
    r"[\w'&]+ ?){1,6})",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9][\w'.&+-]*[\w+]|[A-Za-z0-9]|[^\w\s]")
_JOINS: Final = frozenset({"of", "the"})


def depends(message: str) -> bool:
    """Tell whether ``message`` needs what was said before it to be understood."""
    if _COURTESY.match(message.strip()):
        return False
    text = _OPENERS.sub("", message.strip().replace("’", "'")) or message
    plain = _POINTS_AT_NOTHING.sub(" ", text)
    if _GOES_ON.match(text):
        return not (_SUPPOSES.match(text) and _says_enough(plain))
    if _points_out(plain) or _DEFINITE.search(plain):
        return True
    telling = sum(not is_small(word) for word in words(text))
    if _names_in(text):
        return False
    if telling <= _SHORT_WORDS_MAX:
        return not (_DEFINES.match(text) or _OWN_OBJECT.search(text))
    return telling <= _SHORT_WORDS_MAX + 2 and _RELATES.search(plain) is not None


def _says_enough(text: str) -> bool:
    telling = sum(not is_small(word) for word in words(text))
    return telling > _SHORT_WORDS_MAX + 1 and not _POINTS_BACK.search(text)


def _points_out(text: str) -> bool:
    """Tell whether the first pronoun stands for something outside the message."""
    found = _POINTS_BACK.search(text)
    if found is None:
        return False
    word, before = found.group().lower(), text[: found.start()]
    telling = [one for one in words(before) if not is_small(one) and one not in _VAGUE]
    enough = len(telling) >= _ANTECEDENT_WORDS_MIN
    if word in _BY_ITSELF:
        return not (enough and _CLAUSE.search(before))
    ends = not text[found.end() :].strip(" ?.!")
    if word in _AT_THE_END and ends and not _CLAUSE.search(before):
        return True
    if _names_in(f"- {before}"):
        return False
    return not enough


def _names_in(text: str) -> bool:
    """Tell whether a word inside ``text`` is written as a name."""
    inner = re.findall(r"[\w'-]+", text)[1:]
    return any(word[0].isupper() and not is_small(word.lower()) for word in inner)


def phrases(text: str) -> list[str]:
    """Return what ``text`` may be about: runs of words that are neither small nor vague."""
    found = []
    for run in _runs(_TOKEN.findall(text.replace("’", "'"))):
        while run and run[-1].lower() in _JOINS:
            run.pop()
        if any(word.lower() not in _ATTRIBUTES for word in run):
            found.append(" ".join(run))
    return [phrase for phrase in found if len(phrase) > _LETTERS_MIN]


def _runs(tokens: list[str]) -> list[list[str]]:
    runs: list[list[str]] = [[]]
    for place, token in enumerate(tokens):
        bare = token[:-2] if token.endswith("'s") else token
        plain = bare.lower()
        if not token[0].isalnum():
            runs.append([])
        elif is_small(plain) or plain in _VAGUE or token.lower() in _VAGUE:
            if _joins(runs[-1], token, tokens[place + 1 : place + 2]):
                runs[-1].append(token)
            else:
                runs.append([])
        else:
            runs[-1].append(bare)
            if bare != token:  # "Watson's powers": the owner is one phrase
                runs.append([])
    return runs


_LETTERS_MIN: Final = 2


def _joins(run: list[str], token: str, following: list[str]) -> bool:
    """Tell whether a small word is inside a name, as in "Lord of the Rings"."""
    if not (run and following and token.lower() in _JOINS):
        return False
    if token.lower() == "the":
        return run[-1] == "of"
    return run[-1][0].isupper() and (following[0][0].isupper() or following[0] == "the")


def offered(answer: str) -> list[str]:
    """Return what an answer offers by its name."""
    return [found.strip() for found in _OFFERED.findall(answer)]


def names(answer: str) -> list[str]:
    """Return the names in an answer: there are too many other phrases in one."""
    return [one for one in phrases(answer) if is_name(one) and not one[0].isdigit()]


def is_name(phrase: str) -> bool:
    """Tell whether a phrase is written as a name, or has a number in it."""
    return any(word[0].isupper() or word[0].isdigit() for word in phrase.split())


def weight(phrase: str) -> float:
    """Return how telling a phrase is: names most, single plain words least."""
    return (2.0 if is_name(phrase) else 1.0) * (1.25 if " " in phrase else 1.0)
