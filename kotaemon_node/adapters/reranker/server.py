"""The reranker port over HTTP, in the form of Text Embeddings Inference: ``POST /rerank``.

Asked: ``{"query", "texts", "truncate": true}``; answered: a list of ``{"index", "score"}``.
"""

import json
import math
import time
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from kotaemon_node.adapters.reranker.errors import RerankerSetupError
from kotaemon_node.bearer import Bearer
from kotaemon_node.domain.limits import RERANK_TIMEOUT_S, RUNNING_TURNS_PER_POD_MAX
from kotaemon_node.ports.reranker import RerankerFailed
from kotaemon_node.ports.traces import outgoing

_ANSWER_BYTES_MAX: Final = 64 * 1024  # 20 passages take about 1 KB
_CHUNK_BYTES: Final = 16 * 1024


class RerankServer:
    """Asks one server; a question is one request, and is not repeated."""

    def __init__(self, url: str, *, key: str = "", timeout_s: float = RERANK_TIMEOUT_S) -> None:
        """``url`` is the address without ``/rerank``. Raises ``RerankerSetupError``."""
        address = urlsplit(url)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise RerankerSetupError("RERANK_MODEL must look like http://host:port")
        key = key.strip()  # keys from files end with a line break
        if not (key.isascii() and key.isprintable()):
            raise RerankerSetupError("RERANK_API_KEY holds a character that a header cannot carry")
        self._url = f"{url.rstrip('/')}/rerank"
        self._name = address.hostname
        self._auth = Bearer(key)
        self._timeout_s = timeout_s
        self._http = requests.Session()
        adapter = requests.adapters.HTTPAdapter(
            pool_maxsize=RUNNING_TURNS_PER_POD_MAX, max_retries=0
        )
        self._http.mount("http://", adapter)
        self._http.mount("https://", adapter)

    @property
    def name(self) -> str:
        return self._name

    def scores(self, question: str, passages: Sequence[str]) -> Sequence[float]:
        if not passages:
            return ()
        body = {"query": question, "texts": list(passages), "truncate": True}
        try:
            return _scores(self._answer(body), len(passages))
        except (requests.RequestException, OSError) as error:
            # Without the address, which is nobody's business outside.
            raise RerankerFailed(
                "the rerank server cannot be reached, or did not answer"
            ) from error

    def _answer(self, body: dict[str, Any]) -> bytes:
        deadline_s = time.monotonic() + self._timeout_s
        with self._http.post(
            self._url,
            json=body,
            headers={"Accept": "application/json", **outgoing()},
            auth=self._auth,
            stream=True,
            allow_redirects=False,  # the key and the texts go to nobody else
            timeout=self._timeout_s,
        ) as response:
            if response.status_code != requests.codes.ok:
                raise RerankerFailed(f"the rerank server answered {response.status_code}")
            answer = b""
            for chunk in response.iter_content(_CHUNK_BYTES):
                answer += chunk
                if len(answer) > _ANSWER_BYTES_MAX:
                    raise RerankerFailed("the rerank server's answer is too long")
                if time.monotonic() > deadline_s:
                    raise RerankerFailed("the rerank server takes too long")
            return answer


def _scores(answer: bytes, passages: int) -> Sequence[float]:
    """Return the score of each passage. Raises ``RerankerFailed`` where one is missing."""
    try:
        found = {int(row["index"]): float(row["score"]) for row in json.loads(answer)}
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise RerankerFailed("the rerank server's answer has another form") from error
    if found.keys() != set(range(passages)) or not all(map(math.isfinite, found.values())):
        raise RerankerFailed("the rerank server scored other passages than it was asked about")
    return [found[number] for number in range(passages)]
