"""Finds out what is wrong with TLS to a broker: kafka-python only says that none is available."""

import socket
import ssl
import struct
from contextlib import closing
from typing import Final

from kotaemon_node.adapters.kafka.address import KafkaAddress
from kotaemon_node.domain.tls_advice import tls_advice

_TIMEOUT_S: Final = 2.0
# With TLS 1.3 our certificate is refused behind the handshake, so something is asked that a broker
# answers to anybody: which requests it knows (18, in version 0).
_ASKED: Final = struct.pack(">ihhih", 10, 18, 0, 1, 0)
_CLOSED: Final = (
    "it closed the connection behind the handshake: it does not take the certificate of ours, or"
    " wants one (KAFKA_CERT_FILE, KAFKA_KEY_FILE), or it is stopping"
)


def tls_problem(address: KafkaAddress) -> str:
    """Return what is wrong and what to do; "" where TLS is not it. Connects to one broker."""
    if not address.encrypted:
        return ""
    host, _, port = address.servers[0].rpartition(":")
    name = host.strip("[]")
    try:
        context = ssl.create_default_context(cafile=address.ca_file)
        if address.cert_file is not None:
            context.load_cert_chain(address.cert_file, address.key_file)
    except OSError as error:
        return f"KAFKA_CA_FILE, KAFKA_CERT_FILE or KAFKA_KEY_FILE cannot be used: {error}"
    try:
        with (
            closing(socket.create_connection((name, int(port)), timeout=_TIMEOUT_S)) as plain,
            context.wrap_socket(plain, server_hostname=name) as line,
        ):
            return _problem_behind(line)
    except OSError as error:
        return tls_advice(error)


def _problem_behind(line: ssl.SSLSocket) -> str:
    """Return what a broker has against us once the handshake is done; "" for nothing."""
    line.settimeout(_TIMEOUT_S)
    try:
        line.sendall(_ASKED)
        if line.recv(1):
            return ""
    except TimeoutError:
        return ""  # it hangs, and TLS is not why
    except OSError as error:
        # Its reason may be lost: a connection with unread words is reset as it is closed.
        return tls_advice(error) or _CLOSED
    return _CLOSED
