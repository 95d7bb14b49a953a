"""The dev half of a public suite of protocol cases, against the connection and through the door.

Without its files nothing runs; ``test_websocket_connection`` has a few cases of our own.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kotaemon_node.api.app import create_app
from kotaemon_node.api.websocket.connection import Connection, ConnectionEnded
from kotaemon_node.domain.door_limits import SOCKET_MESSAGE_BYTES_MAX
from tests.fakes.services import FakeCluster
from tests.raw_websocket import BINARY, CLOSE, PING, PONG, TEXT, RawSocket, frame
from tests.socket_server import SocketServer
from tests.websocket_cases import CODES, echoed, play_of, send_all

_ECHO_BYTES_MAX = 16 * 1024**2

pytestmark = pytest.mark.data


def echo(environ: dict[str, Any], _start: object) -> Iterable[bytes]:
    """Serve a connection that sends back what it gets."""
    sock = environ["gunicorn.socket"]
    sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    connection = Connection(sock, message_bytes_max=_ECHO_BYTES_MAX, stall_s=60)
    try:
        while True:
            message = connection.receive(60)
            if message is not None:
                connection.send(message)
    except ConnectionEnded:
        raise StopIteration from None


@pytest.fixture(scope="module")
def echo_port() -> Iterator[int]:
    with SocketServer(echo) as server:
        yield server.port


@pytest.fixture(scope="module")
def door_port() -> Iterator[int]:
    with SocketServer(create_app(FakeCluster().services(), streams_max=1_000)) as server:
        yield server.port


def rows(public_data: Path, name: str) -> list[dict[str, Any]]:
    text = (public_data / "websocket_cases" / "dev" / name).read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_every_case_is_taken_as_the_suite_expects(public_data: Path, echo_port: int) -> None:
    wrong = {}
    cases = rows(public_data, "cases.jsonl")
    for case in cases:
        client = RawSocket(echo_port, "/")
        problem = _echo_problem(client, case)
        client.close()
        if problem:
            wrong[case["case"]] = problem
    print(f"{len(cases) - len(wrong)} of {len(cases)} cases")
    assert not wrong


def _echo_problem(client: RawSocket, case: dict[str, Any]) -> str:
    """Return what was not as expected, "" where all was."""
    play = play_of(case)
    send_all(client, play)
    if case["close"] in CODES:
        last = client.rest()[-1:]
        codes = [got.code for got in last if got.opcode == CLOSE]
        return "" if codes == [CODES[case["close"]]] else f"closed with {codes}"
    messages, pongs = echoed(client, play)
    if messages != play.echoes:
        return f"{len(messages)} messages came back, of {len(play.echoes)}, or other ones"
    if pongs != play.pongs:
        return f"pongs {pongs}, not {play.pongs}"
    if not play.closes:
        client.send(frame(CLOSE, b"\x03\xe8"))
    rest = client.rest()
    clean = [got.opcode for got in rest] == [CLOSE] and rest[0].code in {1000, None}
    return "" if clean else f"not a clean close: {rest}"


def test_every_text_is_refused_or_taken_as_its_utf8_says(public_data: Path, echo_port: int) -> None:
    wrong = []
    texts = rows(public_data, "utf8.jsonl")
    for row in texts:
        payload = bytes.fromhex(row["hex"])
        for pieces in (len(payload) or 1, 1):
            client = RawSocket(echo_port, "/")
            for start in range(0, len(payload) or 1, pieces):
                last = start + pieces >= len(payload)
                piece = payload[start : start + pieces]
                client.send(frame(TEXT if start == 0 else 0, piece, fin=last))
            got = client.receive()
            assert got is not None
            taken = got.opcode == TEXT and got.payload == payload
            if taken != row["valid"] or (not taken and got.code != 1007):
                wrong.append((row, pieces, got))
            client.close()
    print(f"{2 * len(texts) - len(wrong)} of {2 * len(texts)} texts, whole and byte by byte")
    assert not wrong


def test_the_door_closes_with_the_codes_of_the_suite_and_else_goes_on(
    public_data: Path, door_port: int
) -> None:
    wrong = {}
    for case in rows(public_data, "cases.jsonl"):
        play = play_of(case)
        client = RawSocket(door_port, "/ws/chat")
        send_all(client, play)
        expected: set[int | None] = {CODES.get(case["close"], 1000), None}
        if any(len(got.payload) > SOCKET_MESSAGE_BYTES_MAX for got in play.echoes):
            expected = {1009}
        elif any(got.opcode == BINARY for got in play.echoes) and case["close"] not in CODES:
            expected = {1003}
        elif not play.closes and case["close"] not in CODES:
            client.send(frame(PING, b"still there") + frame(CLOSE, b"\x03\xe8"))
        rest = client.rest()
        codes = [got.code for got in rest if got.opcode == CLOSE]
        alive = any(got.opcode == PONG and got.payload == b"still there" for got in rest)
        if (
            len(codes) != 1
            or codes[0] not in expected
            or (expected == {1000, None} and not play.closes and not alive)
        ):
            wrong[case["case"]] = (codes, expected)
        client.close()
    assert not wrong
