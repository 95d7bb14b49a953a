"""What the engine itself says while it acts; all else is said by plugins or documents."""

from collections.abc import Mapping
from typing import Final, Literal

from kotaemon_node.domain.language import Language

Sentence = Literal[
    "confirm",
    "dropped",
    "expired",
    "changed",
    "too_large",
    "not_here",
    "not_waited_for",
    "nobody_here",
    "done",
    "refused",
    "failed_read",
    "failed_change",
    "unknown",
    "unknown_told_later",
    "empty",
    "ask_slot",
    "ask_which",
    "choices",
    "not_offered",
]

SENTENCES: Final[Mapping[Sentence, Mapping[Language, str]]] = {
    "confirm": {
        "en": "I can do this for you: {summary}\n\nShall I? Please answer yes or no.",
        "zh": "我可以为您执行以下操作：{summary}\n\n确认执行吗？请回答“是”或“否”。",
    },
    "dropped": {
        "en": "All right, I have not done it: {summary}",
        "zh": "好的，我没有执行该操作：{summary}",
    },
    "expired": {
        "en": (
            "That question is no longer open, so I have done nothing: {summary}\n\n"
            "Please say again what you would like."
        ),
        "zh": "该确认已过期，我没有执行任何操作：{summary}\n\n如仍需要，请重新告诉我。",
    },
    "changed": {
        "en": (
            "What carries this out has changed since I asked, so I have done nothing: {summary}\n\n"
            "Please ask for it again."
        ),
        "zh": "执行该操作的功能在我询问之后发生了变化，所以我没有执行：{summary}\n\n请重新提出。",
    },
    "not_offered": {
        "en": (
            "I cannot carry this out at the moment, and I have done nothing: {summary}\n\n"
            "Please try again later, or ask for a person."
        ),
        "zh": "目前无法执行该操作，我没有做任何更改：{summary}\n\n请稍后再试，或要求转人工。",
    },
    "too_large": {
        "en": "I cannot do this in one step, and I have done nothing. Please ask for less at once.",
        "zh": "该操作内容过多，无法一次完成，我没有执行任何操作。请一次少提一些。",
    },
    "not_here": {
        "en": (
            "This changes something and needs your yes, for which nobody can be asked here, so I "
            "have done nothing: {summary}"
        ),
        "zh": "该操作会做出更改，需要您的确认，而这里无法进行确认，所以我没有执行：{summary}",
    },
    "not_waited_for": {
        "en": (
            "This takes longer than an answer, and nobody could be told here how it ends, so I "
            "have done nothing: {summary}"
        ),
        "zh": "该操作耗时较长，而这里无法告知结果，所以我没有执行：{summary}",
    },
    "nobody_here": {
        "en": "No person can be called from here.",
        "zh": "这里无法转接人工客服。",
    },
    "done": {"en": "Done: {summary}", "zh": "已完成：{summary}"},
    "refused": {"en": "This was refused: {reason}", "zh": "该请求被拒绝：{reason}"},
    "failed_read": {
        "en": (
            "I could not look this up just now: the system that knows it gave no usable answer. "
            "Please try again in a moment, or ask for a person."
        ),
        "zh": "我暂时查不到：相关系统没有给出可用的回答。请稍后再试，或要求转人工。",
    },
    "failed_change": {
        "en": (
            "It did not work, and nothing was changed: {summary}\n\n"
            "Please try again in a moment, or ask for a person."
        ),
        "zh": "操作没有成功，没有做任何更改：{summary}\n\n请稍后再试，或要求转人工。",
    },
    "unknown": {
        "en": (
            "I don't know whether this went through: {summary}\n\n"
            "The answer of the system got lost, and I will not try again by myself, so that it is "
            "not done twice. Please check before you ask for it again, or ask for a person."
        ),
        "zh": (
            "我不知道该操作是否已经完成：{summary}\n\n"
            "系统的回复丢失了；为避免重复执行，我不会自行重试。请先核实再重新提出，或要求转人工。"
        ),
    },
    "unknown_told_later": {
        "en": (
            "I don't know yet whether this went through: {summary}\n\n"
            "I am finding out and will tell you here as soon as I know. Until then please don't "
            "ask for it again, so that it is not done twice."
        ),
        "zh": (
            "我还不知道该操作是否已经完成：{summary}\n\n"
            "我正在核实，一有结果就会在这里告诉您。在此之前请不要重复提出，以免重复执行。"
        ),
    },
    "empty": {
        "en": "The system answered, but with nothing that I can show.",
        "zh": "系统已回复，但没有可以显示的内容。",
    },
    "ask_slot": {"en": "Which {slot} is it about?", "zh": "请问是哪一个{slot}？"},
    "ask_which": {
        "en": "Which {slot} do you mean: {choices}?",
        "zh": "请问您指的是哪一个{slot}：{choices}？",
    },
    "choices": {"en": "I know of these: {choices}.", "zh": "可选：{choices}。"},
}


def sentence(name: Sentence, language: Language, **words: str) -> str:
    """Return what is said; ``words`` fill it in."""
    return SENTENCES[name][language].format(**words)


def listed(choices: tuple[str, ...], language: Language) -> str:
    """Return ``choices`` as they are read aloud: "1001, 1003 or 1004"."""
    if len(choices) < 2:
        return "".join(choices)
    last = " or " if language == "en" else "还是"
    between = ", " if language == "en" else "、"
    return between.join(choices[:-1]) + last + choices[-1]
