"""How often the store is asked. Needs an app context."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import event

from portal.extensions import db


def queries(deed: Callable[[], Any]) -> int:
    """How often the store is asked; several rows written at once count once."""
    asked: list[str] = []
    db.session.expire_all()

    def note(_connection: Any, _cursor: Any, words: str, *_: Any) -> None:
        asked.append(words)

    event.listen(db.engine, "before_cursor_execute", note)
    deed()
    event.remove(db.engine, "before_cursor_execute", note)
    return len(asked)
