"""Composes whom a turn may ask outside the cluster: a language model and tools."""

from collections.abc import Mapping

import structlog

from kotaemon_node.adapters.llm.openai import make_language_model
from kotaemon_node.adapters.tools.http import make_toolbox
from kotaemon_node.ports.language_model import LanguageModel
from kotaemon_node.ports.tools import Toolbox
from kotaemon_node.settings import Settings, environment_value

_log = structlog.get_logger(__name__)


def language_model_of(
    settings: Settings, *, sampling: Mapping[str, float] | None = None
) -> LanguageModel | None:
    """Return the model behind ``LLM_BASE_URL``; None answers from the passages alone."""
    if not settings.llm_base_url:
        return None
    return make_language_model(
        settings.llm_base_url,
        settings.llm_api_key,
        settings.llm_model,
        settings.llm_continue,
        sampling=sampling,
    )


def toolbox_of(settings: Settings) -> Toolbox | None:
    """Return the tools of ``TOOLS_FILE``."""
    toolbox = make_toolbox(settings.tools_file, environment=environment_value)
    if toolbox is not None and not settings.llm_base_url:
        _log.warning("tools_unused", reason="LLM_BASE_URL is empty: nobody decides to call them")
    return toolbox
