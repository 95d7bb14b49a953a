"""What users are told of calls beside the answers themselves, in both languages."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

import orjson

from kotaemon_node.domain.language import Language
from kotaemon_node.domain.visible import visible_text

Told = Literal["happened", "did_not", "refused", "never_known", "slow_done", "slow_failed"]

_RESULT_CHARS_MAX: Final = 2_000
_MAY_LINK: Final = re.compile(r"//|www\.|\]\(|\]:|mailto:", re.IGNORECASE)
_MARKS: Final = re.compile("`+")
_BLANK_LINES: Final = re.compile(r"\s*\n\s*")

_TEXTS: Final[Mapping[Told, Mapping[Language, str]]] = {
    "happened": {
        "en": "I now know how it ended. This went through, once: {action}{result}",
        "zh": "结果已确认，该操作已经完成，且只执行了一次：{action}{result}",
    },
    "did_not": {
        "en": (
            "I now know how it ended. This did not happen, and nothing was changed: {action}\n\n"
            "You may ask for it again."
        ),
        "zh": "结果已确认，该操作没有执行，没有做任何更改：{action}\n\n如仍需要，可以重新提出。",
    },
    "refused": {
        "en": "I now know how it ended. This was refused; nothing was changed: {action}{result}",
        "zh": "结果已确认，该操作被拒绝，没有做任何更改：{action}{result}",
    },
    "never_known": {
        "en": (
            "I could not find out whether this went through: {action}\n\n"
            "Please check before you ask for it again, or ask for a person."
        ),
        "zh": "我无法确认该操作是否已经完成：{action}\n\n请先核实再重新提出，或要求转人工。",
    },
    "slow_done": {"en": "It is finished: {action}{result}", "zh": "已经完成：{action}{result}"},
    "slow_failed": {
        "en": "It did not work, and nothing was changed: {action}{result}",
        "zh": "操作没有成功，没有做任何更改：{action}{result}",
    },
}

PLEASE_WAIT: Final[Mapping[Language, str]] = {
    "en": "Please wait a moment, I am looking this up …\n\n",
    "zh": "请稍候，我正在为您查询……\n\n",
}
PLEASE_WAIT_CHANGE: Final[Mapping[Language, str]] = {
    "en": "Please wait a moment, this is being done …\n\n",
    "zh": "请稍候，正在为您办理……\n\n",
}
TOLD_LATER: Final[Mapping[Language, str]] = {
    "en": "This takes longer. I go on with it and will tell you here as soon as it has ended.",
    "zh": "这需要更长时间。我会继续处理，一有结果就会在这里告诉您。",
}
CEILING: Final[Mapping[Language, str]] = {
    "en": (
        "I stop here: this answer has used up what one answer may take. "
        "Please ask for less at once, and I go on from there."
    ),
    "zh": "我先停在这里：这次回答已经用完了单次回答的额度。请把问题拆小一些，我再继续。",
}


STALE: Final[Mapping[Language, str]] = {
    "en": "(The system that knows this does not answer now; this is what it said {age} ago.)",
    "zh": "（相关系统目前没有应答；以上是它{age}前的回复。）",
}


def stale_note(value: Any, language: Language) -> str:
    """Return what is told with an old result in place of a new one; "" for a new one."""
    if not isinstance(value, Mapping) or value.get("stale") is not True:
        return ""
    minutes = round(float(value.get("age_s") or 0.0) / 60)
    if language == "zh":
        return STALE["zh"].format(age=f"约{minutes}分钟" if minutes else "不到一分钟")
    age = f"about {minutes} minute{'s' if minutes > 1 else ''}" if minutes else "less than a minute"
    return STALE["en"].format(age=age)


def follow_up_texts(told: Told, *, action: str, value: Any = None) -> Mapping[str, str]:
    """Return the text of a follow-up in each language; ``value`` is what the tool answered."""
    result = result_text(value)
    return {
        language: text.format(action=_shortened(action), result=f"\n\n{result}" if result else "")
        for language, text in _TEXTS[told].items()
    }


def action_of(name: str, arguments: Mapping[str, Any], summary: str = "") -> str:
    """Return the exact action in words: as the user was asked, else the whole of the call.

    Nothing is left out of it, so that nobody says yes to what was not shown.
    """
    if summary:
        return summary
    said = ", ".join(
        f"{key}: {_no_link(value if isinstance(value, str) else orjson.dumps(value).decode())}"
        for key, value in arguments.items()
    )
    return visible_text(f"{name} ({said})" if said else name)


def _no_link(value: str) -> str:
    """Return a value to read, not to click: a model that was tricked may have written it.

    What may be an address stands in a code span (CommonMark, 6.1), whose marks are longer than any
    in it.
    """
    if not _MAY_LINK.search(value):
        return value
    marks = "`" * (1 + max(map(len, _MARKS.findall(value)), default=0))
    blank = " " if value.startswith("`") or value.endswith("`") else ""
    # A blank line would end the paragraph, and the code with it.
    return f"{marks}{blank}{_BLANK_LINES.sub(' ', value)}{blank}{marks}"


def result_text(value: Any) -> str:
    """Return what a tool answered as it is shown to people."""
    if isinstance(value, Mapping):
        known = value.get("result", value.get("error"))
        value = known if isinstance(known, str) else value
    if value in (None, "", {}, []):
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return _shortened(visible_text(text))


def _shortened(text: str) -> str:
    return text if len(text) <= _RESULT_CHARS_MAX else text[: _RESULT_CHARS_MAX - 1] + "…"
