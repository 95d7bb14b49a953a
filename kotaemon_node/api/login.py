"""The page's way in: a key once, then a cookie that no script can read; and who the caller is."""

from typing import Final

from flask import Blueprint, Response, request

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.authority import Authority
from kotaemon_node.api.body import read_body
from kotaemon_node.api.context import principal, services
from kotaemon_node.api.forms import CallerForm
from kotaemon_node.api.inputs import EmptyBody, LoginBody
from kotaemon_node.api.principal import LOGIN_COOKIE, behind_tls, from_elsewhere
from kotaemon_node.domain.errors import Forbidden, NotFound
from kotaemon_node.domain.session import Principal

routes: Final = Blueprint("login", __name__)


@routes.post("/v1/login")
def log_in() -> Response:
    """Take a key and set the page's cookie, for a week at most; only where keys are asked for."""
    body = read_body(LoginBody)
    _require_own_page()
    login = _authority().login(body.key)
    answer = json_answer(_form(login.principal))
    answer.set_cookie(
        LOGIN_COOKIE,
        login.token,
        max_age=login.max_age_s,
        path="/",
        secure=behind_tls(request),
        httponly=True,
        samesite="Lax",
    )
    return answer


@routes.post("/v1/logout")
def log_out() -> Response:
    """Remove the page's cookie. The key itself stays valid; `kotaemon keys revoke` ends it."""
    read_body(EmptyBody)
    _require_own_page()
    answer = Response(status=204)
    answer.delete_cookie(
        LOGIN_COOKIE, path="/", secure=behind_tls(request), httponly=True, samesite="Lax"
    )
    return answer


@routes.get("/v1/me")
def me() -> Response:
    """Show who the caller is, by its credential."""
    return json_answer(_form(principal()))


def _authority() -> Authority:
    authority = services().authority
    if authority is None:
        raise NotFound("this cluster is open: nobody needs a key")
    return authority


def _require_own_page() -> None:
    if from_elsewhere(request):
        raise Forbidden("another site may not log anybody in or out")


def _form(caller: Principal) -> CallerForm:
    return CallerForm(caller.tenant, caller.subject, caller.role)
