"""The page's way in: a key once, or an issuer's login, then a cookie that no script can read."""

from contextlib import suppress
from typing import Final

from flask import Blueprint, Response, g, request

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.audited_routes import note
from kotaemon_node.api.authority import Authority
from kotaemon_node.api.body import read_body
from kotaemon_node.api.context import audit, principal, services
from kotaemon_node.api.inputs import EmptyBody, LeavingQuery, LoginBody, ReturningQuery
from kotaemon_node.api.issuer_logins import PAGES, IssuerLogins, Returned
from kotaemon_node.api.limited import trying
from kotaemon_node.api.login_forms import CallerForm, EndLoginsBody, IssuerForm, LoggedOut, WaysIn
from kotaemon_node.api.principal import (
    LOGIN_COOKIE,
    behind_tls,
    cookie_name,
    from_elsewhere,
    login_in,
)
from kotaemon_node.api.query import read_query
from kotaemon_node.domain import oidc_limits
from kotaemon_node.domain.errors import (
    Forbidden,
    LimitReached,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.session import Principal

routes: Final = Blueprint("login", __name__)

LEAVING_COOKIE: Final = "kotaemon_leaving"
"""What a browser carries while it is at the issuer; without TLS sent to the callback alone."""
_CALLBACK: Final = "/v1/login/oidc/callback"


@routes.get("/v1/login")
def ways_in() -> Response:
    """Show by what one may log in here: keys, and which issuers."""
    authority = services().authority
    logins = authority.logins if authority else None
    offered = logins.offered() if logins else ()
    answer = json_answer(
        WaysIn(
            key=authority is not None,
            issuers=[IssuerForm(issuer.name, client.label) for issuer, client in offered],
        )
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


@routes.post("/v1/login")
def log_in() -> Response:
    """Take a key and set the page's cookie, for a week at most; only where keys are asked for."""
    body = read_body(LoginBody)
    _require_own_page()
    authority = _authority()
    try:
        with trying(body.key):
            login = authority.login(body.key)
    except Unauthenticated as error:
        audit("login.refused", outcome="refused", reason=str(error))
        raise
    _entered(login.principal)
    answer = json_answer(_form(login.principal))
    _set(answer, LOGIN_COOKIE, login.token, max_age_s=login.max_age_s)
    return answer


@routes.get("/v1/login/oidc")
def leave() -> Response:
    """Send the browser to an issuer, from where it comes back to the callback."""
    query = read_query(LeavingQuery)
    logins = _logins()
    offered = [issuer.name for issuer, _ in logins.offered()]
    leaving = logins.leave(
        query.issuer or (offered[0] if offered else ""),
        page="admin" if query.back == PAGES["admin"] else "page",
    )
    answer = _redirected(leaving.address)
    _set(answer, LEAVING_COOKIE, leaving.cookie, max_age_s=oidc_limits.LOGIN_FLOW_S)
    return answer


@routes.get("/v1/login/oidc/callback")
def come_back() -> Response:
    """Let in who comes back from the issuer, and show the page; it says so where it failed."""
    query = read_query(ReturningQuery)
    logins = _logins()
    cookie = request.cookies.get(cookie_name(request, LEAVING_COOKIE), "")
    try:
        returned = _returned(logins, cookie, query)
    except (Unauthenticated, Unavailable, NotFound, LimitReached) as error:
        audit("login.refused", outcome="refused", reason=str(error), code=error.code)
        word = "away" if isinstance(error, Unavailable | LimitReached) else "refused"
        answer = _redirected(f"{logins.page_of(cookie)}?login={word}")
    else:
        _entered(returned.principal)
        answer = _redirected(returned.page)
        _set(answer, LOGIN_COOKIE, returned.token, max_age_s=returned.max_age_s)
    # A code counts once: so does what went with it.
    _remove(answer, LEAVING_COOKIE)
    return answer


@routes.post("/v1/logout")
def log_out() -> Response:
    """End the login on all pods, and remove the page's cookie; keys stay as they are.

    Where the end cannot be kept now, nobody is told that they are out: 503, and the cookie stays.
    """
    read_body(EmptyBody)
    _require_own_page()
    leaving = _ended_login()
    answer = Response(status=204)
    if leaving is not None:
        g.principal = leaving
        audit("login.ended")
        logins = _authority().logins
        if logins is not None and (address := logins.logout_address(leaving)):
            answer = json_answer(LoggedOut(address))
    _remove(answer, LOGIN_COOKIE)
    return answer


@routes.post("/v1/logins/end")
def end_logins() -> Response:
    """End all logins of a user on the page, on every device; their keys and tokens still count."""
    body = read_body(EndLoginsBody)
    authority, own = _authority(), principal().tenant
    tenant = body.tenant or own
    if own not in {tenant, DEFAULT_TENANT}:
        raise Forbidden("only an administrator of the cluster may end logins of another tenant")
    authority.end_logins(tenant, body.user)
    note(target=body.user, tenant=tenant)
    return Response(status=204)


@routes.get("/v1/me")
def me() -> Response:
    """Show who the caller is, by its credential."""
    return json_answer(_form(principal()))


def _authority() -> Authority:
    authority = services().authority
    if authority is None:
        raise NotFound("this cluster is open: nobody needs a key")
    return authority


def _logins() -> IssuerLogins:
    logins = _authority().logins
    if logins is None:
        raise NotFound("nobody logs in here by an issuer; AUTH_MODE=oidc makes it possible")
    return logins


def _returned(logins: IssuerLogins, cookie: str, query: ReturningQuery) -> Returned:
    if query.error:
        # What the issuer says of it is for the person, who read it there; the word is for the log.
        raise Unauthenticated("the issuer let nobody in")
    if not (query.state and query.code):
        raise Unauthenticated("the issuer's answer is not whole; begin again")
    # Anybody gets such a cookie, and each code that is made up asks the issuer, the same one too.
    with trying(cookie, once=False):
        return logins.come_back(cookie, state=query.state, code=query.code, by=query.iss)


def _ended_login() -> Principal | None:
    """End the request's login and return whose it was; None where none counts."""
    token = login_in(request)
    authority = services().authority
    if token and authority is not None:
        with suppress(Unauthenticated):
            return authority.end_login(token)
    return None


def _entered(caller: Principal) -> None:
    g.principal = caller
    audit("login.done")


def _require_own_page() -> None:
    if from_elsewhere(request):
        raise Forbidden("another site may not log anybody in or out")


def _redirected(address: str) -> Response:
    answer = Response(status=303)
    answer.headers["Location"] = address
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _set(answer: Response, name: str, value: str, *, max_age_s: int) -> None:
    answer.set_cookie(
        cookie_name(request, name),
        value,
        max_age=max_age_s,
        path=_path(name),
        secure=behind_tls(request),
        httponly=True,
        samesite="Lax",
    )


def _remove(answer: Response, name: str) -> None:
    answer.delete_cookie(
        cookie_name(request, name),
        path=_path(name),
        secure=behind_tls(request),
        httponly=True,
        samesite="Lax",
    )


def _path(name: str) -> str:
    # A name with `__Host-` has no path but this one.
    return _CALLBACK if name == LEAVING_COOKIE and not behind_tls(request) else "/"


def _form(caller: Principal) -> CallerForm:
    return CallerForm(caller.tenant, caller.subject, caller.role)
