"""Doors whose credential is a signature: who forges it is refused, who has it breaks nothing."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from kotaemon_node.domain.webhooks import (
    ID_HEADER,
    SIGNATURE_HEADER,
    TIME_HEADER,
    TOLERANCE_S,
    headers_of,
)
from load.bad_input.doors import json_texts, texts
from tests.fakes.refusals import assert_refused
from tests.fakes.services import FakeCluster
from tests.unit.test_api_channels import AT_S, MESSAGE, SECRET, deliver, desk

RAW = json.dumps(MESSAGE).encode()
SIGNED: Mapping[str, str] = headers_of(RAW, message_id="msg_x", at_s=AT_S, secrets=[SECRET])
CODE = SIGNED[SIGNATURE_HEADER].removeprefix("v1,")
NOW = SIGNED[TIME_HEADER]


@pytest.fixture
def cluster(tmp_path: Path) -> FakeCluster:
    return FakeCluster(channels=desk(tmp_path))


@pytest.fixture(autouse=True)
def no_failure_is_logged() -> Iterator[None]:
    """What a door survives by accident is still a bug."""
    with capture_logs() as logged:
        yield
    assert [line for line in logged if line["log_level"] in {"error", "critical"}] == []


def posted(client: FlaskClient, body: bytes, headers: Mapping[str, Any]) -> Any:
    return client.post(
        "/v1/channels/chat/messages",
        data=body,
        headers={**headers, "Content-Type": "application/json"},
    )


FORGED: Mapping[str, Mapping[str, str]] = {
    "no time": {TIME_HEADER: ""},
    "a time that is no number": {TIME_HEADER: "now"},
    "a time with a sign": {TIME_HEADER: f"+{NOW}"},
    "a time with a blank": {TIME_HEADER: f"{NOW} 0"},
    "a time with a fraction": {TIME_HEADER: f"{NOW}.0"},
    "a time with an exponent": {TIME_HEADER: "1e999"},
    "a time in other digits": {TIME_HEADER: "\u0661\u0667".encode().decode("latin-1")},
    "a time that is not a number": {TIME_HEADER: "NaN"},
    "a time of 5,000 digits": {TIME_HEADER: "1" * 5_000},
    "a second too old": {TIME_HEADER: str(int(AT_S - TOLERANCE_S) - 1)},
    "a second too new": {TIME_HEADER: str(int(AT_S + TOLERANCE_S) + 1)},
    "the time changed within what is tolerated": {TIME_HEADER: str(int(AT_S) + 1)},
    "another id": {ID_HEADER: "msg_y"},
    "an id that takes in the time": {ID_HEADER: f"msg_x.{NOW}"},
    "an empty id": {ID_HEADER: ""},
    "no signature": {SIGNATURE_HEADER: ""},
    "only a version": {SIGNATURE_HEADER: "v1,"},
    "no version": {SIGNATURE_HEADER: CODE},
    "another version": {SIGNATURE_HEADER: f"v1a,{CODE}"},
    "a version of asymmetric keys": {SIGNATURE_HEADER: f"v2,{CODE}"},
    "one character less": {SIGNATURE_HEADER: f"v1,{CODE[:-1]}"},
    "one character more": {SIGNATURE_HEADER: f"v1,{CODE}="},
    "another case": {SIGNATURE_HEADER: f"v1,{CODE.swapcase()}"},
    "split": {SIGNATURE_HEADER: f"v1,{CODE[:9]} {CODE[9:]}"},
    "in hexadecimal": {SIGNATURE_HEADER: f"v1,{CODE.encode().hex()}"},
    "letters that are none": {SIGNATURE_HEADER: "v1,\xff\xfe\xe9"},
    "thousands of them": {SIGNATURE_HEADER: " ".join(["v1,AAAA"] * 1_000)},
}


@pytest.mark.parametrize("case", FORGED)
def test_no_forged_signature_is_taken(cluster: FakeCluster, case: str) -> None:
    answer = posted(cluster.client(), RAW, {**SIGNED, **FORGED[case]})
    assert_refused(answer, 401, "unauthenticated")
    assert cluster.turns.submitted == []


@pytest.mark.parametrize(
    "body",
    [RAW + b" ", b" " + RAW, RAW[:-1], b"", RAW.replace(b"parcel", b"Parcel"), b"\x00" + RAW],
)
def test_a_signature_counts_for_its_body_to_the_byte(cluster: FakeCluster, body: bytes) -> None:
    assert_refused(posted(cluster.client(), body, SIGNED), 401, "unauthenticated")
    assert cluster.turns.submitted == []


def test_a_replayed_message_runs_once_and_not_at_all_when_it_is_old(tmp_path: Path) -> None:
    # Given a message that somebody recorded
    cluster = FakeCluster(channels=desk(tmp_path))
    client = cluster.client()
    first = posted(client, RAW, SIGNED)
    # When it comes again and again, and under another id that was signed
    again = [posted(client, RAW, SIGNED) for _ in range(5)]
    other = headers_of(RAW, message_id="msg_z", at_s=AT_S, secrets=[SECRET])
    again.append(posted(client, RAW, other))
    # Then it is the turn that it was
    assert {it.json["turn_id"] for it in again} == {first.json["turn_id"]}
    assert len({it.key.turn_id for it in cluster.turns.submitted}) == 1


@pytest.mark.data
def test_no_json_from_a_platform_is_a_failure(cluster: FakeCluster, public_data: Path) -> None:
    client = cluster.client()
    bodies = list(json_texts(public_data))
    assert len(bodies) > 100
    for name, body, _ in bodies:
        answer = deliver(client, body)
        # None of them is an object that has what a message needs.
        assert answer.status_code in {400, 413, 422}, (name, answer.text)
        assert answer.json["error"]["code"] in {"malformed", "too_large", "invalid"}, name
    assert cluster.turns.submitted == []


@pytest.mark.data
def test_no_text_in_any_field_is_a_failure(cluster: FakeCluster, public_data: Path) -> None:
    client = cluster.client()
    for number, text in enumerate(texts(public_data)[::3]):
        user = MESSAGE["user"] | {"name": text}  # type: ignore[operator]
        shown = {**MESSAGE, "message_id": f"m{number}", "text": text, "language": text}
        for body in (
            {**shown, "user": user, "context": {text[:50]: text}},
            {**MESSAGE, "message_id": text},
            {**MESSAGE, "user": {"id": text}},
            {**MESSAGE, "conversation_id": text},
            {**shown, "attachments": [text], "user": text},
        ):
            answer = deliver(client, body)
            assert answer.status_code in {200, 202, 409, 413, 422}, (body, answer.text)
            if answer.status_code >= 400:
                assert answer.json["error"]["message"], body
