"""The one form in which every route says no."""

from typing import Any

from kotaemon_node.api.openai.errors import speaks_openai


def assert_refused(answer: Any, status: int, code: str) -> None:
    """The status, and the error form to the last field."""
    assert answer.status_code == status, answer.text[:300]
    assert answer.mimetype == "application/json"
    assert answer.json.keys() == {"error"}
    error = answer.json["error"]
    if speaks_openai(answer.request.path):
        assert error.keys() == {"message", "type", "param", "code"}
        assert error["message"]
        assert answer.headers["x-request-id"] == answer.headers["X-Trace-ID"]
        return
    assert error.keys() == {"code", "message", "retryable", "trace_id"}
    assert error["code"] == code
    assert error["message"]
    assert isinstance(error["retryable"], bool)
    assert error["trace_id"] == answer.headers["X-Trace-ID"]
