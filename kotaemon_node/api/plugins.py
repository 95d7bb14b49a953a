"""Plugins: which versions are wanted on all pods, and what the pods have.

Every change takes effect on all pods within two seconds; running calls end in the version in which
they began.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import structlog
from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from kotaemon_node.api.answers import json_answer
from kotaemon_node.api.audited_routes import note
from kotaemon_node.api.body import checked, parse_object, read_body
from kotaemon_node.api.context import principal, services, shared
from kotaemon_node.api.errors import UnsupportedMediaType
from kotaemon_node.api.inputs import EmptyBody
from kotaemon_node.api.plugin_forms import PluginBody, PluginForm, PluginList, plugin_form
from kotaemon_node.api.services import PluginService
from kotaemon_node.domain.acting_limits import BUNDLE_BYTES_MAX
from kotaemon_node.domain.errors import Invalid, Malformed, NotFound, TooLarge
from kotaemon_node.domain.plugin_releases import PluginRow, PluginWish
from kotaemon_node.domain.plugin_signature import signature_of
from kotaemon_node.ports.knowledge import PodReport

_log = structlog.get_logger(__name__)

routes: Final = Blueprint("plugins", __name__)

_BUNDLE: Final = "bundle"
_SIGNATURE: Final = "signature"
_SIGNATURE_BYTES_MAX: Final = 1_024


@routes.get("/v1/plugins")
def list_plugins() -> Response:
    """List the plugins: what is wanted of each, and what every pod has of it."""
    desired = _desk().desired()
    pods = services().presence.pods()
    rows = [_form(row, pods) for _, row in sorted(desired.rows.items())]
    return json_answer(PluginList(desired.revision, rows))


@routes.post("/v1/plugins")
def push_plugin() -> Response:
    """Take a bundle as the newest version of its plugin.

    A form with the file `bundle` and the file `signature`, which `kotaemon plugins push` makes with
    a key of `TRUSTED_KEYS`; perhaps with `rollout_percent`, `enabled`, `tenants` and `config`
    (JSON).
    """
    with shared().uploads.slot():
        raw, signature, wish = _read_form()
        key_id, signed = signature_of(signature)
        row = _desk().push(raw, key_id=key_id, signature=signed, wish=wish, by=_caller())
    sha256 = hashlib.sha256(raw).hexdigest()
    note(target=row.name, signed_by=key_id, sha256=sha256, **_told(wish))
    return _shown(row, status=201)


@routes.put("/v1/plugins/<name>")
def change_plugin(name: str) -> Response:
    """Switch a plugin on or off, configure it, or change whose sessions it is for or tried on.

    A new configuration is a new version, and is rolled out like one.
    """
    body = read_body(PluginBody)
    wish = PluginWish(body.enabled, body.config, body.rollout_percent, body.tenants)
    note(target=name, **_told(wish))
    return _shown(_desk().change(name, wish, by=_caller()))


@routes.post("/v1/plugins/<name>/reload")
def reload_plugin(name: str) -> Response:
    """Have every pod start the plugin anew, with its secrets as they are now."""
    read_body(EmptyBody)
    return _shown(_desk().reload(name, by=_caller()))


@routes.delete("/v1/plugins/<name>")
def delete_plugin(name: str) -> Response:
    """Take a plugin out of use. One whose file lies in the plugin folder comes back."""
    _desk().remove(name, by=_caller())
    return Response(status=204)


def _told(wish: PluginWish) -> dict[str, str | float]:
    """Return what the audit log keeps of a wish: whom it concerns, and how far.

    Of a configuration only that there is another one: it may hold what is nobody's business.
    """
    told: dict[str, str | float] = {"configured": wish.config is not None}
    if wish.enabled is not None:
        told["enabled"] = wish.enabled
    if wish.rollout_percent is not None:
        told["rollout_percent"] = wish.rollout_percent
    if wish.tenants is not None:
        # Long lists are cut as all texts are; how many there are is told in any case.
        told["tenants"], told["tenant_count"] = ",".join(wish.tenants), len(wish.tenants)
    return told


def _desk() -> PluginService:
    desk = services().plugins
    if desk is None:
        raise NotFound("this pod has no plugins")
    return desk


def _caller() -> str:
    return principal().subject


def _shown(row: PluginRow, *, status: int = 200) -> Response:
    return json_answer(_form(row, services().presence.pods()), status=status)


def _form(row: PluginRow, pods: Sequence[PodReport]) -> PluginForm:
    breakers = services().breakers
    broken = breakers is not None and breakers.of(principal().tenant, row.name).open_now()
    return plugin_form(row, pods, manifest=_desk().manifest(row), broken=broken)


def _read_form() -> tuple[bytes, bytes, PluginWish]:
    """Return bundle, signature and wish of the request's form."""
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType(
            f"the body must be multipart/form-data, not {request.mimetype or 'of no type'}"
        )
    try:
        files, fields = request.files, request.form
    except HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - servers' and parsers' errors share no base
        _log.info("form_broken", error=repr(error))
        raise Malformed(f"the form is broken or was cut off: {type(error).__name__}") from None
    if _BUNDLE not in files or _SIGNATURE not in files:
        raise Invalid("the form must have two files, `bundle` and `signature`")
    raw = files[_BUNDLE].stream.read(BUNDLE_BYTES_MAX + 1)
    if len(raw) > BUNDLE_BYTES_MAX:
        raise TooLarge(f"a bundle has at most {BUNDLE_BYTES_MAX} bytes")
    signature = files[_SIGNATURE].stream.read(_SIGNATURE_BYTES_MAX)
    said: dict[str, Any] = {}
    for name in ("enabled", "rollout_percent", "config", "tenants"):
        if text := fields.get(name, ""):
            said |= parse_object(b'{"%s": %s}' % (name.encode(), text.encode()))
    body = checked(PluginBody, said)
    return raw, signature, PluginWish(body.enabled, body.config, body.rollout_percent, body.tenants)
