"""``POST /v1/embeddings`` of a pod: as an encoder's own server, with errors that name a field."""

from collections.abc import Mapping
from typing import Any

from kotaemon_node.api.body import checked
from kotaemon_node.api.embeddings import Embed, EmbeddingsRequest, embeddings
from kotaemon_node.api.openai.errors import ModelNotFound, Refused
from kotaemon_node.domain.errors import Invalid, NotFound


def embedded(said: Mapping[str, Any], models: Mapping[str, Embed]) -> Mapping[str, Any]:
    """Return the answer to a request; raises ``Refused`` and what embedding does."""
    if not isinstance(said.get("model"), str):
        raise Refused("'model' must be a text.", param="model")
    _refuse_tokens(said.get("input"))
    try:
        return embeddings(checked(EmbeddingsRequest, said), models)
    except NotFound:
        raise ModelNotFound(said["model"]) from None
    except Invalid as error:
        param = str(error).partition(":")[0].partition(".")[0]
        raise Refused(str(error), param=param if param in said else None) from None


def _refuse_tokens(given: Any) -> None:
    """Whose tokens are numbers is not known: those of one model are nonsense to another."""
    first = given[0] if isinstance(given, list) and given else None
    if isinstance(first, int | list):
        raise Refused(
            "'input' must be texts: tokens as numbers are not taken, since they belong to another "
            "model's vocabulary. LangChain's OpenAIEmbeddings sends texts with "
            "check_embedding_ctx_length=False.",
            param="input",
            told="unsupported_value",
        )
    if given in ("", []):
        raise Refused("'input' must not be empty.", param="input")
