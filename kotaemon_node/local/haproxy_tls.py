"""What ``haproxy.cfg`` holds where the balancer speaks TLS; pure text from values.

Certificates are those of one folder, ``tls.crt`` and ``tls.key``, as cert-manager names them.
"""

import json
from dataclasses import dataclass
from typing import Final

# Mozilla's "intermediate" of 5.7 (https://wiki.mozilla.org/Security/Server_Side_TLS), without the
# three of DHE: they would need parameters of their own and serve nobody whom the others do not.
CIPHERS: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
SUITES: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
HSTS_S: Final = 63_072_000
"""Two years, as Mozilla advises for names that will never be without TLS again."""

_GLOBALS: Final = """\
    # Mozilla's intermediate configuration: TLS 1.2 with forward secrecy, or 1.3.
    ssl-default-bind-options prefer-client-ciphers ssl-min-ver TLSv1.2 no-tls-tickets
    ssl-default-bind-ciphers {ciphers}
    ssl-default-bind-ciphersuites {suites}
    ssl-default-bind-curves X25519:prime256v1:secp384r1
    # The key of tls.crt is tls.key. What certificates.lua is told:
    ssl-load-extra-del-ext
    setenv TLS_FOLDER {folder}
    setenv TLS_ADDRESS {try_host}
    setenv TLS_PORT {try_port}
    lua-load certificates.lua
"""
_WATCHING: Final = "    http-request use-service lua.certificate if { path /certificate }\n"
_REFUSED: Final = json.dumps(
    {
        "error": {
            "code": "forbidden",
            "message": "This address is not encrypted. Send the request to its https address; a"
            " key that was sent here may have been read on the way: have it replaced.",
            "retryable": False,
            "trace_id": "%[unique-id]",
        }
    }
).replace('"', '\\"')
# Only reading is led on. Who writes has sent a key or a message already: that must be noticed.
_REDIRECT: Final = """
frontend redirect
    bind {address}
    maxconn {clients_max}
    http-request set-var(txn.name) req.hdr(host),regsub(:[0-9]+$,)
    acl named var(txn.name) -m found
    http-request redirect location "{https}" code 308 if named {{ method GET HEAD }}
    http-request return status 403 content-type {json} lf-string "{refused}" hdr {kept}
"""


@dataclass(frozen=True, slots=True)
class Tls:
    """How one place speaks TLS; each word may be text of a Go template."""

    folder: str
    """Where ``tls.crt`` and ``tls.key`` are, for a HAProxy that runs."""
    try_host: str
    """A renewed certificate is tried at this address and port of the balancer itself."""
    try_port: str
    hsts_s: str = ""
    """Seconds for which browsers ask by https alone; empty: nothing is said about it."""
    plain_address: str = ""
    """Where requests without TLS are led to https, as ``bind`` takes it; empty: nowhere."""
    port_suffix: str = ""
    """Behind the name that clients are led to: the port of https, where it is not 443."""
    address: str = ""
    """Where clients come with TLS, where that differs from where they come without."""
    when: str = ""
    """Condition of a Go template under which the place speaks TLS; empty: it does."""
    hsts_when: str = ""
    """The same for ``hsts_s``."""


def own_host(bound: str) -> str:
    """Return where a HAProxy that listens on ``bound`` reaches itself."""
    return {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(
        bound.strip("[]"), bound.strip("[]")
    )


def port_suffix(port: str) -> str:
    """Return what stands behind the name in an address of https."""
    return "" if port == "443" else f":{port}"


def choose(when: str, encrypted: str, plain: str = "") -> str:
    """Return whole lines for a place that speaks TLS, or leaves that to a Go template."""
    if not when:
        return encrypted
    otherwise = f"{{{{- else }}}}\n{plain}" if plain else ""
    return f"{{{{- if {when} }}}}\n{encrypted}{otherwise}{{{{- end }}}}\n"


def global_lines(tls: Tls | None) -> str:
    """Return what belongs into the section ``global``."""
    if tls is None:
        return ""
    text = _GLOBALS.format(
        ciphers=":".join(CIPHERS),
        suites=":".join(SUITES),
        folder=tls.folder,
        try_host=tls.try_host,
        try_port=tls.try_port,
    )
    return choose(tls.when, text)


def public_bind(tls: Tls | None, address: str) -> str:
    """Return the ``bind`` of the frontend of HTTP."""
    plain = f"    bind {address}\n"
    if tls is None:
        return plain
    return choose(tls.when, _bind(tls, tls.address or address, alpn="h2,http/1.1"), plain)


def grpc_bind(tls: Tls | None, address: str) -> str:
    """Return the ``bind`` of the frontend of gRPC, which is HTTP/2 with and without TLS."""
    plain = f"    bind {address} proto h2\n"
    return plain if tls is None else choose(tls.when, _bind(tls, address, alpn="h2"), plain)


def _bind(tls: Tls, address: str, *, alpn: str) -> str:
    return f"    bind {address} ssl crt {tls.folder}/tls.crt alpn {alpn}\n"


def watching_lines(tls: Tls | None) -> str:
    """Return what watchers may ask besides."""
    return "" if tls is None else choose(tls.when, _WATCHING)


def origin_lines(tls: Tls | None, *, unless: str) -> str:
    """Return the lines that say who a client is and how it came.

    ``unless``: ends a rule that is not for proxies whose word is taken; what others say is removed.
    """
    lines = f"    http-request del-header X-Forwarded-For{unless}\n"
    lines += f"    http-request del-header Forwarded{unless}\n"
    encrypted = "    http-request set-header X-Forwarded-Proto https\n"
    plain = f"    http-request set-header X-Forwarded-Proto http{unless}\n"
    return lines + (plain if tls is None else choose(tls.when, encrypted, plain))


def hsts_lines(tls: Tls | None) -> str:
    """Return the promise to browsers that this name is never without TLS again."""
    if tls is None or not tls.hsts_s:
        return ""
    promise = f'Strict-Transport-Security "max-age={tls.hsts_s}"'
    return choose(tls.hsts_when, f"    http-after-response set-header {promise}\n")


def redirect_section(tls: Tls | None, *, clients_max: str) -> str:
    """Return the frontend that leads from http to https."""
    if tls is None or not tls.plain_address:
        return ""
    section = _REDIRECT.format(
        address=tls.plain_address,
        clients_max=clients_max,
        https=f"https://%[var(txn.name)]{tls.port_suffix}%[pathq]",
        json="application/json",
        refused=_REFUSED,
        kept="Cache-Control no-store",
    )
    return choose(tls.when, section)
