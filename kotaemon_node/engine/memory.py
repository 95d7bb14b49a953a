"""What is remembered of a talk: its last turns whole, the ones before them as a summary.

Law 1: a turn is read whole or told in the summary, never neither: it leaves the one at the commit
       that puts it into the other.
Law 2: turns leave in groups. A summary that changed with each turn would be asked of a language
       model with each turn, and no prompt could share its beginning with the one before.
Law 3: the summary of rules is made of words of the talk alone, and is bounded: older lines lose
       what was answered, then go, and the numbers and codes that they named stay longest.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.domain.acting_limits import (
    SUMMARY_ANSWER_CHARS_MAX,
    SUMMARY_CHARS_MAX,
    SUMMARY_MESSAGE_CHARS_MAX,
    SUMMARY_NAMED_MAX,
    SUMMARY_THRESHOLD_TURNS,
)
from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.domain.limits import MAX_HISTORY_TURNS
from kotaemon_node.domain.sentences import sentence_spans
from kotaemon_node.domain.session import SessionView, Turn
from kotaemon_node.domain.summary import Summary
from kotaemon_node.domain.turn import State
from kotaemon_node.domain.visible import one_line, visible_text

_ASKED: Final[dict[Language, str]] = {"en": "- Asked: {}", "zh": "- 问：{}"}
_TOLD: Final[dict[Language, str]] = {"en": " | Told: {}", "zh": " | 答：{}"}
_NOT_KNOWN: Final[dict[Language, str]] = {"en": "not known", "zh": "不知道"}
_NOT_ENDED: Final[dict[Language, str]] = {"en": "not answered to the end", "zh": "没有答完"}
_NAMED: Final = "# "
_TOLD_MARK: Final = re.compile(r" \| (?:Told: |答：).*$")
_CITATION: Final = re.compile(r" ?\[\d{1,3}\]")
# Orders, parcels, amounts and dates: what a later message calls a thing by.
_CODE: Final = re.compile(r"(?<![\w.,-])(?=[\w-]*\d{2})[A-Za-z0-9][A-Za-z0-9_-]{1,31}(?![\w-])")


@dataclass(frozen=True, slots=True)
class MemoryRule:
    """How many of the last turns are read whole, and behind how many more they are summarised."""

    max_history: int = MAX_HISTORY_TURNS
    summary_threshold: int = SUMMARY_THRESHOLD_TURNS

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for what is no number of turns."""
        if self.max_history < 1 or self.summary_threshold < 0:
            raise ValueError("max_history must be 1 or more, summary_threshold 0 or more")

    def whole(self, session: SessionView) -> tuple[Turn, ...]:
        """Return the turns of ``session`` that no summary tells of, oldest first."""
        if not session.summary_to:
            return session.turns
        return tuple(turn for turn in session.turns if turn.version > session.summary_to)

    def leaving(self, session: SessionView, *, version: int) -> tuple[Turn, ...]:
        """Return the turns that are to be summarised when the session comes to ``version``.

        ``session`` is as it was before; the turns up to ``version`` that are missing there are
        its newest and stay.
        """
        behind = version - self.max_history
        left = tuple(turn for turn in self.whole(session) if turn.version <= behind)
        return left if len(left) > self.summary_threshold else ()


def summary_by_rules(session: SessionView, leaving: Sequence[Turn]) -> Summary | None:
    """Return the summary that tells of ``leaving``, too; None where nothing leaves."""
    if not leaving:
        return None
    return Summary(told(session.summary, leaving), leaving[-1].version)


def told(summary: str, turns: Sequence[Turn], *, chars_max: int = SUMMARY_CHARS_MAX) -> str:
    """Return ``summary`` with a line for each of ``turns`` behind it, bounded."""
    named, lines = _parted(summary)
    lines += [_line(turn) for turn in turns]
    named = _named([*named, *(code for turn in turns for code in _codes(turn))])
    head = [_NAMED + ", ".join(named)] if named else []
    older = max(0, len(lines) - len(turns))
    lines = _fitting(lines, chars_max - _size(head), older=older)
    return "\n".join([*head, *lines])[:chars_max]


def _fitting(lines: Sequence[str], chars_max: int, *, older: int) -> list[str]:
    """Return what fits: the ``older`` first lines lose their answers, then go; then the others."""
    kept = list(lines)
    for count in (older, len(kept)):
        for place in range(count - (len(lines) - len(kept))):
            if _size(kept) <= chars_max:
                return kept
            kept[place] = _TOLD_MARK.sub("", kept[place])
        while len(lines) - len(kept) < count and _size(kept) > chars_max:
            del kept[0]
    return kept


def _parted(summary: str) -> tuple[list[str], list[str]]:
    """Return what a summary names, and its lines."""
    lines = summary.splitlines()
    if lines and lines[0].startswith(_NAMED):
        return lines[0].removeprefix(_NAMED).split(", "), lines[1:]
    return [], lines


def _named(codes: Sequence[str]) -> list[str]:
    """Return the newest of ``codes``, each once, in the order in which they were named last."""
    newest = list(dict.fromkeys(reversed(codes)))[:SUMMARY_NAMED_MAX]
    return newest[::-1]


def _codes(turn: Turn) -> list[str]:
    answer = _CITATION.sub("", turn.answer)[: 4 * SUMMARY_ANSWER_CHARS_MAX]
    return _CODE.findall(f"{turn.message[:SUMMARY_MESSAGE_CHARS_MAX]}\n{answer}")


def _size(lines: Sequence[str]) -> int:
    return sum(len(line) + 1 for line in lines)


def _line(turn: Turn) -> str:
    language = language_of(turn.message)
    asked = _cut(_plain(turn.message), SUMMARY_MESSAGE_CHARS_MAX)
    return _ASKED[language].format(asked) + _TOLD[language].format(_answer(turn, language))


def _answer(turn: Turn, language: Language) -> str:
    if turn.state is not State.DONE:
        return _NOT_ENDED[language]
    if turn.unanswered or not turn.answer.strip():
        return _NOT_KNOWN[language]
    return _cut(_telling(_CITATION.sub("", turn.answer)), SUMMARY_ANSWER_CHARS_MAX)


def _telling(answer: str) -> str:
    """Return the first sentence of an answer, and the first one behind it that names something."""
    text = answer[: 8 * SUMMARY_ANSWER_CHARS_MAX]
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    first, rest = sentences[:1], sentences[1:]
    # What was done to which thing mostly stands in one sentence, often not in the first.
    naming = [] if _CODE.search("".join(first)) else [one for one in rest if _CODE.search(one)]
    return _plain(" ".join([*first, *naming[:1]]))


def _plain(text: str) -> str:
    """Return ``text`` as one line in which nothing looks like a mark of a summary."""
    return one_line(visible_text(text)).replace(" | ", " / ")


def _cut(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"
