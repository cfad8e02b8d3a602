"""What the program tells its operator: one JSON object a line, of the program's own words, ids and numbers.

Nothing that somebody typed goes in: no value of a path or form, no message of an error, no argument of another
library's log line. An error is told by its kind and by the lines of this program that it passed.
"""

from __future__ import annotations

import json
import logging
import secrets
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import structlog

Word = str | int | float | bool | None
_about: ContextVar[dict[str, Word] | None] = ContextVar("about", default=None)
_OWN_WORDS = ("uvicorn",)  # whose log lines are fixed texts; their arguments are left out all the same


def start(stream: TextIO) -> None:
    """From here on everything is told to a stream; before, nothing is told at all."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Stripped())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)


def stop() -> None:
    """Nothing is told any more."""
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    logging.getLogger().handlers.clear()


def say(event: str, **words: Word | list[str]) -> None:
    """One line: `event` is a word of the program ("job.done"), the rest ids, numbers and words of the program."""
    if structlog.is_configured():
        structlog.get_logger().info(event, **words)


@contextmanager
def gathering(**words: Word) -> Iterator[dict[str, Word]]:
    """Gather what `note` is told within, also in threads that work for it; `words` come first."""
    about: dict[str, Word] = dict(words)
    token = _about.set(about)
    try:
        yield about
    finally:
        _about.reset(token)


def note(**words: Word) -> None:
    """Something for the line of whatever is under way: who acts, which use case; nothing where nobody gathers."""
    about = _about.get()
    if about is not None:
        about.update(words)


def say_fault(fault: BaseException) -> str:
    """Tell of an error that nobody foresaw; the number of the request, by which its line is found."""
    number = str((_about.get() or {}).get("request") or secrets.token_hex(8))
    say("request.failed", request=number, fault=type(fault).__name__, passed=passed(fault))
    return number


def passed(fault: BaseException) -> list[str]:
    """The lines of this program that an error passed, innermost last; neither its message nor any value."""
    frames = traceback.extract_tb(fault.__traceback__)
    return [f"{_short(each.filename)}:{each.lineno} {each.name}" for each in frames if "afterglow" in each.filename]


def _short(file: str) -> str:
    parts = Path(file).parts
    return "/".join(parts[len(parts) - parts[::-1].index("afterglow") :]) if "afterglow" in parts else parts[-1]


class _Stripped(logging.Formatter):
    """Other libraries' log lines without what they may quote."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        said: dict[str, object] = {
            "event": "library",
            "level": record.levelname.lower(),
            "logger": record.name,
            "line": f"{record.filename}:{record.lineno}",
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        }
        if record.name.split(".")[0] in _OWN_WORDS and isinstance(record.msg, str):
            said["text"] = record.msg.strip()
        if record.exc_info and record.exc_info[1] is not None:
            said["fault"] = type(record.exc_info[1]).__name__
            said["passed"] = passed(record.exc_info[1])
        return json.dumps(said, sort_keys=True)
