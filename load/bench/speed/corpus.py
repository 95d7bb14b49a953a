"""The knowledge and the questions of the measures: made, the same at each run, all different.

Policies of a company's offices, one a document, as help desks have them. No two questions are the
same, so no cache of any design answers one of them.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

SEED: Final = 20_261_122
VERSION: Final = 1
"""Of what is made: another one means another knowledge base."""

_TOPICS: Final = (
    "refunds", "annual leave", "travel expenses", "remote access", "laptop replacement",
    "supplier invoices", "warehouse deliveries", "parking permits", "health insurance",
    "forgotten passwords", "meeting rooms", "security badges", "overtime pay", "contract renewal",
    "data backups", "shared printers", "the first day", "relocation", "training budgets",
    "supplier audits",
)  # fmt: skip
_CITIES: Final = (
    "Singapore", "Lisbon", "Toronto", "Nairobi", "Oslo", "Lima", "Osaka", "Dublin", "Cairo",
    "Vienna",
)  # fmt: skip
_UNITS: Final = ("working days", "calendar days", "hours", "weeks")
_ASKED: Final = (
    "How long does a request about {topic} take in {city}? (form {form})",
    "When is form {form} about {topic} handled in {city}?",
    "To which room in {city} do I bring form {form} for {topic}?",
    "Who in {city} decides about {topic}, and by which date, if I send form {form}?",
    "I sent form {form} from {city}. How long do {topic} take?",
    "What does the policy on {topic} in {city} say about form {form}?",
    "Which department in {city} handles {topic} with form {form}?",
    "Is form {form} the right one for {topic} in {city}, and where do I bring it?",
)


def policy(number: int) -> tuple[str, str]:
    """Return heading and text of one policy."""
    chance = random.Random(f"{SEED}/policy/{number}")
    topic, city, form = _about(number)
    text = (
        f"Requests about {topic} in the {city} office are handled by department"
        f" {chance.choice('ABCDEFGH')} within {chance.randint(2, 60)} {chance.choice(_UNITS)}."
        f" Bring form {form} to room {chance.randint(100, 999)}, or send it before day"
        f" {chance.randint(1, 28)} of the month. Without form {form} a request waits."
    )
    return f"{topic.capitalize()} in {city}, form {form}", text


def write_documents(folder: Path, *, passages: int) -> None:
    """Write one Markdown file a passage."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(passages):
        heading, text = policy(number)
        (folder / f"policy-{number:05}.md").write_text(f"# {heading}\n\n{text}\n", "utf-8")


def questions(passages: int, *, first: int = 0) -> Iterator[str]:
    """Yield questions about the policies, in mixed order; from ``first`` on, without an end.

    Question n is always the same, and no two are, up to eight times the number of passages;
    behind that a number is added.
    """
    number = first
    step = _coprime(passages * len(_ASKED))
    while True:
        turn, place = divmod(number, passages * len(_ASKED))
        form, about = divmod(place * step % (passages * len(_ASKED)), passages)
        yield _question(about, form) + (f" (case {turn})" if turn else "")
        number += 1


def _question(number: int, form: int) -> str:
    topic, city, code = _about(number)
    return _ASKED[form].format(topic=topic, city=city, form=code)


def _about(number: int) -> tuple[str, str, str]:
    topic = _TOPICS[number % len(_TOPICS)]
    city = _CITIES[number // len(_TOPICS) % len(_CITIES)]
    return topic, city, f"{topic[:2].upper()}-{number:05}"


def _coprime(size: int) -> int:
    """Return a step that visits each place once before it comes back: neighbours lie far apart."""
    step = int(size * 0.618) | 1
    while _divisor(step, size) != 1:
        step += 2
    return step


def _divisor(one: int, other: int) -> int:
    while other:
        one, other = other, one % other
    return one
