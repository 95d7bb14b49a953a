"""Asks pods over HTTP who they are and how they are."""

import http.client
import json

from kotaemon_node.ports.peers import PeerRefused, PeerSilent

_TIMEOUT_S = 0.3
_ANSWER_BYTES_MAX = 64 * 1024


class HttpPeers:
    """``ports.peers.Peers`` by ``GET /readyz``, which tells of the pod, ready or not."""

    def incarnation_at(self, address: str) -> str:
        """See the port."""
        return str(_readiness(address, "incarnation"))

    def store_answers_at(self, address: str) -> bool:
        """See the port."""
        return bool(_readiness(address, "store"))


def _readiness(address: str, name: str) -> object:
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        return json.loads(connection.getresponse().read(_ANSWER_BYTES_MAX))[name]
    except ConnectionRefusedError as error:
        raise PeerRefused(address) from error
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise PeerSilent(address) from error
    finally:
        connection.close()
