"""The routes of the order service.

| route | answers |
|---|---|
| GET /healthz | that it is there |
| GET /orders?user= | a user's orders, newest first |
| GET /orders/ID[?user=] | one order; another user's is 404 |
| POST /orders/ID/cancel | cancels it; JSON {"user": …}; honours Idempotency-Key |
| GET /cancellations/KEY | what was done under a key; 404: nothing until now |

Texts for people come in both languages: {"en": …, "zh": …}.
"""

from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from shop.orders import Orders, Refused

BODY_BYTES_MAX = 10_000
KEY_CHARS_MAX = 400


def create_app(orders: Orders) -> Flask:
    """Return the WSGI application of these orders."""
    app = Flask("shop")
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    app.json.ensure_ascii = False  # type: ignore[attr-defined]

    @app.get("/healthz")
    def healthz() -> Any:
        return {"status": "ok"}

    @app.get("/orders")
    def of_user() -> Any:
        user = request.args.get("user", "")
        if not user:
            raise Refused(400, "no_user", {"en": "user is missing.", "zh": "缺少用户。"})
        return {"orders": orders.of(user)}

    @app.get("/orders/<order_id>")
    def one(order_id: str) -> Any:
        return orders.one(order_id, request.args.get("user"))

    _cancelling(app, orders)
    app.register_error_handler(Refused, _refused)
    app.register_error_handler(HTTPException, _unknown)
    return app


def _cancelling(app: Flask, orders: Orders) -> None:
    @app.post("/orders/<order_id>/cancel")
    def cancel(order_id: str) -> Any:
        said = request.get_json(force=True)
        user = said.get("user") if isinstance(said, dict) else None
        key = request.headers.get("Idempotency-Key", "")
        if len(key) > KEY_CHARS_MAX:
            raise Refused(400, "long_key", {"en": "The key is too long.", "zh": "请求编号过长。"})
        return orders.cancel(order_id, user, key=key)

    @app.get("/cancellations/<path:key>")
    def cancellation(key: str) -> Any:
        done = orders.cancellation(key)
        if done is None:
            raise Refused(
                404, "no_cancellation", {"en": "Nothing was cancelled.", "zh": "没有取消记录。"}
            )
        return done


def _refused(error: Refused) -> tuple[Response, int]:
    told = {"code": error.code, "message": error.message}
    return jsonify({"error": told}), error.status


def _unknown(error: HTTPException) -> tuple[Response, int]:
    told = {"code": "bad_request", "message": {"en": error.name, "zh": error.name}}
    return jsonify({"error": told}), error.code or 500
