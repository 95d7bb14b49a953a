"""Logs: one JSON object a line, with the ``trace_id`` of the request or turn it is of.

Where traces are on, ``span_id`` says which part of it wrote the line. No line names a session, but
those of the audit log (logger ``audit``), which are there to be searched by what was touched.

Our own events and those of the libraries (through ``logging``) take the same form, so that one
search by ``trace_id`` finds both.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any, Final, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor

from kotaemon_node.ports.traces import current

AUDIT_LOGGER: Final = "audit"
_LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def _with_span(_: Any, __: str, event: EventDict) -> EventDict:
    span_id = current().span_id
    if span_id:
        event["span_id"] = span_id
    return event


_SHARED: Final[tuple[Processor, ...]] = (
    structlog.contextvars.merge_contextvars,
    _with_span,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
)


def configure_logs(level: str, *, to: TextIO | None = None) -> None:
    """Send all logs of the process to stdout as JSON lines. Call once, before the first request.

    ``to``: stderr, for what prints results on stdout.
    ``level`` is ``debug``, ``info``, ``warning`` or ``error``; a ``KeyError`` otherwise.
    """
    threshold = _LEVELS[level]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # Whatever else is worth a line: a copy of the audit log has no gaps.
    logging.getLogger(AUDIT_LOGGER).setLevel(logging.INFO)
    handler = logging.StreamHandler(to or sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(serializer=_to_json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)


def _to_json(event: Any, **_: Any) -> str:
    # A value that JSON does not know is shown by its repr: a log line must never be lost, and a
    # lone surrogate in a message must not lose it either.
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        return orjson.dumps({key: ascii(value) for key, value in event.items()}).decode()
