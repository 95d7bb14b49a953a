"""Whether a message asks for a person, in English and Chinese: a rule, so that it always works.

A message that asks *about* people ("when can customers reach an agent?") is a question to the
documents, and one that declines ("no need for a human") is none at all. In doubt the bot goes on:
who wants a person says so again, and has a button.
"""

import re
from typing import Final

_ROLE: Final = (
    r"(?:human(?: being)?s?|persons?|people|agents?|representatives?|reps?|operators?"
    r"|customer (?:service|support|care)|support team|staff(?: member)?|managers?|supervisors?"
    r"|advis[eo]rs?|colleagues?|employees?)"
)
_SOMEONE: Final = r"(?:some(?:one|body)(?: real| human| else)?)"
_BEFORE: Final = (
    r"(?:(?:a|an|the|another|any|some|your|one of your|of|actual|real|live|human|customer|support"
    r"|service|sales|care) )*"
)
_TALK: Final = r"(?:talk|speak|chat)(?:ing)?"
_CONTACT: Final = r"(?:contact(?:ing)?|reach(?:ing)?|get (?:hold of|in touch with))"
_HUMAN: Final = (
    r"(?:human(?: being)?|person|(?:live|human|real)? ?(?:agent|operator|representative))"
)
_TRANSFER: Final = (
    r"(?:connect me|transfer me|put me (?:through|in touch)|hand me (?:over|off)"
    r"|pass me(?: on)?|forward me|switch me|escalate(?: (?:me|this|it))?)"
)
_TO: Final = r"(?: (?:to|with|over|on|directly|please|now))*"
_WANT: Final = (
    r"(?:i(?: would|'?d) like(?: to have)?|i (?:want|need)|get me|give me|let me have|can i have"
    r"|could i have|bring me)"
)
_END: Final = r"(?= (?:please|now|here|instead|asap|to (?:talk|speak|help)|who)\b| ?$| ?[.,;!?])"

_ASKED: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?<!\byou )\b{_TALK}{_TO} {_BEFORE}(?:{_ROLE}|{_SOMEONE})\b",
        rf"(?<!\byou )\b{_CONTACT} (?:(?:a|an|the|real|live) )*(?:{_HUMAN}|{_SOMEONE})\b(?! for\b)",
        rf"\b{_TRANSFER}{_TO} {_BEFORE}(?:{_ROLE}|{_SOMEONE})\b",
        rf"\b{_WANT} {_BEFORE}{_ROLE}{_END}",
        rf"\b(?:{_ROLE}|{_SOMEONE})(?: \w+){{0,2}} (?:i can|to) {_TALK} (?:to|with)\b",
        rf"^{_BEFORE}(?:human|person|agent|representative|operator|customer service)"
        r"(?: (?:please|now))* ?[.!?]*$",
    )
)
# What stands before the words that ask, and takes the asking away.
_NOT_ASKED: Final = re.compile(
    r"(?:\b(?:not|never|without|instead of|rather than|no need to"
    r"|(?:was|were|am|been) (?:told|asked) to)|n't"
    r"|\b(?:he|she|they|customers?|users?|people|did|does)"
    r"|\b(?:am|are|was|were) (?:i|we|you)|\bdo i (?:have|need) to)"
    r"(?: (?:want|need|have|like|wish|ever|to|just|even)){0,3} ?$"
)

_ROLE_ZH: Final = r"(?:人工|真人|活人)(?:客服|服务|坐席|座席|专员)?"
_END_ZH: Final = r"(?=$|[\s，。！？、,.!?~]|吧|吗|么|啊|呢|呀|谢|好吗|可以|行)"
_ASKED_ZH: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:转|转接|接通|接入|转到|切换?到?|换成?)(?:个|一下|一个|给)?(?:人工|真人)(?!智能)",
        rf"(?:接|找|要|叫|请|联系|需要|想要|给我|帮我)(?:来|接|个|一个|一下|位|一位|你们的?)*{_ROLE_ZH}{_END_ZH}",
        r"(?:跟|和|与|同)(?:一个|个|一位|位|你们的?)?(?:真人|人工|活人|客服|工作人员)(?:客服)?"
        r"(?:说|谈|聊|讲|沟通|对话|通话|交流)(?!过|了|之后|以后|记录)",
        rf"有(?:没有)?{_ROLE_ZH}(?:吗|么|$)",
        rf"^{_ROLE_ZH}[\s，。！？,.!?~吧谢请]*$",
    )
)
_NOT_ASKED_ZH: Final = re.compile(
    r"(?:不|别|无需|没必要|不用|不必|勿)(?:想|要|需要|用|必|再|给我|帮我)?$"
)

_CHARS_MAX: Final = 400
"""Who writes more asks something; the beginning and the end are looked at."""


def wants_person(text: str) -> bool:
    """Tell whether the message asks for a person."""
    plain = _plain(text)
    return any(
        not forbidden.search(plain[: found.start()])
        for asked, forbidden in ((_ASKED, _NOT_ASKED), (_ASKED_ZH, _NOT_ASKED_ZH))
        for pattern in asked
        for found in pattern.finditer(plain)
    )


def _plain(text: str) -> str:
    text = " ".join(text.casefold().replace("’", "'").split())
    return text if len(text) <= _CHARS_MAX else f"{text[:200]} {text[-200:]}"
