"""``/v1/sessions``: made, listed, read from a version on, deleted."""

from kotaemon_node.domain.ids import checked_id
from tests.fakes.services import FakeCluster


def test_a_session_is_made_under_a_fresh_id() -> None:
    cluster = FakeCluster()
    client = cluster.client()

    made = client.post(
        "/v1/sessions", json={"user_id": "Zoë 张", "channel": "web", "context": {"history": []}}
    )

    assert made.status_code == 201
    assert made.json.keys() == {"session_id", "epoch", "version", "created_at"}
    assert made.json["version"] == 0
    sid = checked_id("session id", made.json["session_id"])
    assert made.headers["Location"] == f"/v1/sessions/{sid}"
    read = client.get(made.headers["Location"]).json
    assert read["user_id"] == "Zoë 张"
    assert read["context"] == {"history": []}
    assert read["turns"] == []


def test_a_session_needs_no_body() -> None:
    client = FakeCluster().client()

    first, second = client.post("/v1/sessions"), client.post("/v1/sessions", json={})

    assert first.status_code == second.status_code == 201
    assert first.json["session_id"] != second.json["session_id"]


def test_sessions_are_listed_newest_first_page_by_page() -> None:
    client = FakeCluster().client()
    made = [client.post("/v1/sessions").json["session_id"] for _ in range(5)]

    seen, offset = [], 0
    while offset is not None:
        page = client.get(f"/v1/sessions?limit=2&offset={offset}").json
        seen += [row["session_id"] for row in page["sessions"]]
        offset = page["next_offset"]

    assert seen == made[::-1]
    assert page["sessions"][0].keys() == {
        "session_id", "created_at", "active_at", "version", "title", "archived",
    }  # fmt: skip


def test_a_reader_asks_only_for_the_turns_it_lacks() -> None:
    client = FakeCluster().client()
    for number in range(1, 5):
        client.post("/chat", json={"session_id": "s", "message": f"{number}"})

    whole = client.get("/v1/sessions/s").json
    rest = client.get("/v1/sessions/s?after_version=1&limit=2").json

    assert whole["version"] == 4
    assert [turn["message"] for turn in whole["turns"]] == ["1", "2", "3", "4"]
    assert [turn["version"] for turn in rest["turns"]] == [2, 3]
    assert rest["version"] == 4


def test_a_deleted_session_is_gone_and_nothing_is_said() -> None:
    client = FakeCluster().client()
    sid = client.post("/v1/sessions").json["session_id"]

    deleted = client.delete(f"/v1/sessions/{sid}")

    assert (deleted.status_code, deleted.data) == (204, b"")
    assert deleted.headers["X-Trace-ID"]
    for again in (client.get(f"/v1/sessions/{sid}"), client.delete(f"/v1/sessions/{sid}")):
        assert (again.status_code, again.json["error"]["code"]) == (404, "session_not_found")


def test_a_context_is_bounded_and_its_neighbours_are_checked() -> None:
    client = FakeCluster().client()

    large = client.post("/v1/sessions", json={"context": {"text": "x" * 65_536}})
    wrong = client.post("/v1/sessions", json={"user_id": 7})
    blank = client.post("/v1/sessions", json={"channel": "  "})

    assert (large.status_code, large.json["error"]["code"]) == (413, "too_large")
    assert (wrong.status_code, wrong.json["error"]["code"]) == (422, "invalid")
    assert wrong.json["error"]["message"].startswith("user_id: ")
    assert blank.status_code == 422
