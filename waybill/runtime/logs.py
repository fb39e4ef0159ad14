"""Logs as JSON lines on standard error, each with the caller it belongs to."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from waybill.runtime import identity


def configure(service: str) -> None:
    """Sends structlog and standard logging to standard error as JSON, escaped to ASCII."""
    shared: list[Any] = [
        _add_caller,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Not dict_tracebacks: its frames carry locals, and so document text.
        structlog.processors.format_exc_info,
        _name(service),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # ensure_ascii (the default) keeps terminal escapes in names inert.
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("dbos").setLevel(logging.ERROR)
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


def _name(service: str) -> Any:
    def add(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add


def _add_caller(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    who = identity.caller_or_none()
    if who is not None:
        event.update(tenant=who.tenant, correlation_id=who.correlation_id)
        if who.run_id:
            event["run_id"] = who.run_id
    return event
