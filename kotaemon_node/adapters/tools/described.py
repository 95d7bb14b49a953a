"""The file in which an operator describes tools: read once, checked whole, secrets put in.

tools:
  - name: order_status
    description: Tells where an order is.
    parameters:
      type: object
      properties: {order: {type: string}}
      required: [order]
    url: https://shop.example/tools/order-status
    effects: read
    headers: {Authorization: ORDERS_AUTHORIZATION}
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from kotaemon_node.described import named_once, read_described
from kotaemon_node.domain.acting_limits import (
    PLUGIN_SLOW_TIMEOUT_S_MAX,
    TOOL_HORIZON_S_DEFAULT,
    TOOL_HORIZON_S_MAX,
    TOOL_RETRIES_MAX,
)
from kotaemon_node.domain.limits import (
    TOOL_TIMEOUT_S_DEFAULT,
    TOOL_TIMEOUT_S_MAX,
    TOOLS_FILE_BYTES_MAX,
    TOOLS_MAX,
)
from kotaemon_node.ports.tools import Effects, ToolSpec

_OURS = frozenset({"host", "content-length", "content-type", "connection", "idempotency-key"})

HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]


@dataclass(frozen=True, slots=True)
class HttpTool:
    """A tool behind a URL."""

    spec: ToolSpec
    url: str
    method: Literal["GET", "POST"]
    timeout_s: float
    headers: Mapping[str, str]
    lookup_url: str = ""
    """Where it tells what became of a call; "": nowhere."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    type: Literal["object"] = "object"
    properties: dict[str, dict[str, Any]] = Field(default_factory=dict)
    required: list[str] = Field(default_factory=list)


class _Tool(_Strict):
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str = Field(min_length=1, max_length=2_000)
    parameters: _Parameters = Field(default_factory=_Parameters)
    url: str
    method: Literal["GET", "POST"] = "POST"
    effects: Effects
    timeout_s: float = Field(default=TOOL_TIMEOUT_S_DEFAULT, gt=0, le=PLUGIN_SLOW_TIMEOUT_S_MAX)
    lookup_url: str = ""
    horizon_s: float = Field(default=TOOL_HORIZON_S_DEFAULT, ge=0, le=TOOL_HORIZON_S_MAX)
    retries: int = Field(default=0, ge=0, le=TOOL_RETRIES_MAX)
    slow: bool = False
    confirm: bool | None = None
    """None: as it does something, or does not."""
    headers: dict[HeaderName, str] = Field(default_factory=dict)
    """Header to the name of the environment variable that holds its value."""


class _File(_Strict):
    tools: list[_Tool] = Field(max_length=TOOLS_MAX)


def read_tools(path: Path, *, environment: Callable[[str], str | None]) -> tuple[HttpTool, ...]:
    """Return the tools that the file describes; ``ValueError`` says what is wrong in it, and where.

    ``environment`` gives the variables that the headers name.
    """
    file = read_described(path, _File, setting="TOOLS_FILE", bytes_max=TOOLS_FILE_BYTES_MAX)
    named_once([one.name for one in file.tools], setting="TOOLS_FILE", what="tool")
    return tuple(_http_tool(tool, environment) for tool in file.tools)


def _http_tool(tool: _Tool, environment: Callable[[str], str | None]) -> HttpTool:
    for name, url in (("url", tool.url), ("lookup_url", tool.lookup_url)):
        address = urlsplit(url)
        if (url or name == "url") and (
            address.scheme not in {"http", "https"} or not address.hostname
        ):
            raise ValueError(
                f"TOOLS_FILE: the {name} of {tool.name} must begin with http:// or https://"
            )
    if tool.timeout_s > TOOL_TIMEOUT_S_MAX and not tool.slow:
        raise ValueError(
            f"TOOLS_FILE: timeout_s of {tool.name} is over {TOOL_TIMEOUT_S_MAX:g}, "
            "which only a slow tool may have"
        )
    if tool.retries and tool.effects == "once":
        raise ValueError(f"TOOLS_FILE: {tool.name} acts anew each time, so it has no retries")
    spec = ToolSpec(
        name=tool.name,
        description=tool.description,
        parameters=tool.parameters.model_dump(),
        effects=tool.effects,
        confirm=tool.effects != "read" if tool.confirm is None else tool.confirm,
        looks_up=bool(tool.lookup_url),
        timeout_s=tool.timeout_s,
        horizon_s=tool.horizon_s,
        retries=tool.retries,
        slow=tool.slow,
    )
    headers = {
        name: _header(tool.name, name, variable, environment(variable))
        for name, variable in tool.headers.items()
    }
    return HttpTool(spec, tool.url, tool.method, tool.timeout_s, headers, tool.lookup_url)


def _header(tool: str, header: str, variable: str, value: str | None) -> str:
    where = f"TOOLS_FILE: header {header} of {tool}"
    if header.lower() in _OURS:
        raise ValueError(f"{where} is ours to set; remove it")
    if value is None:
        raise ValueError(f"{where} needs the environment variable {variable}, which is not set")
    value = value.strip()  # secrets from files end with a line break
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"{where}: {variable} holds a character that a header cannot carry")
    return value
