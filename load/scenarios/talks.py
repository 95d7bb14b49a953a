"""What is said in the scenarios: from the sample's file, or from one of yours.

A file ``.txt`` holds one question a line. One ``.yaml`` has talks by scenario::

    browse:
      - - How long does standard delivery to Singapore take?
        - {ask: "And to Malaysia?", says: "4 to 6 working days", cites: true}
    cancel:
      - user: "{customer}"
        steps:
          - {ask: "Cancel order {order}", waits: "yes", unless: ["was cancelled before"]}
          - {ask: "yes", says: "is cancelled"}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

SCENARIOS: Final = ("browse", "order", "cancel")
WAITS: Final = ("yes", "value")
SAMPLE: Final = Path(__file__).with_name("sample.yaml")
_FILE_BYTES_MAX: Final = 10_000_000
_TALKS_MAX: Final = 100_000
_MESSAGE_CHARS_MAX: Final = 32_000


class BadTalks(Exception):
    """A file of talks cannot be used; the message says where and what to write."""


@dataclass(frozen=True, slots=True)
class Step:
    """One message, and what its answer has to be."""

    ask: str
    says: Sequence[str] = ()
    """The answer holds one of these, whatever the case of letters; none: it says anything."""
    unless: Sequence[str] = ()
    """An answer that holds one of these ends the talk, and ends it well: nothing is left to do."""
    cites: bool = False
    """The answer has at least one source."""
    waits: str = ""
    """What the session waits for behind the answer: ``yes``, ``value``, or nothing."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation in a session of its own."""

    steps: Sequence[Step]
    user: str = ""
    """Whose session it is; "": whoever asks."""


@dataclass(frozen=True, slots=True)
class Talks:
    """All of a file."""

    by_scenario: Mapping[str, Sequence[Talk]] = field(default_factory=dict)

    @property
    def questions(self) -> list[str]:
        """The first messages of the talks that browse: each is understood alone."""
        return [talk.steps[0].ask for talk in self.of("browse")]

    def of(self, scenario: str) -> Sequence[Talk]:
        """Return the talks of a scenario; ``BadTalks`` where there are none."""
        found = self.by_scenario.get(scenario, ())
        if not found:
            raise BadTalks(
                f"The file has no talks for {scenario}: add some, or leave its users out by"
                " naming the others at the end of the command."
            )
        return found


def read(path: Path) -> Talks:
    """Return the talks of a file. Raises ``BadTalks``."""
    try:
        size = path.stat().st_size
        text = path.read_text("utf-8") if size <= _FILE_BYTES_MAX else ""
    except (OSError, UnicodeError) as error:
        raise BadTalks(f"{path} cannot be read as text in UTF-8: {error}") from error
    if size > _FILE_BYTES_MAX:
        raise BadTalks(f"{path} has more than {_FILE_BYTES_MAX:,} bytes; take fewer questions.")
    if path.suffix in {".yaml", ".yml"}:
        return _of_yaml(path, text)
    lines = [line.strip() for line in text.splitlines()]
    steps = [Step(line) for line in lines if line]
    if not steps:
        raise BadTalks(f"{path} is empty; write one question a line.")
    return Talks({"browse": [Talk((_checked(path, step),)) for step in steps[:_TALKS_MAX]]})


def _of_yaml(path: Path, text: str) -> Talks:
    try:
        said = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadTalks(f"{path} is no YAML: {error}") from error
    if not isinstance(said, dict) or not said:
        raise BadTalks(f"{path} names no scenario; there are {', '.join(SCENARIOS)}.")
    unknown = set(said) - set(SCENARIOS)
    if unknown:
        raise BadTalks(
            f"{path}: {_list(unknown)} is no scenario; there are {', '.join(SCENARIOS)}."
        )
    return Talks({name: _talks(f"{path}, {name}", rows) for name, rows in said.items()})


def _talks(place: str, rows: Any) -> Sequence[Talk]:
    if not isinstance(rows, list) or not rows or len(rows) > _TALKS_MAX:
        raise BadTalks(f"{place}: a list of 1 to {_TALKS_MAX:,} talks is wanted.")
    return [_talk(f"{place}, talk {number}", row) for number, row in enumerate(rows, 1)]


def _talk(place: str, row: Any) -> Talk:
    if isinstance(row, list):
        row = {"steps": row}
    _known(place, row, {"user", "steps"})
    steps = row.get("steps")
    if not isinstance(steps, list) or not steps:
        raise BadTalks(f"{place}: a talk is a list of messages, or has one as `steps`.")
    return Talk(
        [_step(f"{place}, message {number}", one) for number, one in enumerate(steps, 1)],
        _text(place, row, "user"),
    )


def _step(place: str, row: Any) -> Step:
    if isinstance(row, str):
        row = {"ask": row}
    _known(place, row, {"ask", "says", "unless", "cites", "waits"})
    waits, cites = _text(place, row, "waits"), row.get("cites", False)
    if waits and waits not in WAITS:
        raise BadTalks(f'{place}: `waits` is "yes" (in quotes) or "value", not {waits!r}.')
    if not isinstance(cites, bool):
        raise BadTalks(f"{place}: `cites` is true or false, not {cites!r}.")
    return _checked(
        place,
        Step(
            ask=_text(place, row, "ask"),
            says=_texts(place, row, "says"),
            unless=_texts(place, row, "unless"),
            cites=cites,
            waits=waits,
        ),
    )


def _checked(place: object, step: Step) -> Step:
    if not 0 < len(step.ask.strip()) <= _MESSAGE_CHARS_MAX:
        raise BadTalks(f"{place}: a message has 1 to {_MESSAGE_CHARS_MAX:,} characters.")
    return step


def _known(place: str, row: Any, names: set[str]) -> None:
    if not isinstance(row, dict):
        raise BadTalks(f"{place}: a text, a list or a mapping is wanted, not {row!r}.")
    unknown = set(row) - names
    if unknown:
        raise BadTalks(f"{place}: {_list(unknown)} means nothing; there are {_list(names)}.")


def _text(place: str, row: Mapping[str, Any], name: str) -> str:
    value = row.get(name, "")
    if not isinstance(value, str):
        raise BadTalks(f"{place}: `{name}` is a text, not {value!r}; put it in quotes.")
    return value


def _texts(place: str, row: Mapping[str, Any], name: str) -> Sequence[str]:
    value = row.get(name, [])
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(one, str) and one for one in texts):
        raise BadTalks(f"{place}: `{name}` is a text or a list of texts, not {value!r}.")
    return tuple(texts)


def _list(names: set[str]) -> str:
    return ", ".join(sorted(map(str, names)))
