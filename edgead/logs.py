"""Log lines: one line an event, key=value or JSON, with journald priorities under systemd, and a rate limit.

Payloads are never logged at info level or above.
"""

import json
import logging
import os
import sys
import time

#: Lines a second, on average, that one place in the code may write; a burst of as many is let through first.
LINES_PER_SECOND, BURST = 1.0, 10.0

_PRIORITIES = {logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


class _Limiter(logging.Filter):
    """A token bucket for each message text; the number of lines left out is told with the next one let through."""

    def __init__(self) -> None:
        super().__init__()
        self._buckets: dict[str, list[float]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if len(self._buckets) > 1000:
            self._buckets.clear()
        bucket = self._buckets.setdefault(record.msg, [BURST, now, 0.0])
        bucket[0] = min(BURST, bucket[0] + (now - bucket[1]) * LINES_PER_SECOND)
        bucket[1] = now
        if bucket[0] < 1.0:
            bucket[2] += 1
            return False
        bucket[0] -= 1.0
        record.suppressed, bucket[2] = int(bucket[2]), 0.0
        return True


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields: dict[str, object] = dict(getattr(record, "fields", {}))
    if getattr(record, "suppressed", 0):
        fields["suppressed"] = record.__dict__["suppressed"]
    if record.exc_info and record.exc_info[1] is not None:
        fields["error"] = repr(record.exc_info[1])
    return fields


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        pairs = " ".join(f"{key}={_quoted(value)}" for key, value in _fields(record).items())
        head = (
            record.getMessage()
            if _under_journald()
            else f"{record.levelname.lower():7} {record.getMessage()}"
        )
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>" if _under_journald() else ""
        return f"{prefix}{head} {pairs}".rstrip()


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": int(record.created * 1000),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        return json.dumps({**line, **_fields(record)}, default=str)


def _quoted(value: object) -> str:
    text = str(value)
    return json.dumps(text) if not text or any(c in text for c in ' "=\n') else text


def _under_journald() -> bool:
    return "JOURNAL_STREAM" in os.environ


def set_up(level: str, style: str) -> logging.Logger:
    """The logger of everything of ours, writing to stderr.

    Parameters
    ----------
    level : {"debug", "info", "warning", "error"}
        Lines below it are left out.
    style : {"text", "json"}
        How a line looks.
    """
    logger = logging.getLogger("edgead")
    logger.setLevel(level.upper())
    logger.propagate = False
    logger.handlers.clear()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else _Text())
    handler.addFilter(_Limiter())
    logger.addHandler(handler)
    return logger
