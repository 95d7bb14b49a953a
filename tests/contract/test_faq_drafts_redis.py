"""Questions that were not answered well, on a real Redis."""

import pytest

from kotaemon_node.adapters.redis import connect
from kotaemon_node.adapters.redis.faq_drafts import RedisFaqDrafts
from kotaemon_node.domain import acting_limits
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.ports.faq_drafts import Example, Unmet
from tests.redis_server import Server

AT = 1_763_755_000.0


@pytest.fixture
def drafts(store_server: Server) -> RedisFaqDrafts:
    store_server.wipe()
    return RedisFaqDrafts(connect(store_server.url))


def unmet(turn_id: str, question: str = "Do you sell gift cards?", *, down: bool = False) -> Unmet:
    key = TurnKey(SessionKey("default", "s1"), turn_id)
    return Unmet(key, "default", question, version=int(turn_id), at=AT + int(turn_id), down=down)


def test_a_question_is_counted_once_a_turn(drafts: RedisFaqDrafts) -> None:
    drafts.note(unmet("1"))
    drafts.note(unmet("1"))
    drafts.note(unmet("2", "do you sell GIFT cards", down=True))
    drafts.note(unmet("3", "Something else?"))

    rows = {row.question: row for row in drafts.rows("default", "default")}

    assert rows.keys() == {"do you sell GIFT cards", "Something else?"}
    gifts = rows["do you sell GIFT cards"]
    assert (gifts.asked, gifts.down, gifts.dismissed) == (2, 1, 0)
    assert (gifts.first_at, gifts.last_at) == (AT + 1, AT + 2)
    assert gifts.examples == (Example("s1", "2", 2), Example("s1", "1", 1))
    assert drafts.rows("other", "default") == drafts.rows("default", "other") == []


def test_a_dismissed_question_goes_on_counting(drafts: RedisFaqDrafts) -> None:
    drafts.note(unmet("1"))
    [row] = drafts.rows("default", "default")
    drafts.dismiss("default", "default", [row.id, "unknown"])
    drafts.note(unmet("2"))

    [row] = drafts.rows("default", "default")

    assert (row.asked, row.dismissed) == (2, 1)


def test_the_rarest_make_room(drafts: RedisFaqDrafts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kotaemon_node.adapters.redis.faq_drafts.FAQ_DRAFTS_MAX", 2)
    for turn_id, question in enumerate(["a?", "a?", "b?", "c?"], start=1):
        drafts.note(unmet(str(turn_id), question))

    assert sorted(row.question for row in drafts.rows("default", "default")) == ["a?", "c?"]


def test_examples_are_bounded(drafts: RedisFaqDrafts) -> None:
    for turn_id in range(1, 9):
        drafts.note(unmet(str(turn_id)))

    [row] = drafts.rows("default", "default")

    assert row.asked == 8
    assert [one.turn_id for one in row.examples] == ["8", "7", "6", "5", "4"]
    assert len(row.examples) == acting_limits.FAQ_DRAFT_EXAMPLES_MAX
