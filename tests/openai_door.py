"""OpenAI's SDK in front of an application of this process: no sockets, the same bytes."""

from typing import Any

import httpx2
import openai
from flask import Flask

from kotaemon_node.api.app import create_app
from kotaemon_node.api.services import OpenAiOffer
from tests.fakes.services import FakeCluster

QUESTION = [{"role": "user", "content": "May I return a lamp?"}]


def door(**parts: Any) -> FakeCluster:
    """Return a scripted pod at whose time turns are accepted."""
    cluster = FakeCluster(**parts)
    cluster.clock.at_s = 100.0
    return cluster


def sdk(app: Flask | FakeCluster, **named: Any) -> openai.OpenAI:
    """Return a client that checks every answer and repeats nothing by itself."""
    if isinstance(app, FakeCluster):
        app = create_app(app.services())
    return openai.OpenAI(
        api_key=named.pop("api_key", "none"),
        base_url="http://pod/v1",
        max_retries=0,
        _strict_response_validation=named.pop("_strict_response_validation", True),
        http_client=httpx2.Client(transport=httpx2.WSGITransport(app=app)),
        **named,
    )


def with_model(**more: Any) -> OpenAiOffer:
    """Return what a pod with a language model offers."""
    return OpenAiOffer(language_model="m", **more)
