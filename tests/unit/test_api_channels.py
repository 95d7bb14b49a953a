"""Channels as their platforms see them: signatures, forms of their own, and what is refused."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from kotaemon_node.adapters.webhooks import read_channels
from kotaemon_node.api.channel_forms import ChannelDesk
from kotaemon_node.domain.acting_limits import CHANNEL_BODY_BYTES_MAX
from kotaemon_node.domain.errors import Draining, Overloaded, StoreUnavailable
from kotaemon_node.domain.limits import MESSAGE_CHARS_MAX
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.domain.turn import State
from kotaemon_node.domain.webhooks import headers_of
from kotaemon_node.ports.credentials import Lines
from tests.fakes.credentials import ADMIN_KEY, FixedLines, KeyedCluster, bearer
from tests.fakes.refusals import assert_refused
from tests.fakes.services import ANSWER, FakeCluster

SECRET, NEW = ("whsec_" + letters * 8 for letters in ("QUJD", "REVG"))
AT_S = 1_700_000_000.0
MESSAGE = {
    "message_id": "m-1",
    "user": {"id": "u7", "name": "Ann"},
    "conversation_id": "c1",
    "text": "When does my parcel come?",
}
URL = "https://chat.example/in"


def desk(folder: Path, *lines: str, secrets: Lines | None = None) -> ChannelDesk:
    """Return the desk of one channel, ``chat``, described by ``lines`` of YAML."""
    told = [f"reply_url: {URL}", *lines] if not any("wait_s" in one for one in lines) else lines
    file = folder / "channels.yaml"
    file.write_text("\n    ".join(["channels:\n  - name: chat", "secret_env: CHAT", *told]))
    [one] = read_channels(file, environment={"CHAT": SECRET}.get)
    return ChannelDesk(
        {"chat": one.channel}, {"chat": secrets or FixedLines(one.secrets)}, now_s=lambda: AT_S
    )


def deliver(
    client: FlaskClient, body: Any, *, secret: str = SECRET, at_s: float = AT_S, name: str = "chat"
) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = headers_of(raw, message_id="msg_x", at_s=at_s, secrets=[secret])
    return client.post(
        f"/v1/channels/{name}/messages",
        data=raw,
        headers={**headers, "Content-Type": "application/json"},
    )


@pytest.fixture
def cluster(tmp_path: Path) -> FakeCluster:
    return FakeCluster(channels=desk(tmp_path))


def test_a_message_is_accepted_at_once_and_runs_once(cluster: FakeCluster) -> None:
    cluster.turns.ending = {"state": State.RUNNING}
    client = cluster.client()

    first, again = (deliver(client, MESSAGE) for _ in range(2))

    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json["turn_id"] == again.json["turn_id"]
    assert first.json["id"] == again.json["id"]
    assert (first.json["conversation_id"], first.json["in_reply_to"]) == ("c1", "m-1")
    assert first.json["state"] == "running"
    [asked] = cluster.turns.submitted
    assert (asked.message, asked.on_busy) == (MESSAGE["text"], "enqueue")
    view = cluster.sessions.views[asked.key.session]
    assert (view.user_id, view.channel) == ("u7", "chat")
    assert view.context == {
        "channel": {"conversation_id": "c1", "user": {"id": "u7", "name": "Ann"}}
    }


def test_the_same_id_with_another_text_is_a_conflict(cluster: FakeCluster) -> None:
    client = cluster.client()
    assert deliver(client, MESSAGE).status_code == 202
    assert_refused(deliver(client, {**MESSAGE, "text": "Other"}), 409, "turn_conflict")


def test_sessions_follow_from_conversation_and_user(tmp_path: Path) -> None:
    bodies = [
        MESSAGE,
        {**MESSAGE, "message_id": "m-2"},
        {**MESSAGE, "message_id": "m-3", "user": {"id": "u8"}},
        {**MESSAGE, "message_id": "m-4", "conversation_id": "c2"},
    ]
    for lines, sessions in ([], 3), (["shared: true"], 2):
        cluster = FakeCluster(channels=desk(tmp_path, *lines))
        client = cluster.client()
        told = [deliver(client, one).json["session_id"] for one in bodies]
        assert told[0] == told[1]
        assert len(set(told)) == sessions
        users = {view.user_id for view in cluster.sessions.views.values()}
        assert users == ({None} if lines else {"u7", "u8"})


def test_who_did_not_sign_this_very_body_a_moment_ago_is_refused(cluster: FakeCluster) -> None:
    client = cluster.client()
    refused = [
        deliver(client, MESSAGE, secret=NEW),
        deliver(client, MESSAGE, at_s=AT_S - 301),
        deliver(client, MESSAGE, at_s=AT_S + 301),
        client.post("/v1/channels/chat/messages", json=MESSAGE),
        client.post("/v1/channels/chat/messages", json=MESSAGE, headers=bearer(ADMIN_KEY)),
    ]
    for answer in refused:
        assert_refused(answer, 401, "unauthenticated")
    assert_refused(deliver(client, MESSAGE, name="other"), 404, "not_found")
    assert_refused(deliver(FakeCluster().client(), MESSAGE), 404, "not_found")
    assert cluster.turns.submitted == []


def test_secrets_change_without_a_restart_and_both_count_meanwhile(tmp_path: Path) -> None:
    lines = FixedLines((NEW, SECRET))
    cluster = FakeCluster(channels=desk(tmp_path, secrets=lines))
    client = cluster.client()
    for secret in (SECRET, NEW):
        assert deliver(client, MESSAGE, secret=secret).status_code == 202
    lines.now = (NEW,)
    assert_refused(deliver(client, MESSAGE, secret=SECRET), 401, "unauthenticated")
    lines.now = ()
    assert_refused(deliver(client, MESSAGE, secret=NEW), 503, "unavailable")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed"),
        (b"[]", 400, "malformed"),
        ({**MESSAGE, "text": "x" * (MESSAGE_CHARS_MAX + 1)}, 413, "too_large"),
        (b" " * (CHANNEL_BODY_BYTES_MAX + 1), 413, "too_large"),
        ({**MESSAGE, "message_id": "m" * 257}, 413, "too_large"),
        ({**MESSAGE, "message_id": None}, 422, "invalid"),
        ({**MESSAGE, "message_id": True}, 422, "invalid"),
        ({**MESSAGE, "user": "u7"}, 422, "invalid"),
        ({**MESSAGE, "conversation_id": "a\nb"}, 422, "invalid"),
        ({**MESSAGE, "text": " "}, 422, "invalid"),
        ({**MESSAGE, "text": 7}, 422, "invalid"),
        ({**MESSAGE, "context": {"x": "y" * 5000}}, 413, "too_large"),
    ],
)
def test_what_is_no_message_is_refused(
    cluster: FakeCluster, body: Any, status: int, code: str
) -> None:
    assert_refused(deliver(cluster.client(), body), status, code)
    assert cluster.turns.submitted == []


def test_a_full_queue_asks_to_come_back_and_a_leaving_pod_sends_elsewhere(
    cluster: FakeCluster,
) -> None:
    cluster.turns.refusal = Overloaded("32 turns wait")
    answer = deliver(cluster.client(), MESSAGE)
    assert_refused(answer, 429, "overloaded")
    assert answer.headers["Retry-After"] == "1"
    cluster.turns.refusal = Draining("leaving")
    assert_refused(deliver(cluster.client(), MESSAGE), 503, "draining")


def test_attachments_are_not_read_and_that_is_said(cluster: FakeCluster) -> None:
    client, attached = cluster.client(), {**MESSAGE, "attachments": [{"url": "https://x"}]}
    answer = deliver(client, attached)
    assert (answer.status_code, answer.json["notes"]) == (202, ["attachments_ignored"])
    answer = deliver(client, {**attached, "message_id": "m-2", "text": ""})
    assert (answer.status_code, answer.json["state"]) == (200, "ignored")
    assert len(cluster.turns.submitted) == 1


def test_a_platform_of_another_form_needs_no_code(tmp_path: Path) -> None:
    cluster = FakeCluster(
        channels=desk(
            tmp_path,
            "challenge: hub.challenge",
            "only: {kind: message}",
            "unless: [event.bot_id]",
            "user_prefix: 'tele:'",
            "kb: shop",
            "fields:",
            "  message_id: event.messages.0.id",
            "  user_id: event.from.id",
            "  conversation_id: event.chat.id",
            "  text: event.messages.0.body.text",
            "  language: event.from.lang",
        )
    )
    client = cluster.client()
    event = {
        "chat": {"id": -100123},
        "from": {"id": 42, "lang": "zh"},
        "messages": [{"id": "wamid.A==", "body": {"text": "你好"}}],
    }
    assert deliver(client, {"hub": {"challenge": "abc"}}).json == {"challenge": "abc"}
    ignored = [{"kind": "typing"}, {"kind": "message", "event": {**event, "bot_id": "B1"}}]
    for body in ignored:
        answer = deliver(client, body)
        assert (answer.status_code, answer.json["notes"]) == (200, ["no_message"])
    answer = deliver(client, {"kind": "message", "event": event})
    assert (answer.status_code, answer.json["in_reply_to"]) == (202, "wamid.A==")
    [asked] = cluster.turns.submitted
    view = cluster.sessions.views[asked.key.session]
    assert (asked.message, asked.options["kb"], view.user_id) == ("你好", "shop", "tele:42")
    assert view.context["language"] == "zh"
    assert view.context["channel"]["conversation_id"] == "-100123"


def test_a_simple_platform_gets_the_answer_in_the_response(tmp_path: Path) -> None:
    cluster = FakeCluster(channels=desk(tmp_path, "wait_s: 20"))
    answer = deliver(cluster.client(), MESSAGE)
    assert (answer.status_code, answer.json["text"], answer.json["state"]) == (200, ANSWER, "done")
    assert answer.json["sources"][0]["n"] == 1
    assert cluster.turns.waited_s == [20]
    cluster.turns.ending = {"state": State.RUNNING}
    late = deliver(cluster.client(), {**MESSAGE, "message_id": "m-2"})
    assert (late.status_code, late.json["text"]) == (202, "")


def test_a_store_that_goes_away_while_the_answer_is_waited_for_has_the_message_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster(channels=desk(tmp_path, f"reply_url: {URL}", "wait_s: 20"))

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("Redis does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(cluster.turns, "wait", away)
        refused = deliver(cluster.client(), MESSAGE)
    # Accepted, it would never be told: it ended in time for the response that it did not get into.
    assert_refused(refused, 503, "store_unavailable")
    assert refused.headers["Retry-After"] == "1"
    again = deliver(cluster.client(), MESSAGE)
    assert (again.status_code, again.json["text"]) == (200, ANSWER)
    assert len(cluster.turns.submitted) == 1


def test_with_keys_agents_see_the_conversation_and_a_new_secret_of_ids_keeps_it(
    tmp_path: Path,
) -> None:
    secrets = FixedLines(["first-secret-of-sessions-0123456789"])
    cluster = KeyedCluster(secrets=secrets)
    cluster.channels = desk(tmp_path)
    client = cluster.client()
    sid = deliver(client, MESSAGE).json["session_id"]
    assert client.get(f"/v1/sessions/{sid}", headers=bearer(ADMIN_KEY)).status_code == 200
    assert cluster.sessions.owners[SessionKey("default", sid)].role == "customer"

    secrets.now = ["second-secret-of-sessions-987654321", *secrets.now]
    assert deliver(client, {**MESSAGE, "message_id": "m-2"}).json["session_id"] == sid
    other = deliver(client, {**MESSAGE, "message_id": "m-3", "conversation_id": "c2"})
    assert other.json["session_id"] != sid


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("reply_url: http://chat.example", "http:// is for private networks"),
        ("reply_url: https://u:p@chat.example", "must hold no password"),
        ("kb: shop", "needs a reply_url or a wait_s"),
        ("wait_s: 1", "wait_s is 0 or at least 3"),
        ("wait_s: 20\n    fields: {texts: body}", "fields has no texts"),
        ("wait_s: 20\n    fields: {text: 'a..b'}", "fields.text"),
        ("wait_s: 20\n    secret_file: /x", "one of secret_env and secret_file"),
        ("wait_s: 20\n    secrets: none", "Extra inputs"),
    ],
)
def test_a_mistake_in_the_file_is_told(tmp_path: Path, lines: str, problem: str) -> None:
    file = tmp_path / "channels.yaml"
    file.write_text(f"channels:\n  - name: chat\n    secret_env: CHAT\n    {lines}\n")
    with pytest.raises(ValueError, match=problem):
        read_channels(file, environment={"CHAT": SECRET}.get)


def test_the_time_that_counts_is_the_stores(cluster: FakeCluster) -> None:
    cluster.clock.at_s = time.time() + 3600  # a pod whose clock is wrong
    assert deliver(cluster.client(), MESSAGE).status_code == 202
