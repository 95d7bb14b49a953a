"""Asks pods over HTTP who they are."""

import http.client
import json

from kotaemon_node.ports.peers import PeerRefused, PeerSilent

_TIMEOUT_S = 0.3
_ANSWER_BYTES_MAX = 64 * 1024


class HttpPeers:
    """``ports.peers.Peers`` by ``GET /readyz``, which names the incarnation, ready or not."""

    def incarnation_at(self, address: str) -> str:
        """See the port."""
        connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", "/readyz")
            fields = json.loads(connection.getresponse().read(_ANSWER_BYTES_MAX))
            return str(fields["incarnation"])
        except ConnectionRefusedError as error:
            raise PeerRefused(address) from error
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            raise PeerSilent(address) from error
        finally:
            connection.close()
