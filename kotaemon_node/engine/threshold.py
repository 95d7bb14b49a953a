"""Which of the passages found an answer is made of: none that is clearly weaker than the best.

Four passages where one answers cost a language model time and mislead it. A fixed bar would not do:
what a good score is depends on the question.
"""

from dataclasses import replace
from typing import Final

from kotaemon_node.domain.knowledge import SearchResult

# On fifteen sets 0.4 loses no right passage and a quarter of the wrong ones; 0.5 two fifths of
# those, and the second passage of one multi-hop question in eleven.
SCORE_SHARE_MIN: Final = 0.4


def clear(found: SearchResult) -> SearchResult:
    """Return ``found`` without the hits whose score is a small share of the best one's.

    A reranker's order stays whole: it may put first what the search had put last.
    """
    best = max((hit.score for hit in found.hits), default=0.0)
    if found.reranker or best <= 0:
        return found
    kept = tuple(hit for hit in found.hits if hit.score >= SCORE_SHARE_MIN * best)
    return replace(found, hits=kept)
