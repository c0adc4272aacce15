"""Listing: which documents a list shows, in which order, and how it stays quick with a million.

A list is newest first and is read a page at a time from where the last one ended. Whatever is asked
for, the database only walks short stretches of its indexes: the most telling filter or word gives
candidates in order, and the others are held against those. Where none of them is telling, a page
looks at MOST_LOOKED_AT candidates and says how far back it looked, rather than keep people waiting.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import product
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Date,
    Integer,
    Select,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy import tuple_ as sql_tuple
from sqlalchemy.orm import aliased

from portal.accounts import User
from portal.documents import Document
from portal.documents.filters import Filters as Filters
from portal.documents.kinds import KINDS
from portal.documents.status import UNSENT
from portal.documents.words import DocumentWord, end_of, number_key, sought
from portal.extensions import db
from portal.people import Contact
from portal.places import Branch, Property, Region

Rows = Select[*tuple[Any, ...]]
_Conditions = list[ColumnElement[bool]]
PAGE = 50
#: A filter or a word that so few documents answer to is telling: all of them are looked at.
FEW = 300
#: So many candidates are looked at for one page, where nothing telling was asked for.
MOST_LOOKED_AT = 1600
#: More stretches than this are not read side by side.
MOST_STRETCHES = 12
#: Counting ends here; beyond it a list says "more than".
MOST_COUNTED = 1000


# -- what is answered ----------------------------------------------------------------------------


class Place(NamedTuple):
    """Where a document stands in its list: compared as the list is ordered."""

    issued: dt.date
    id: int


@dataclass(frozen=True)
class Cursor:
    """Where a page goes on: with what is older than a place, or with what is newer."""

    place: Place
    newer: bool = False

    def __str__(self) -> str:
        return f"{'-' if self.newer else ''}{self.place.issued.isoformat()}.{self.place.id}"

    @classmethod
    def read(cls, written: str) -> "Cursor | None":
        """A cursor as an address carries it; None (the first page) for anything else."""
        day, _, number = written.removeprefix("-").partition(".")
        if not (number.isascii() and number.isdecimal() and len(number) < 10):
            return None
        try:
            return cls(Place(dt.date.fromisoformat(day), int(number)), written.startswith("-"))
        except ValueError:
            return None


@dataclass(frozen=True)
class Row:
    """One document as a list shows it."""

    id: int
    number: str
    title: str
    reference: str
    issued: dt.date
    due: dt.date | None
    total: Decimal
    currency: str
    customer: str
    property_: str
    site: str
    branch: str
    region: str
    account_manager: str
    email_status: str
    batch_status: str
    batch_id: int | None


@dataclass(frozen=True)
class Page:
    """A stretch of a list, newest first, and where the ones beside it begin (None at the ends).

    looked_back_to: set where the page stopped looking before the end; there may be more.
    total: how many documents there are in all, where that is cheap to know; None where it is not,
    or where there are more than MOST_COUNTED (then `many`).
    """

    rows: list[Row]
    newer: Cursor | None
    older: Cursor | None
    looked_back_to: dt.date | None = None
    total: int | None = None
    many: bool = False


def page(kind: str, filters: Filters, after: Cursor | None = None, size: int = PAGE) -> Page:
    """One page of a list; the first where a cursor asks for newer documents than there are."""
    asked = _Asked(kind, filters)
    if asked.impossible:
        return Page([], None, None, total=0)
    source = _source(asked)
    rest = asked.without(source.covers)
    found, stopped = _look(source, rest, after, size)
    if after and after.newer and len(found) <= size and stopped is None:
        after = None  # the newest page, whole
        found, stopped = _look(source, rest, None, size)
    return _page(found, stopped, after, size, _counted(source, rest, found, stopped, after, size))


def matching(kind: str, filters: Filters) -> Select[Any]:
    """The ids of all documents that answer to the filters, in no order."""
    asked = _Asked(kind, filters)
    query = select(Document.id).where(Document.kind == kind, *asked.facets().values())
    for term in asked.terms:
        by_word = select(DocumentWord.document_id).where(
            DocumentWord.kind == kind, *_begins(DocumentWord.word, term)
        )
        query = query.where(or_(Document.id.in_(by_word), *_number_stretches(kind, term)))
    return query


# -- the filters as conditions -------------------------------------------------------------------


class _Asked:
    """A kind and its filters, with regions and words resolved."""

    def __init__(self, kind: str, filters: Filters) -> None:
        self.kind, self.filters = kind, filters
        self.terms = sought(filters.words)
        self.statuses = _statuses(filters)
        self.branches = _branches(filters)

    @property
    def impossible(self) -> bool:
        """Whether the filters contradict each other, so that nothing can be found."""
        return self.statuses == () or self.branches == ()

    def facets(self) -> dict[str, ColumnElement[bool]]:
        """The conditions of all filters but the words, by name."""
        one = self.filters
        found: dict[str, ColumnElement[bool]] = {}
        if self.statuses is not None:
            found["status"] = Document.email_status.in_(self.statuses)
        if self.branches is not None:
            found["branch"] = Document.branch_id.in_(self.branches)
        if one.batch_status is not None:
            found["batch_status"] = Document.batch_status == one.batch_status
        if one.property_id is not None:
            found["property"] = Document.property_id == one.property_id
        if one.contact_id is not None:
            found["contact"] = Document.contact_id == one.contact_id
        if one.batch_id is not None:
            found["batch"] = Document.batch_id == one.batch_id
        if days := self.days(Document.issued):
            found["days"] = days[0] if len(days) == 1 else days[0] & days[1]
        return found

    def days(self, issued: Any) -> _Conditions:
        first, last = self.filters.issued_from, self.filters.issued_to
        beginning = [issued >= first] if first else []
        return [*beginning, issued <= last] if last else beginning

    def without(self, covered: frozenset[str]) -> _Conditions:
        """What is still to be held against candidates that a source gave."""
        words = {term: Document.words.contains(f" {term}") for term in self.terms}
        every = {"kind": Document.kind == self.kind, **self.facets(), **words}
        return [condition for name, condition in every.items() if name not in covered]


def _statuses(filters: Filters) -> tuple[str, ...] | None:
    if not filters.unsent:
        return filters.email_status or None
    wanted = filters.email_status or UNSENT
    return tuple(one for one in UNSENT if one in wanted)


def _branches(filters: Filters) -> tuple[int, ...] | None:
    if filters.region_id is None:
        return None if filters.branch_id is None else (filters.branch_id,)
    query = select(Branch.id).where(Branch.region_id == filters.region_id).order_by(Branch.id)
    if filters.branch_id is not None:
        query = query.where(Branch.id == filters.branch_id)
    return tuple(db.session.scalars(query))


def _begins(column: Any, term: str) -> _Conditions:
    return [column >= term, column < end_of(term)]


def _number_stretches(kind: str, term: str) -> _Conditions:
    """Where numbers with this beginning stand; 42 also finds INV-0042."""
    beginnings = [term]
    if term.isascii() and term.isdecimal():
        prefix = number_key(KINDS[kind].prefix)
        beginnings += [prefix + "0" * zeros + term for zeros in range(7)]
    return [_all(_begins(Document.number_key, one)) for one in beginnings]


def _all(conditions: _Conditions) -> ColumnElement[bool]:
    first, second = conditions
    return first & second


# -- where candidates come from ------------------------------------------------------------------


class _Walked(NamedTuple):
    """What one look brought: the places that answer to everything, and where to go on (None at the
    end)."""

    found: list[Place]
    last: Place | None


@dataclass(frozen=True)
class _Stretches:
    """Candidates read in order from stretches of an index, side by side."""

    covers: frozenset[str]
    issued: Any
    id: Any
    stretches: tuple[tuple[ColumnElement[bool], ...], ...]

    def walk(self, cursor: Cursor | None, count: int, rest: _Conditions) -> _Walked:
        """Look at the next candidates, and hold them against the other filters."""
        newer = cursor is not None and cursor.newer
        parts = [
            select(self.issued.label("issued"), self.id.label("id"))
            .where(*stretch, *_beyond(self.issued, self.id, cursor))
            .order_by(*_order(self, newer))
            .limit(count)
            for stretch in self.stretches
        ]
        candidates = _merged(parts, newer, count)
        if not rest:
            rows = [Place(*row) for row in db.session.execute(candidates)]
            return _Walked(list(dict.fromkeys(rows)), rows[-1] if len(rows) == count else None)
        fitting = db.session.execute(_held_against(candidates, rest, newer))
        found = list(dict.fromkeys(Place(*row) for row in fitting))
        last = db.session.execute(candidates.offset(count - 1).limit(1)).one_or_none()
        return _Walked(found, Place(*last) if last else None)

    def size(self, most: int) -> int:
        """How many candidates there are; counting ends at `most`."""
        parts = [select(self.id).where(*stretch).limit(most) for stretch in self.stretches]
        every = parts[0] if len(parts) == 1 else union_all(*(_nested(one) for one in parts))
        counted = every.limit(most).subquery()
        return db.session.scalar(select(func.count()).select_from(counted)) or 0


@dataclass(frozen=True)
class _Few:
    """Candidates that are so few that all of them are known, newest first."""

    covers: frozenset[str]
    places: tuple[Place, ...]

    def walk(self, cursor: Cursor | None, count: int, rest: _Conditions) -> _Walked:
        places = list(self.places)
        if cursor and cursor.newer:
            places = [one for one in reversed(places) if one > cursor.place]
        elif cursor:
            places = [one for one in places if one < cursor.place]
        last = places[count - 1] if len(places) > count else None
        wanted = Document.id.in_([one.id for one in places[:count]])
        passed = set(db.session.scalars(select(Document.id).where(wanted, *rest)))
        return _Walked([one for one in places[:count] if one.id in passed], last)

    def size(self, most: int) -> int:
        return min(len(self.places), most)


_Source = _Stretches | _Few


def _beyond(issued: Any, id_: Any, cursor: Cursor | None) -> _Conditions:
    if cursor is None:
        return []
    here = sql_tuple(issued, id_)
    there = sql_tuple(literal(cursor.place.issued, Date()), literal(cursor.place.id, Integer()))
    return [here > there if cursor.newer else here < there]


def _order(columns: Any, newer: bool) -> tuple[Any, Any]:
    both = columns.issued, columns.id
    return both if newer else (both[0].desc(), both[1].desc())


def _merged(parts: list[Rows], newer: bool, count: int) -> Rows:
    if len(parts) == 1:
        return parts[0]
    both = union_all(*(_nested(one) for one in parts)).subquery().c
    return select(both.issued, both.id).order_by(*_order(both, newer)).limit(count)


def _nested(part: Rows) -> Rows:
    """SQLite wants a query with an order and a limit inside another one before it joins them."""
    return select(part.subquery())


def _held_against(candidates: Rows, rest: _Conditions, newer: bool) -> Rows:
    """Those candidates that answer to the rest. Their limit keeps the database from looking for
    more of them than were asked for, whatever it makes of the rest."""
    given = candidates.subquery().c
    query = select(given.issued, given.id).join(Document, Document.id == given.id)
    return query.where(*rest).order_by(*_order(given, newer))


def _source(asked: _Asked) -> _Source:
    """Whatever gives few candidates; where nothing does, whatever is most particular."""
    terms = {term: _counted_term(asked, term) for term in asked.terms}
    rarest = min(terms, key=lambda term: sum(terms[term]), default="")
    if rarest and sum(terms[rarest]) <= FEW:
        return _few_of(asked, rarest)
    facets = list(_facet_sources(asked))
    sizes = [one.size(FEW + 1) for one in facets] if len(facets) > 1 or terms else [0]
    best = facets[sizes.index(min(sizes))]
    if not terms or min(sizes) <= FEW:
        return best
    walkable = [term for term, (_, numbered) in terms.items() if not numbered]
    for term in sorted(walkable, key=len, reverse=True):
        if words := _words_beginning(asked.kind, term):
            return _stretches_of(asked, term, words)
    return best


def _facet_sources(asked: _Asked) -> Iterator[_Stretches]:
    """The filters that an index has, the more particular ones first; else the whole list."""
    one, kind = asked.filters, Document.kind == asked.kind
    alone = {
        "property": Document.property_id == one.property_id,
        "contact": Document.contact_id == one.contact_id,
        "batch": Document.batch_id == one.batch_id,
        "batch_status": Document.batch_status == one.batch_status,
    }
    facets = asked.facets()
    names = [name for name in ("property", "contact", "batch") if name in facets]
    yield from (_stretches(asked, {name}, [(kind, alone[name])]) for name in names)
    branches = [Document.branch_id == one for one in asked.branches or ()]
    statuses = [Document.email_status == one for one in asked.statuses or ()]
    if branches and statuses and len(branches) * len(statuses) <= MOST_STRETCHES:
        both = [(kind, *pair) for pair in product(branches, statuses)]
        yield _stretches(asked, {"branch", "status"}, both)
    elif branches:
        yield _stretches(asked, {"branch"}, [(kind, branch) for branch in branches])
    elif statuses:
        yield _stretches(asked, {"status"}, [(kind, status) for status in statuses])
    if "batch_status" in facets:
        yield _stretches(asked, {"batch_status"}, [(kind, alone["batch_status"])])
    if not facets.keys() - {"days"}:
        yield _stretches(asked, set(), [(kind,)])


def _stretches(
    asked: _Asked, covers: set[str], stretches: Sequence[tuple[ColumnElement[bool], ...]]
) -> _Stretches:
    days = asked.days(Document.issued)
    bounded = tuple((*one, *days) for one in stretches)
    return _Stretches(frozenset({"kind", "days", *covers}), Document.issued, Document.id, bounded)


def _counted_term(asked: _Asked, term: str) -> tuple[int, int]:
    """How many documents have a word, and how many a number, that begins like this: up to FEW."""
    counts = [
        select(func.count()).select_from(one.limit(FEW + 1).subquery()).scalar_subquery()
        for one in _of_term(asked, term)
    ]
    words, numbers = db.session.execute(select(*counts)).one()
    return words, numbers


def _few_of(asked: _Asked, term: str) -> _Few:
    places = {Place(*row) for query in _of_term(asked, term) for row in db.session.execute(query)}
    covers = frozenset({"kind", "days", term})
    return _Few(covers, tuple(sorted(places, reverse=True)))


def _of_term(asked: _Asked, term: str) -> tuple[Rows, Rows]:
    """The places of the documents with a word, and with a number, that begins like this."""
    word = DocumentWord
    by_word: Rows = select(word.issued, word.document_id).where(
        word.kind == asked.kind, *_begins(word.word, term), *asked.days(word.issued)
    )
    mine = (Document.kind == asked.kind, *asked.days(Document.issued))
    parts: list[Rows] = [
        select(Document.issued, Document.id).where(*mine, stretch).limit(FEW + 1)
        for stretch in _number_stretches(asked.kind, term)
    ]
    return by_word, select(union_all(*(_nested(one) for one in parts)).subquery())


def _stretches_of(asked: _Asked, term: str, words: list[str]) -> _Stretches:
    row, days = DocumentWord, asked.days(DocumentWord.issued)
    stretches = tuple((row.kind == asked.kind, row.word == one, *days) for one in words)
    covers = frozenset({"kind", "days", term})
    return _Stretches(covers, row.issued, row.document_id, stretches)


def _words_beginning(kind: str, term: str) -> list[str]:
    """The different words with a beginning; none where they are too many to follow each.

    Found by leaping from each to the next: they are few, and their rows are many.
    """
    row = DocumentWord
    least = select(func.min(row.word)).where(row.kind == kind)
    leaps = select(least.where(*_begins(row.word, term)).scalar_subquery().label("word")).cte(
        recursive=True
    )
    before = aliased(leaps)
    following = least.where(row.word > before.c.word, row.word < end_of(term))
    step = select(following.scalar_subquery()).where(before.c.word.is_not(None))
    every = leaps.union_all(step)
    query = select(every.c.word).where(every.c.word.is_not(None)).limit(MOST_STRETCHES + 1)
    found = list(db.session.scalars(query))
    return found if len(found) <= MOST_STRETCHES else []


# -- looking -------------------------------------------------------------------------------------


def _look(
    source: _Source, rest: _Conditions, cursor: Cursor | None, size: int
) -> tuple[list[Place], Place | None]:
    """Up to one place more than a page holds, and where looking stopped before the end."""
    found: list[Place] = []
    looked, count = 0, size + 1
    while True:
        walked = source.walk(cursor, count, rest)
        found += walked.found
        looked += count
        if walked.last is None or len(found) > size:
            return found[: size + 1], None
        if looked >= MOST_LOOKED_AT:
            return found, walked.last
        cursor = Cursor(walked.last, cursor is not None and cursor.newer)
        count = min(count * 8, MOST_LOOKED_AT - looked)


def _page(
    found: list[Place],
    stopped: Place | None,
    after: Cursor | None,
    size: int,
    counted: tuple[int | None, bool],
) -> Page:
    newer_way = after is not None and after.newer
    shown = sorted(found[:size], reverse=True)
    further = Cursor(found[size - 1], newer_way) if len(found) > size else None
    if further is None and stopped is not None:
        further = Cursor(stopped, newer_way)
    first, last = (shown[0], shown[-1]) if shown else (None, None)
    back = Cursor(first or after.place, newer=True) if after else None
    newer = further if newer_way else back
    older = Cursor(last or after.place) if after and after.newer else further
    looked_back_to = stopped.issued if stopped else None
    total, many = counted
    return Page(_rows(shown), newer, older, looked_back_to, total, many)


def _counted(
    source: _Source,
    rest: _Conditions,
    found: list[Place],
    stopped: Place | None,
    after: Cursor | None,
    size: int,
) -> tuple[int | None, bool]:
    """How many there are in all, where that is cheap to know, and whether they are too many."""
    if after is None and stopped is None and len(found) <= size:
        return len(found), False
    if rest:
        return None, False
    total = source.size(MOST_COUNTED + 1)
    return (None, True) if total > MOST_COUNTED else (total, False)


def _rows(places: list[Place]) -> list[Row]:
    """What is shown of the documents at these places."""
    manager = aliased(User)
    query: Rows = (
        select(
            Document.id,
            Document.number,
            Document.title,
            Document.reference,
            Document.issued,
            Document.due,
            Document.total,
            Document.currency,
            Contact.name,
            func.coalesce(Property.name, ""),
            Document.site,
            func.coalesce(Branch.name, ""),
            func.coalesce(Region.name, ""),
            func.coalesce(manager.name, ""),
            Document.email_status,
            Document.batch_status,
            Document.batch_id,
        )
        .join(Contact, Contact.id == Document.contact_id)
        .outerjoin(Property, Property.id == Document.property_id)
        .outerjoin(Branch, Branch.id == Document.branch_id)
        .outerjoin(Region, Region.id == Branch.region_id)
        .outerjoin(manager, manager.id == Property.account_manager_id)
        .where(Document.id.in_([one.id for one in places]))
    )
    rows = {row[0]: Row(*row) for row in db.session.execute(query)} if places else {}
    return [rows[one.id] for one in places if one.id in rows]
