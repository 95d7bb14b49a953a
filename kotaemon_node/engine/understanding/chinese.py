"""Chinese, as the rules of understanding know it: tables of characters and what they tell.

No dictionary cuts the text: phrases are what is left between words that ask, join or hesitate.
"""

import re
from typing import Final

from kotaemon_node.domain.han import simplified
from kotaemon_node.domain.words import without_small_phrases

# What every customer asks of whatever the talk is about; alone it names no topic.
_ATTRIBUTE: Final = (
    "(?:电话|地址|门票|票价|价格|价钱|费用|运费|时间|时长|号码|位置|邮箱|网址|评分|方式|流程|作者"
    "|名字|保修期?)"
)
_OF_ATTRIBUTE: Final = "(?:具体|开放|游玩|营业|联系|参观|详细|办理|大概|一般)"
_ATTRIBUTES: Final = re.compile(f"(?:{_OF_ATTRIBUTE}*{_ATTRIBUTE})+$")
_POINTS_BACK: Final = re.compile(
    "它们?|他们?|她们?|其(?!中|实|他|它|余)|(?<!应)该(?!怎|如|不|干|去|做|用|吃|买|办|选)|此(?!外)"
    "|这(?!几年|两年)|那(?!么|些?年)|上述|前者|后者|两者|二者|另外|其[他它]的?|别的|还有|同样|一样|也"
)
# A message that begins or ends so goes on with what was said before.
_GOES_ON: Final = re.compile(
    "^(?:那么?|还有|然后|而且|但是?|可是(?!否)|所以|因为|为什么$|为啥$|怎么[说讲做办]|比如|例如|是吗|真的"
    "|继续)|[^么什是哪谁]呢[?？。]?$"
)
_OPENERS: Final = re.compile(
    "^(?:(?:嗯|哦|啊|好的?|行|是的?|对|谢谢你?了?|知道了|请问|你?知道|有没有|有|麻烦|帮我|查一?下)"
    "[呢呀啊吧了，,。！! ]*)+"
)
# Asks nothing, of whatever the talk is about.
_COURTESY: Final = re.compile(
    "^(?:(?:谢谢|多谢|感谢|好的?|嗯|哦|行|再见|拜拜|你好|您好|明白|知道了|了解|辛苦了|收到)[你您啦了吧呀哈]*\\W*)+$"
)
# Begins with what belongs to something: of whom, it does not say.
_OF_WHOM: Final = re.compile(
    f"(?:的|{_OF_ATTRIBUTE})*(?:{_ATTRIBUTE}|周边|附近|里面|旁边|边上|学院|公司|产品)(?!.*的.*的)"
)
_HAN_OR_WORD: Final = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]{2,}")
_LATIN_OR_NUMBER: Final = re.compile(r"[A-Za-z0-9]{2,}|[《“「]")
_DEFINES: Final = re.compile(r"^什么(?:是|叫)..|..(?:是什么意思|是什么|是谁)[?？。]?$")
_SHORT_MAX: Final = 2
"""Characters besides those that ask: "作者是谁" has two."""
_CLAUSE: Final = re.compile("[，,。！!？?；;]")
_QUOTED: Final = ("》", "”", "」")
_ANTECEDENT_MIN: Final = 5
"""So many characters before a pronoun, in its clause, may be what it stands for."""

_ASIDE: Final = (
    "你?知不知道|知道|听说|了解|介绍|请问|想要|想|喜欢|觉得|告诉|推荐|去过|看过|玩过|参观|听起来|现在"
    "|里面|附近|周边|旁边|边上|地方|景点|信息|问题|内容|情况|方面|具体|一般|大概|差不多|建议|需要|不用"
    "|还有|其他|其它|别的|另外|好像|不错|谢谢|你好|您好|好的|是的|没有|如果|因为|所以|但是|不过|而且"
    "|然后|以及|或者|时候"
)
# Single characters cut as well, where they are no part of a common word ("在线", "首都", "就业").
_CUTS: Final = re.compile(
    f"[^\\w]+|{_ASIDE}|(?<!存)(?<!现)在(?!线|职|校|读)|有(?!限|效|机)|(?<!首)都(?!市)"
    "|就(?!业|医|诊|餐|职|读)|还(?!款|书|贷|清|原)|也|很|挺|太|最|更|真|嗯|哦|哈"
    "|那里|那儿|那边|这里|这儿|那|这|它们?|他们?|她们?|把|被|让|从|到|去|看|玩|吃|给|说|要"
    "|会(?!计|员|议|展|场)|能(?!力|源)|不|没|又|再|好(?!评)|个|几"
)
_PIECE: Final = re.compile(r"\S{2,}")
_IN_ANSWER_MIN: Final = 3
_LENGTH_WEIGHT: Final = 0.15
_LENGTH_MAX: Final = 8


def depends(message: str) -> bool:
    """Tell whether ``message`` needs what was said before it to be understood."""
    text = simplified(message.strip())
    if _COURTESY.match(text):
        return False
    if _GOES_ON.search(text) or _points_out(text):
        return True
    body = _OPENERS.sub("", text)
    if _OF_WHOM.match(body):
        return True
    if _DEFINES.search(body) or _LATIN_OR_NUMBER.search(body):
        return False
    return len(_HAN_OR_WORD.findall(without_small_phrases(body))) <= _SHORT_MAX


def _points_out(text: str) -> bool:
    """Tell whether the first pronoun stands for something outside the message."""
    found = _POINTS_BACK.search(text)
    if found is None:
        return False
    clause = _CLAUSE.split(text[: found.start()])[-1]
    if clause.endswith(_QUOTED):
        return False
    before = without_small_phrases(_OPENERS.sub("", clause))
    return len(_HAN_OR_WORD.findall(before)) < _ANTECEDENT_MIN


def phrases(text: str) -> list[str]:
    """Return what ``text`` may be about: what is left between the words that ask or join."""
    return [piece for piece, attribute in _pieces(text) if not attribute]


def attributes(text: str) -> list[str]:
    """Return what ``text`` asks of whatever the talk is about."""
    return [piece for piece, attribute in _pieces(text) if attribute]


def _pieces(text: str) -> list[tuple[str, bool]]:
    """Return the phrases that are no numbers, and whether each is asked of everything."""
    # In one script, and every character at its place: what is found is shown as it was written.
    left = _CUTS.sub(_blank, without_small_phrases(simplified(text)))
    return [
        (text[found.start() : found.end()], bool(_ATTRIBUTES.match(found[0])))
        for found in _PIECE.finditer(left)
        if not found[0].isdigit()
    ]


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def offered(answer: str) -> list[str]:
    """Return what an answer offers by its name: between the marks of titles."""
    return re.findall("《([^《》]{2,20})》", answer)


def names(answer: str) -> list[str]:
    """Return the longer phrases of an answer: nothing else marks a name."""
    return [phrase for phrase in phrases(answer) if len(phrase) >= _IN_ANSWER_MIN]


def weight(phrase: str) -> float:
    """Return how telling a phrase is: the longer, the more."""
    return 1 + _LENGTH_WEIGHT * (min(len(phrase), _LENGTH_MAX) - 2)
