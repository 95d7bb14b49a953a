"""Webhooks: signatures, the file that describes who is told, and what is put into the queue."""

import importlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.adapters.webhooks import read_webhooks
from kotaemon_node.composition.afterwards import Afterwards
from kotaemon_node.domain.acting_limits import BREAKER_TOLD_EVERY_S, WEBHOOK_TEXT_CHARS_MAX
from kotaemon_node.domain.session import SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.domain.webhooks import (
    Subscriber,
    WebhookRejected,
    headers_of,
    problem_of_secret,
    verify,
)
from kotaemon_node.engine.webhooks import Webhooks
from tests.fakes.later import MemoryLater
from tests.fakes.services import FakeClock

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "webhooks.md"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "QUJD" * 8
BODY = b'{"test": 2432232314}'
AT_S = 1_614_265_330
KEY = TurnKey(SessionKey("default", "s1"), "t1")
TURN = Turn("t1", "Where is it?", State.DONE, answer="On its way.", version=3, created_at=5.0)


def signed(*secrets: str, at_s: float = AT_S) -> dict[str, str]:
    return headers_of(BODY, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", at_s=at_s, secrets=secrets)


def test_the_signature_is_that_of_the_example_of_standard_webhooks() -> None:
    assert signed(SECRET)["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_takes_what_one_of_its_secrets_signed_a_moment_ago() -> None:
    headers = {name.title(): value for name, value in signed(SECRET, OTHER).items()}
    for secrets in ([SECRET], [OTHER], ["whsec_" + "REVG" * 8, OTHER]):
        told = verify(headers, BODY, secrets=secrets, now_s=AT_S + 60)
        assert told == "msg_p5jXN8AQM9LWM0D4loKWxJek"


@pytest.mark.parametrize(
    ("change", "body", "now_s"),
    [
        ({}, BODY + b" ", AT_S),
        ({}, BODY, AT_S + 301),
        ({}, BODY, AT_S - 301),
        ({"webhook-id": "msg_other"}, BODY, AT_S),
        ({"webhook-timestamp": str(AT_S + 1)}, BODY, AT_S),
        ({"webhook-timestamp": "now"}, BODY, AT_S),
        ({"webhook-timestamp": "9" * 400}, BODY, float(AT_S)),  # more than a float has room for
        ({"webhook-timestamp": "9" * 5_000}, BODY, AT_S),  # more than int() reads
        ({"webhook-signature": ""}, BODY, AT_S),
        ({"webhook-signature": "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}, BODY, AT_S),
        ({"webhook-signature": "v1,üü"}, BODY, AT_S),
    ],
)
def test_a_receiver_refuses_what_was_changed_or_is_old(
    change: dict[str, str], body: bytes, now_s: float
) -> None:
    with pytest.raises(WebhookRejected):
        verify({**signed(SECRET), **change}, body, secrets=[SECRET], now_s=now_s)


def test_a_receiver_refuses_what_lacks_a_header_or_another_secret_signed() -> None:
    for name in signed(SECRET):
        rest = {other: value for other, value in signed(SECRET).items() if other != name}
        with pytest.raises(WebhookRejected):
            verify(rest, BODY, secrets=[SECRET], now_s=AT_S)
    with pytest.raises(WebhookRejected):
        verify(signed(SECRET), BODY, secrets=[OTHER], now_s=AT_S)


def test_secrets_have_a_form_and_a_length() -> None:
    assert problem_of_secret(SECRET) == ""
    for wrong in ("", "secret", "whsec_", "whsec_QUJD", "whsec_!", SECRET.removeprefix("whsec_")):
        assert problem_of_secret(wrong)


GOOD = {
    "name": "crm",
    "url": "https://crm.example/hook",
    "events": "[turn.completed]",
    "secret_env": "CRM",
}


def described(tmp_path: Path, *rows: dict[str, Any], environment: Any = None) -> Any:
    lines = ["webhooks:"]
    for row in rows:
        lines += [f"  - name: {row['name']}"]
        lines += [f"    {name}: {value}" for name, value in row.items() if name != "name"]
    file = tmp_path / "webhooks.yaml"
    file.write_text("\n".join(lines))
    known = {"CRM": f"{SECRET} {OTHER}\n"} if environment is None else environment
    return read_webhooks(file, environment=known.get)


def test_the_file_says_who_is_told(tmp_path: Path) -> None:
    [one, two] = described(
        tmp_path,
        GOOD,
        {
            "name": "inside",
            "url": "http://10.0.0.7/hook",
            "events": "[faq.draft]",
            "private": "true",
            "texts": "true",
            "tenant": "shop",
            "secret_file": "/run/secrets/hook",
        },
    )
    assert one.subscriber == Subscriber(
        "crm", "https://crm.example/hook", frozenset({"turn.completed"}), "default"
    )
    assert one.secrets == (SECRET, OTHER)
    assert (two.subscriber.tenant, two.subscriber.private, two.subscriber.texts) == (
        "shop",
        True,
        True,
    )
    assert (two.secrets, two.secret_file) == ((), Path("/run/secrets/hook"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"url": "ftp://crm.example"}, "https://"),
        ({"url": "http://crm.example/hook"}, "private networks"),
        ({"url": "https://user:word@crm.example"}, "password"),
        ({"events": "[turn.began]"}, "events"),
        ({"events": "[]"}, "events"),
        ({"name": "a b"}, "name"),
        ({"secret_file": "/run/x"}, "one of secret_env and secret_file"),
        ({"secret_env": "NOT_SET"}, "which is not set"),
        ({"secret_env": "WEAK"}, "24 bytes"),
        ({"secret_env": "MANY"}, "more than 2"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_wrong_in_the_file_is_said_and_no_secret(
    tmp_path: Path, change: dict[str, str], says: str
) -> None:
    environment = {"CRM": SECRET, "WEAK": "whsec_QUJD", "MANY": " ".join([SECRET, OTHER, SECRET])}
    with pytest.raises(ValueError, match=says) as refused:
        described(tmp_path, {**GOOD, **change}, environment=environment)
    assert "QUJD" not in str(refused.value)


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than one"):
        described(tmp_path, GOOD, GOOD)


def subscriber(name: str, *events: Any, **more: Any) -> Subscriber:
    return Subscriber(name, f"https://{name}.example", frozenset(events), "default", **more)


def test_a_finished_turn_is_put_once_for_each_who_wants_it_and_with_texts_only_for_some() -> None:
    later = MemoryLater()
    webhooks = Webhooks(
        [
            subscriber("crm", "turn.completed"),
            subscriber("reader", "turn.completed", texts=True),
            subscriber("other", "faq.draft"),
        ],
        later,
    )
    for _ in range(2):
        assert webhooks.turn(KEY, epoch="e1", turn=TURN)

    rows = {row.fields["to"]: row.fields for row in later.waiting("default", limit=9)}
    assert rows.keys() == {"crm", "reader"}
    assert rows["crm"]["message_id"] == rows["reader"]["message_id"]
    assert rows["crm"]["body"]["type"] == "turn.completed"
    assert rows["crm"]["body"]["timestamp"] == "1970-01-01T00:00:05.000+00:00"
    data = rows["crm"]["body"]["data"]
    assert (data["session_id"], data["turn_id"], data["state"]) == ("s1", "t1", "done")
    assert "answer" not in data
    assert rows["reader"]["body"]["data"]["answer"] == "On its way."


def test_two_whose_long_names_begin_alike_are_both_told() -> None:
    later = MemoryLater()
    names = ["n" * 127 + last for last in "ab"]
    webhooks = Webhooks([subscriber(name, "turn.completed") for name in names], later)
    for _ in range(2):
        assert webhooks.turn(KEY, epoch="e1", turn=TURN)
    assert sorted(row.fields["to"] for row in later.waiting("default", limit=9)) == names


def test_another_tenant_is_told_nothing_and_a_handoff_is_an_event_of_its_own() -> None:
    later = MemoryLater()
    webhooks = Webhooks([subscriber("crm", "session.handoff")], later)
    handed = Turn("t1", "A person, please", State.DONE, event="handoff", created_at=5.0)
    assert webhooks.turn(TurnKey(SessionKey("shop", "s1"), "t1"), epoch="e", turn=handed)
    assert later.waiting("shop", limit=9) == []
    assert webhooks.turn(KEY, epoch="e1", turn=handed)
    [row] = later.waiting("default", limit=9)
    assert row.fields["body"]["data"] == {"session_id": "s1", "turn_id": "t1", "active": True}


def test_a_question_that_was_not_answered_is_told_once_as_a_draft() -> None:
    later = MemoryLater()
    crm = subscriber("crm", "faq.draft", texts=True)
    webhooks = Webhooks([crm], later)
    for number, message in enumerate(["Do you ship to the moon?", "do you ship to the MOON"]):
        turn = Turn(f"t{number}", message, State.DONE, answer="I don't know.", unanswered=True)
        assert webhooks.turn(TurnKey(KEY.session, turn.turn_id), epoch="e", turn=turn)
    assert webhooks.turn(KEY, epoch="e", turn=TURN)
    [row] = later.waiting("default", limit=9)
    assert row.fields["body"]["data"] == {
        "session_id": "s1",
        "turn_id": "t0",
        "question": "do you ship to the moon",
    }
    words_are_not_kept = Webhooks([crm], MemoryLater(), drafts=False)
    assert words_are_not_kept.turn(KEY, epoch="e", turn=turn)


def test_a_breaker_that_opens_is_told_once_for_all_pods_that_see_it() -> None:
    later, clock = MemoryLater(), FakeClock()
    clock.at_s = 10 * BREAKER_TOLD_EVERY_S

    class AtOnce:
        def spawn(self, name: str, work: Callable[[], None]) -> None:
            work()

    webhooks = Webhooks([subscriber("crm", "plugin.breaker_opened")], later)
    parts: Any = {"desk": later, "worker": None, "follow_ups": None, "tasks": AtOnce()}
    pod = Afterwards(later=later, webhooks=webhooks, clock=clock, **parts)
    for _ in range(3):
        pod.breaker_opened("default", "orders")
    pod.breaker_opened("default", "weather")
    assert len(later.waiting("default", limit=9)) == 2
    clock.at_s += BREAKER_TOLD_EVERY_S
    pod.breaker_opened("default", "orders")
    rows = later.waiting("default", limit=9)
    assert [row.fields["body"]["data"]["plugin"] for row in rows].count("orders") == 2
    later.away = True
    pod.breaker_opened("default", "stocks")  # nobody is told, and nothing fails


def test_long_texts_are_shortened_and_said_to_be() -> None:
    later = MemoryLater()
    Webhooks([subscriber("crm", "turn.completed", texts=True)], later).turn(
        KEY, epoch="e", turn=Turn("t1", "长" * 30_000, State.DONE, answer="长" * 30_000)
    )
    [row] = later.waiting("default", limit=9)
    data = row.fields["body"]["data"]
    assert (len(data["answer"]), data["shortened"]) == (
        WEBHOOK_TEXT_CHARS_MAX,
        ["answer", "message"],
    )


def test_the_receiver_of_the_guide_takes_what_we_sign_and_refuses_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [code] = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    (tmp_path / "webhook_receiver.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("KOTAEMON_SECRETS", f"{OTHER} {SECRET}")
    client = importlib.import_module("webhook_receiver").app.test_client()
    body = b'{"type": "turn.completed"}'
    headers = headers_of(body, message_id="msg_1", at_s=time.time(), secrets=[SECRET])
    headers["Content-Type"] = "application/json"

    for sent, status in ((body, 204), (body, 204), (body + b" ", 401)):
        assert client.post("/hooks/kotaemon", data=sent, headers=headers).status_code == status


def test_a_store_that_is_away_has_the_turn_told_again() -> None:
    later = MemoryLater()
    webhooks = Webhooks([subscriber("crm", "turn.completed")], later)
    later.away = True
    assert not webhooks.turn(KEY, epoch="e1", turn=TURN)
    assert Webhooks([], later).turn(KEY, epoch="e1", turn=TURN)
