"""Columns: what a list of documents can show of each, and what each person chose to see."""

from collections.abc import Iterable
from dataclasses import dataclass

from portal.accounts import User
from portal.documents.kinds import Kind
from portal.extensions import db

#: Every list leads to its documents by this one.
ALWAYS = "number"


@dataclass(frozen=True)
class Column:
    """One column. of_sending: it is known of the last sending, and read only where it is shown."""

    name: str
    label: str
    usual: bool = False
    of_sending: bool = False


def offered(kind: Kind) -> list[Column]:
    """The columns that a list of this kind can show, in their usual order."""
    party = "Supplier" if kind.recipient == "supplier" else "Customer"
    dated, priced = kind.due_label is not None, kind.priced
    every = [
        (True, Column(ALWAYS, "Number", usual=True)),
        (True, Column("customer", party, usual=True)),
        (True, Column("property", "Property", usual=True)),
        (True, Column("title", "Title", usual=not priced)),
        (True, Column("reference", "Reference")),
        (True, Column("branch", "Branch")),
        (True, Column("region", "Region")),
        (True, Column("manager", "Account manager")),
        (True, Column("issued", "Date", usual=True)),
        (dated, Column("due", kind.due_label or "", usual=True)),
        (True, Column("batch_status", f"{kind.label} batch status", usual=kind.slug == "invoice")),
        (True, Column("email_status", "E-mail status", usual=True)),
        (True, Column("sent", "Sent", of_sending=True)),
        (True, Column("sender", "From", of_sending=True)),
        (True, Column("by", "Sent by", of_sending=True)),
        (priced, Column("total", "Total", usual=True)),
    ]
    return [column for applies, column in every if applies]


def shown(user: User, kind: Kind) -> list[Column]:
    """The columns a person sees, in the order they chose."""
    known = {column.name: column for column in offered(kind)}
    chosen = [known[name] for name in user.displays.get(kind.slug, ()) if name in known]
    return chosen or [column for column in known.values() if column.usual]


def arranged(kind: Kind, names: Iterable[str]) -> list[str]:
    """These columns in this order, each once, without unknown ones, and with the number."""
    known = {column.name for column in offered(kind)}
    found = [name for name in dict.fromkeys(names) if name in known]
    return found if ALWAYS in found else [ALWAYS, *found]


def remember(user: User, kind: Kind, names: Iterable[str]) -> None:
    """Show a person these columns from now on; without any the usual ones again. Commits."""
    names = list(names)
    others = {slug: kept for slug, kept in user.displays.items() if slug != kind.slug}
    user.displays = {**others, kind.slug: arranged(kind, names)} if names else others
    db.session.commit()
