"""What fields of requests may hold: the kinds that bodies and queries are made of."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import core_schema

from kotaemon_node.domain.ids import ID_PATTERN, checked_id
from kotaemon_node.domain.limits import MESSAGE_CHARS_MAX, QUERY_CHARS_MAX

NUMBER_MAX = 2**53 - 1
"""The largest whole number that every JSON reader keeps exactly."""


def _legal_id(value: str) -> str:
    # Raises Malformed (400), not ValueError (422): an id that cannot be one is not a request.
    return checked_id("id", value)


def _plain_text(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not contain the character NUL")
    if not value.strip():
        raise ValueError("must not be blank")
    return value


def whole_number(value: object) -> object:
    """Return the number that a text is, anything else as it is; ``ValueError``."""
    if isinstance(value, str):
        # 18 digits stay below 64 bits; the range of each field is checked afterwards.
        digits = value.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
            raise ValueError("must be a whole number")
        return int(value)
    return value


Id = Annotated[
    str,
    AfterValidator(_legal_id),
    WithJsonSchema({"type": "string", "pattern": f"^{ID_PATTERN}$"}),
]


@dataclass(frozen=True, slots=True)
class PlainText:
    """Of a text: neither blank nor with NUL in it; its schema says so, too."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(_plain_text, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"}


plain_text = PlainText()
Message = Annotated[str, Field(max_length=MESSAGE_CHARS_MAX), plain_text]
Name = Annotated[str, Field(max_length=256), plain_text]
Question = Annotated[str, Field(max_length=QUERY_CHARS_MAX), plain_text]
Number = Annotated[int, Field(ge=0, le=NUMBER_MAX), BeforeValidator(whole_number)]


def integral(value: object) -> object:
    """Return 3.0 as 3, anything else as it is: JSON has one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, Field(ge=0, le=NUMBER_MAX), BeforeValidator(integral)]
"""A whole number in a body; in a query it is a ``Number``."""


class Body(BaseModel):
    """A JSON object: types are taken as they are, never converted."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Query(BaseModel):
    """Query parameters: all are text, whole numbers are read from it."""

    model_config = ConfigDict(frozen=True, extra="ignore")
