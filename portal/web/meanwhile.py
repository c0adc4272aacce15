"""Meanwhile: what somebody else changed in a record while a person was filling in its form.

A form carries the version it was filled from, in a hidden `version`. When the record has moved on,
the form comes back with both values of every field that differs; what was typed stays, and saving
again keeps it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask_wtf import FlaskForm
from sqlalchemy.orm.exc import StaleDataError
from wtforms import Field, HiddenField

from portal import history
from portal.documents.facts import long_date
from portal.extensions import db

NOTHING = "nothing"

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Difference:
    """One field: what is stored now, and what this person wrote; both as words to show."""

    label: str
    now: str
    yours: str


@dataclass(frozen=True)
class Meanwhile:
    """What was changed by somebody else. who is "" and when None where no history tells."""

    differences: list[Difference]
    who: str
    when: datetime | None


class Versioned(FlaskForm):  # type: ignore[misc]
    """A form of a record with a version."""

    version = HiddenField()


def since(form: Versioned, record: Any, names: tuple[str, ...], noun: str) -> Meanwhile | None:
    """What somebody changed since the form was filled; None where it may be saved.

    names: the fields that are attributes of the record. noun: the record's in the history. The form
    is given the version there is now, so that saving it again keeps what this person wrote.
    """
    if form.version.data == str(record.version):
        return None
    form.version.data = str(record.version)
    found = differences(form, record, names)
    if not found:
        return None
    last = next(iter(history.of(noun, record.id, limit=1)), None)
    return Meanwhile(found, last.actor if last else "", last.at if last else None)


def differences(form: FlaskForm, record: Any, names: tuple[str, ...]) -> list[Difference]:
    """The fields whose stored value is not what was typed."""
    pairs = [(form[name], getattr(record, name)) for name in names]
    return [
        Difference(field.label.text, _shown(field, now), _shown(field, field.data))
        for field, now in pairs
        if (now or "") != (field.data or "")
    ]


def commit() -> bool:
    """Commit; False, and nothing is stored, when somebody else saved the same record just now."""
    try:
        db.session.commit()
    except StaleDataError:
        db.session.rollback()
        return False
    return True


def once_more(view: Callable[P, R]) -> Callable[P, R]:
    """For deeds: who was overtaken by somebody saving the same record does it on what is there now.

    A form that was overtaken then shows what differs, as if it had been sent a moment later.
    """

    @wraps(view)
    def retried(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return view(*args, **kwargs)
        except StaleDataError:
            db.session.rollback()
            return view(*args, **kwargs)

    return retried


def _shown(field: Field, value: Any) -> str:
    """A value as the person who fills in the form knows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, date):
        return long_date(value)
    for key, label in _choices(field):
        if str(key) == str(value):
            return label
    return str(value).strip() or NOTHING if value is not None else NOTHING


def _choices(field: Field) -> list[tuple[Any, str]]:
    """The values of a list to choose from, with their words."""
    offered = getattr(field, "choices", None) or []
    if isinstance(offered, dict):
        return list(offered.items())
    pairs = [one if isinstance(one, tuple) else (one.value, one.label) for one in offered]
    return [(pair[0], str(pair[1])) for pair in pairs]
