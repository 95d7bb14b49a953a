"""What to do about a TLS connection that failed, told from what a library said of it."""

from typing import Final

# Words of OpenSSL, in the order in which they are looked for → what they mean and what to do.
_ADVICE: Final = (
    (
        ("certificate has expired", "certificate is not yet valid"),
        "its certificate has expired, or is not good yet: renew it there, or set the clock here",
    ),
    (
        ("hostname mismatch", "ip address mismatch", "doesn't match", "not valid for"),
        "its certificate is for another name: ask it by a name that the certificate holds",
    ),
    (
        ("self-signed certificate", "self signed certificate", "unable to get local issuer",
         "certificate_verify_failed", "unable to get issuer", "invalid ca certificate"),
        "who signed its certificate is not trusted here: name the authority's certificate"
        " (ssl_ca_certs in REDIS_URL, KAFKA_CA_FILE, RABBITMQ_CA_FILE, ARTIFACT_CA_FILE)",
    ),
    (
        ("certificate_required", "certificate required", "unknown_ca", "unknown ca",
         "bad_certificate", "bad certificate", "certificate_expired", "certificate expired"),
        "it wants a certificate of ours, or does not take the one that we show: see docs/how-to/"
        "tls.md for where to name certificate and key",
    ),
    (
        ("wrong_version_number", "wrong version number", "record layer failure", "http_request"),
        "it speaks no TLS there: check the port, and whether TLS is on",
    ),
    (
        ("handshake operation timed out",),
        "it does not answer the handshake: it hangs, or speaks no TLS there; check the port",
    ),
    (
        # With TLS 1.3 the server's reason may come behind the end of the connection, or never.
        ("unexpected_eof", "unexpected eof", "eof occurred in violation"),
        "it closed the connection: it is stopping, speaks no TLS there, or wants a certificate of"
        " ours",
    ),
    (
        ("protocol_version", "unsupported protocol", "unsupported_protocol", "handshake_failure",
         "handshake failure", "no shared cipher"),
        "it and we have no TLS in common: it must speak TLS 1.2 or 1.3",
    ),
)  # fmt: skip
_CHAIN_MAX: Final = 8


def tls_advice(error: BaseException) -> str:
    """Return what is wrong and what to do; "" where TLS is not what failed."""
    told: BaseException | None = error
    for _ in range(_CHAIN_MAX):
        if told is None:
            break
        if advice := _of_text(str(told)):
            return advice
        told = told.__cause__ or told.__context__
    return ""


def _of_text(text: str) -> str:
    low = text.lower()
    if "ssl" not in low and "tls" not in low and "certificate" not in low:
        return ""
    return next((advice for words, advice in _ADVICE if any(word in low for word in words)), "")
