"""The name of an answer: two turns have the same one where nothing sets their answers apart.

The question is compared without what says nothing: letter case, blanks, full-width forms and the
mark at its end. Its words and their order stay: "dog bites man" is another question than its turn.
"""

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from kotaemon_node.domain.language import language_of
from kotaemon_node.ports.hot_answers import AnswerName

_END_MARKS: Final = " .?!…;,。？！；，、～~"
# NFKC would make "10²" and "102" the same.
_TELLING_FORMS: Final = ("<super>", "<sub>", "<fraction>")


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that makes an answer besides question and knowledge."""

    programs: str
    """Digest over the programs and those of their settings that answers depend on."""
    profile: str
    """Fingerprint of the answer profile."""
    by: str
    """Name of the language model; "" answers with sentences of the passages."""
    tools: tuple[str, ...] = ()
    """Names of the tools that it may call."""


def normal_question(text: str) -> str:
    """Return what is compared of a question; the same again for what was returned."""
    telling = [sign for sign in text if _says_more_than_its_nfkc(sign)]
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    normal = " ".join(plain.split()).strip(_END_MARKS) or " ".join(plain.split())
    return f"{normal}\x00{''.join(telling)}" if telling else normal


def answer_name(
    questions: Sequence[str],
    *,
    tenant: str,
    kb: str,
    scope: str,
    generation: int,
    digest: str,
    recipe: Recipe,
) -> AnswerName:
    """Name the answer to ``questions``, which were all asked at once: the first one is searched.

    ``scope`` says what of the knowledge base the asker may see; ``digest`` is the generation's.
    """
    asked = [normal_question(question) for question in questions]
    question = _digest([tenant, kb, scope, language_of(questions[0]), asked])
    made = [recipe.programs, recipe.profile, recipe.by, recipe.tools]
    return AnswerName(tenant, question, _digest([question, generation, digest, made]))


def _says_more_than_its_nfkc(sign: str) -> bool:
    return not sign.isascii() and unicodedata.decomposition(sign).startswith(_TELLING_FORMS)


def _digest(parts: Sequence[Any]) -> str:
    said = json.dumps(parts, ensure_ascii=True)
    return hashlib.sha256(said.encode()).hexdigest()
