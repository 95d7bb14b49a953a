"""What a pod asks of the store to run a turn."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.domain.session import TurnRequest
from kotaemon_node.engine.given import ALONE
from kotaemon_node.ports.sessions import ClaimRequest


def claim_of(
    request: TurnRequest,
    options: Mapping[str, Any],
    *,
    owner: str,
    new_epoch: str,
    served: GenerationRef | None = None,
) -> ClaimRequest:
    """Return the claim of ``owner``; ``options`` are those of the request, and its trace's.

    ``served``: the generation that is to answer; None: none is needed.
    """
    return ClaimRequest(
        key=request.key,
        principal=request.principal,
        digest=_digest(request.message, request.options),
        message=request.message,
        options=options,
        on_busy=request.on_busy,
        owner=owner,
        trace_id=request.trace_id,
        create_session=request.create_session,
        new_epoch=new_epoch,
        epoch=request.epoch,
        listed=request.options.get(ALONE) is not True,
        kb=served.kb if served else "",
        generation=served.generation if served else 0,
    )


def _digest(message: str, options: Mapping[str, Any]) -> str:
    """Return what tells two requests apart that carry the same turn id."""
    body = json.dumps([message, dict(options)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(body.encode()).hexdigest()[:32]
