"""``ports.faq_drafts`` in Redis: a hash of wordings for each knowledge base."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.question_keys import DraftKeys
from kotaemon_node.adapters.redis.stored_text import as_bytes, as_text
from kotaemon_node.domain import limits
from kotaemon_node.domain.acting_limits import (
    FAQ_DRAFT_EXAMPLES_MAX,
    FAQ_DRAFTS_KEPT_S,
    FAQ_DRAFTS_MAX,
)
from kotaemon_node.domain.errors import MasterKeyMissing, Sealed
from kotaemon_node.ports.cipher import SealedPlace
from kotaemon_node.ports.faq_drafts import DraftRow, Example, Unmet

_log = structlog.get_logger(__name__)


class RedisFaqDrafts:
    """``ports.faq_drafts.FaqDrafts``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def note(self, unmet: Unmet) -> None:
        """See the port."""
        session = unmet.key.session
        keys = DraftKeys(session.tenant, unmet.kb)
        name = f"{session.session_id} {unmet.key.turn_id}"
        hour = datetime.fromtimestamp(unmet.at, UTC)
        row_id = self._id_of(session.tenant, unmet.question)
        place = _place(session.tenant, unmet.kb, row_id)
        example = [session.session_id, unmet.key.turn_id, unmet.version]
        self._store.run(
            "draft",
            [keys.rows, keys.rank, keys.noted(f"{hour:%Y%m%d%H}")],
            [
                hashlib.sha256(name.encode()).digest()[:8],
                limits.ANALYTICS_COUNTED_S,
                FAQ_DRAFTS_KEPT_S,
                FAQ_DRAFTS_MAX,
                row_id,
                as_text(self._store.cipher.seal(unmet.question.encode(), place)),
                int(unmet.down),
                round(unmet.at, 3),
                orjson.dumps(example),
                FAQ_DRAFT_EXAMPLES_MAX,
            ],
        )

    def rows(self, tenant: str, kb: str) -> Sequence[DraftRow]:
        """See the port."""
        keys = DraftKeys(tenant, kb)
        [rows] = self._store.pipelined(lambda pipe: pipe.hgetall(keys.rows))
        found = [
            self._row(_place(tenant, kb, row_id.decode()), row_id.decode(), orjson.loads(raw))
            for row_id, raw in rows.items()
        ]
        return [row for row in found if row is not None]

    def dismiss(self, tenant: str, kb: str, ids: Sequence[str]) -> None:
        """See the port."""
        if ids:
            self._store.run("draft_dismiss", [DraftKeys(tenant, kb).rows], list(ids))

    def _id_of(self, tenant: str, question: str) -> str:
        """Return the id of a wording: alike where only case and the marks at the end differ."""
        plain = question.casefold().rstrip(" \t.,;:!?。，；：！？…")
        return self._store.cipher.digest(plain.encode(), tenant).hex()[:16]

    def _row(self, place: SealedPlace, row_id: str, fields: Mapping[str, Any]) -> DraftRow | None:
        try:
            question = self._store.cipher.open(as_bytes(fields["question"]), place).decode()
        except MasterKeyMissing:
            raise  # another pod shows it
        except Sealed as error:
            _log.warning("draft_sealed", tenant=place.tenant, reason=str(error))
            return None  # nobody opens it any more; the others are still to be answered
        return DraftRow(
            id=row_id,
            question=question,
            asked=int(fields["asked"]),
            down=int(fields["down"]),
            first_at=float(fields["first_at"]),
            last_at=float(fields["last_at"]),
            dismissed=int(fields["dismissed"]),
            # An empty list is written by scripts as an empty object.
            examples=tuple(Example(sid, tid, int(at)) for sid, tid, at in fields["examples"] or ()),
        )


def _place(tenant: str, kb: str, row_id: str) -> SealedPlace:
    return SealedPlace(tenant, f"draft {kb} {row_id}")
