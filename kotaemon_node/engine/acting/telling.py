"""The one answer of a turn that acted: what a plugin said, then what the documents say about it."""

from dataclasses import dataclass

from kotaemon_node.domain.knowledge import SearchResult
from kotaemon_node.domain.language import language_of
from kotaemon_node.engine.acting.decision import Decision
from kotaemon_node.engine.acting.results import Said
from kotaemon_node.engine.acting.sentences import Sentence, sentence
from kotaemon_node.engine.alone import TOO_LONG, was_denied
from kotaemon_node.engine.answer_draft import Answering
from kotaemon_node.engine.call_texts import TOLD_LATER, stale_note
from kotaemon_node.engine.citations import citations
from kotaemon_node.engine.extractive import ExtractiveAnswer, extract
from kotaemon_node.engine.faq import faq_answer
from kotaemon_node.engine.given import is_alone
from kotaemon_node.engine.language import language_of_turn
from kotaemon_node.engine.ledger import Outcome
from kotaemon_node.engine.tool_steps import CHANGED

_SENTENCES_MAX = 2
"""What the plugin says is the answer; a document explains it."""


def told(turn: Answering, decision: Decision, outcome: Outcome, said: Said) -> str:
    """Return what became of a call, in the user's language and as true as it is known."""
    became = _became(turn, decision, outcome, said)
    if was_denied(outcome.value):
        became += "\n\n" + sentence("nobody_here", language_of_turn(turn.work))
    return became


def _became(turn: Answering, decision: Decision, outcome: Outcome, said: Said) -> str:
    language, summary = language_of_turn(turn.work), decision.summary
    changes = decision.kind == "run"
    if outcome.later:
        return TOLD_LATER[language]
    if outcome.state == "unknown":
        # What acts once under its key is asked for again under that key, behind the turn.
        later = decision.looks_up or decision.effects == "idempotent"
        later &= not is_alone(turn.work)
        return sentence("unknown_told_later" if later else "unknown", language, summary=summary)
    if outcome.state == "failed":
        failed: Sentence = "failed_change" if changes else "failed_read"
        failed = "changed" if outcome.value == CHANGED else failed
        failed = "not_waited_for" if outcome.value == TOO_LONG else failed
        return sentence(failed, language, summary=summary)
    if said.refusal:
        return sentence("refused", language, reason=said.refusal)
    if said.text:
        note = stale_note(outcome.value, language)
        return f"{said.text}\n\n{note}" if note else said.text
    return sentence("done" if changes else "empty", language, summary=summary)


@dataclass(frozen=True, slots=True)
class FromDocuments:
    """What the documents say; ``answer`` None: nothing that fits."""

    found: SearchResult
    answer: ExtractiveAnswer | None


def from_documents(turn: Answering, found: SearchResult | None) -> FromDocuments | None:
    """Return the sentences that explain an answer, in the language of the question.

    An entry of an FAQ that asks this very question is told whole.
    """
    if found is None:
        return None
    question = turn.asked.search
    entry = faq_answer(question, found.hits)
    if entry is not None:
        answer = entry.answer
    else:
        answer = extract(question, found.hits, evidence_min=turn.profile.evidence_min)
    language = language_of(question)
    fits = answer.known and all(hit.passage.language == language for hit in answer.cited)
    return FromDocuments(found, _shortened(answer) if fits else None)


def _shortened(answer: ExtractiveAnswer) -> ExtractiveAnswer:
    """Keep the best sentences; passages behind them lose their place, and no number changes."""
    if len(answer.sentences) <= _SENTENCES_MAX:
        return answer
    kept = answer.sentences[:_SENTENCES_MAX]
    cited = answer.cited[: max(one.n for one in kept)]
    return ExtractiveAnswer(kept, cited, known=True, language=answer.language)


def write(turn: Answering, text: str, documents: FromDocuments | None = None) -> None:
    """Write the answer: ``text``, and behind it the sentences of the documents, cited."""
    out = turn.out
    out.rewind()  # that something takes a moment is no part of the answer
    answer = documents.answer if documents else None
    if documents is not None:
        turn.draft.generations = {documents.found.kb: documents.found.generation}
    if documents is not None and answer is not None:
        out.source(citations(answer.cited, documents.found, quotes=answer.quotes))
    turn.phase("generation")
    out.text(text)
    if answer is not None:
        out.text("\n\n" + answer.text)
    out.finish()
