"""The key of a server elsewhere, as the ``auth`` of a request."""

import requests
from requests.auth import AuthBase


class Bearer(AuthBase):
    """Sends the key. As an ``auth`` object it also keeps a ``.netrc`` from taking its place."""

    def __init__(self, key: str) -> None:
        """``key`` "": none is sent."""
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request
