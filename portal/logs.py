"""Logs: what happened, one line a fact, each with the dispatch, mailbox or request it is about.

A line is one JSON object, or plain text where a person reads along. No address, token or word of a
mail belongs in any: nothing of that kind is handed in, and what slips in all the same, inside a
traceback or a provider's own words, is taken out at the end by redacted().
"""

import contextlib
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

#: What libraries write through loggers of their own; it goes the same way as everything else.
FOREIGN = ("_granian", "granian.access", "rq.worker", "rq.job")
#: Of a message or a traceback no more than so many letters are kept.
LONGEST = 20_000

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_about: ContextVar[dict[str, Any]] = ContextVar("about")


@contextlib.contextmanager
def about(**facts: int | float | str | None) -> Iterator[None]:
    """Within this, every line of this thread says what it is about: about(dispatch=5, mailbox=1).

    Facts are numbers and short words of ours, never anything a person wrote. None says nothing.
    """
    token = _about.set({**_in_hand(), **facts})
    try:
        yield
    finally:
        _about.reset(token)


def note(**facts: int | float | str | None) -> None:
    """about() until this thread's context ends: for a request, which has no one place to wrap."""
    _about.set({**_in_hand(), **facts})


def forget() -> None:
    """Nothing is in hand any more: the thread goes on to something else."""
    _about.set({})


def known(name: str) -> Any:
    """One fact of what is in hand, None where it is not said."""
    return _in_hand().get(name)


def _in_hand() -> dict[str, Any]:
    return _about.get({})


def begin(form: str) -> None:
    """Write all lines of this process to stderr. form: json or text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainLines() if form == "text" else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in FOREIGN:
        foreign = logging.getLogger(name)
        foreign.handlers.clear()
        foreign.propagate = True
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _unforeseen
    threading.excepthook = _unforeseen_in_thread


# -- lines -----------------------------------------------------------------------------------------


class JsonLines(logging.Formatter):
    """time (UTC), level, event, what it is about, where it was written, and a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _moment(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": redacted(record.getMessage()),
            **_facts(),
            "logger": record.name,
            "process": record.process,
        }
        if trace := _trace(record, self):
            line["trace"] = trace
        return json.dumps(line, ensure_ascii=False)


class PlainLines(logging.Formatter):
    """10:42:07 INFO the event, dispatch=5"""

    def format(self, record: logging.LogRecord) -> str:
        clock = _moment(record).astimezone().strftime("%H:%M:%S")
        facts = "".join(f" {name}={fact}" for name, fact in _facts().items())
        line = f"{clock} {record.levelname} {redacted(record.getMessage())}{facts}"
        trace = "".join(f"\n    {_on_one_line(row)}" for row in _trace(record, self).splitlines())
        return _on_one_line(line) + trace


def _on_one_line(text: str) -> str:
    """With control characters and line ends written out: no value begins a line of its own."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _facts() -> dict[str, Any]:
    return {
        name: redacted(fact) if isinstance(fact, str) else fact
        for name, fact in _in_hand().items()
        if fact is not None
    }


def _trace(record: logging.LogRecord, formatter: logging.Formatter) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    return redacted(formatter.formatException(record.exc_info))


def _unforeseen(kind: type[BaseException], problem: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, problem, trace)
        return
    logging.getLogger(__name__).critical("it ended", exc_info=(kind, problem, trace))


def _unforeseen_in_thread(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None:
        _unforeseen(what.exc_type, what.exc_value, what.exc_traceback)


# -- what no line may hold -------------------------------------------------------------------------

SECRET = "[secret]"
_NAMES = (
    "access_token|refresh_token|id_token|client_secret|csrf_token|password|secret_key|token_keys"
    "|cookie|set-cookie|x-csrftoken|metrics_token"
)
#: A slash, as it is or as an address writes it inside another.
_SLASH = r"(?:/|%(?:25)?2F)"
_HOST = r"[\w.-]{1,255}"
#: In order: each with what stands in its place.
REDACTIONS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.I | re.M), instead)
    for pattern, instead in (
        # What a database says of a row it refused: the row itself, mail and all its lines.
        (
            r"^([ \t|]*DETAIL:).*"
            r"(?:\n(?![ \t|]*(?:CONTEXT:|\[SQL:|Traceback \(most|The above exception was)).*)*",
            r"\1 [hidden]",
        ),
        (r"^(\[parameters:).*$", r"\1 hidden]"),
        # user:password@ in the address of a database or a Redis
        (r"://[^/\s@]{0,200}@", f"://{SECRET}@"),
        (r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", rf"\1 {SECRET}"),
        (r"(?<![a-z0-9])(token_keys)([\"']?\s*[=:]\s*[\"']?)[^\s\"']+", rf"\1\2{SECRET}"),
        (rf"(?<![a-z0-9])({_NAMES})\b([\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;}}]+", rf"\1\2{SECRET}"),
        (r"([?&](?:code|state|key)=)[^&\s\"']+", rf"\1{SECRET}"),
        (rf"({_SLASH}links{_SLASH}\w+{_SLASH})[\w.~%-]+", rf"\1{SECRET}"),
        # Google's client secrets, access tokens, refresh tokens and authorization codes
        (r"\bGOCSPX-[\w-]+", SECRET),
        (r"\bya29\.[\w.~-]+", SECRET),
        (r"\b[14](?:/|%2F){1,2}[\w~-]{16,}", SECRET),
        # signed words; a session that was long begins with a dot
        (r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?", SECRET),
        (r"(?<![\w.-])\.?[\w-]{16,}\.[\w-]{5,8}\.[\w-]{27,}", SECRET),
        # addresses: in quotes, in the address of a page, plain
        (rf'\\"[^"\n]{{1,64}}\\"@{_HOST}', "[address]"),
        (rf'"(?:[^"\\\n]|\\[^\n]){{1,64}}"@{_HOST}', "[address]"),
        (rf"[\w.!#$%&'*+=?^`{{|}}~-]{{1,64}}%40{_HOST}", "[address]"),
        (rf"(?:[\w.!#$%&'*+/=?^`{{|}}~-]{{1,64}}|\")@{_HOST}", "[address]"),
    )
)


def redacted(text: str) -> str:
    """The text without addresses, tokens, codes and passwords."""
    text = text[:LONGEST]
    for pattern, instead in REDACTIONS:
        text = pattern.sub(instead, text)
    return text
