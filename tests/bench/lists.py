"""How a list of documents opens with 1,000 and with 1,000,000 of them, on SQLite and PostgreSQL.

    python -m tests.bench.lists [how many documents, 1000000 if nothing is said]

Each line is one thing a person can ask a list for. The two sizes take turns, so that whatever else
the machine does hits both alike; the ratio of their slowest twentieths (p95) is what counts. First
the page as the portal answers it, then the query behind it alone.
"""

import datetime as dt
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Flask
from sqlalchemy import Connection, func, select, text

from portal.batches import Batch, BatchStatus
from portal.documents import Document, listing
from portal.documents.listing import Cursor, Filters, Place
from portal.documents.words import words_of
from portal.extensions import Base, db
from portal.people import Contact
from portal.places import Branch, Property, Region
from tests import factories, servers
from tests.visitor import Visitor

FEW, MANY = 1_000, 1_000_000
MARK = 1.5
ROUNDS, TURNS = 3, 20
LAST_DAY = dt.date(2026, 11, 22)
FIRST = [
    "Ann",
    "Bo",
    "Cara",
    "Dev",
    "Eli",
    "Fay",
    "Gus",
    "Hal",
    "Ida",
    "Jon",
    "Kay",
    "Leo",
    "Mia",
    "Ned",
]
LAST = ["Lee", "Smith", "Tran", "Singh", "Reid", "Cole", "Park", "Baker", "Conti", "Hart"]
STREETS = ["Hill St", "Ocean Rd", "Mill Lane", "Wharf Parade", "Quay St", "Foundry Lane"]
TITLES = (
    "Hot-water service replacement",
    "Blocked drain",
    "Gas heater service",
    "Bathroom rough-in",
    "Leaking tap",
    "Backflow test",
    "Copper pipe renewal",
    "Concrete cutting",
)
#: A word of forty documents, however many there are.
RARE = "Zeppelin mooring"


@dataclass(frozen=True)
class Shape:
    """What a company with so many invoices looks like. Whatever somebody asks for fills a page of
    either, so that the two pages differ in nothing but what lies behind them.

    customers, days: the invoices are spread over these. one_in: so few came back, and so few of a
    hundred are unsent, or in a draft.
    """

    size: int
    customers: int
    days: int
    one_in: int
    unsent: int
    draft: int


SMALL = Shape(FEW, customers=10, days=90, one_in=9, unsent=40, draft=10)


def large(size: int) -> Shape:
    return Shape(size, customers=2_000, days=1_500, one_in=499, unsent=3, draft=1)


ASKED: dict[str, Filters] = {
    "plain": Filters(),
    "e-mail: sent": Filters(email_status=("accepted",)),
    "e-mail: could not send, came back": Filters(email_status=("refused", "returned")),
    "never sent": Filters(unsent=True),
    "batch: draft": Filters(batch_status="draft"),
    "batch: completed": Filters(batch_status="completed"),
    "in no batch": Filters(batch_status=""),
    "branch": Filters(branch_id=1),
    "region": Filters(region_id=1),
    "property": Filters(property_id=7),
    "customer": Filters(contact_id=7),
    "a month": Filters(issued_from=dt.date(2026, 10, 1), issued_to=dt.date(2026, 10, 31)),
    "never sent, branch": Filters(unsent=True, branch_id=2),
    "never sent, region, a month": Filters(
        unsent=True, region_id=1, issued_from=dt.date(2026, 10, 1), issued_to=dt.date(2026, 10, 31)
    ),
    "never sent, in no batch": Filters(unsent=True, batch_status=""),
    "sent, completed, branch": Filters(
        email_status=("accepted",), batch_status="completed", branch_id=3
    ),
    "customer, could not send": Filters(contact_id=7, email_status=("refused",)),
    "draft that was sent (nothing)": Filters(email_status=("accepted",), batch_status="draft"),
    "search: a rare word": Filters(words="zeppelin"),
    "search: a common word": Filters(words="hot"),
    "search: three words": Filters(words="hot baker ocean"),
    "search: two that never meet": Filters(words="blocked copper"),
    "search: no such word": Filters(words="zebra"),
    "search: one letter": Filters(words="c"),
    "search: two letters": Filters(words="co"),
    "search: a number": Filters(words="inv-0000042"),
    "search: a number's beginning": Filters(words="inv-00000"),
    "search: digits": Filters(words="77"),
    "search: a common word, branch, sent": Filters(
        words="drain", branch_id=1, email_status=("accepted",)
    ),
    "search: a rare word, region": Filters(words="zepp", region_id=1),
}


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(servers.postgres())
        redis = stack.enter_context(servers.redis_server())
        for store in ("sqlite", "postgresql"):
            companies = []
            for shape in (SMALL, large(many)):
                if store == "sqlite":
                    address = f"sqlite:///{folder}/{shape.size}.sqlite3"
                else:
                    address = stack.enter_context(server.database(f"lists_{shape.size}"))
                companies.append(stack.enter_context(company(address, redis, shape)))
            report(store, companies, many)


# -- the two companies ---------------------------------------------------------------------------


@contextmanager
def company(address: str, redis: str, shape: Shape) -> Iterator[tuple[Flask, str]]:
    """A company with so many invoices, and who of it looks at them."""
    servers.migrate(address)
    app = servers.make_app(servers.config_of(DATABASE_URL=address, REDIS_URL=redis))
    with app.app_context():
        olive = factories.olive()
        started = time.perf_counter()
        customers(shape)
        documents(shape)
        print(f"# {shape.size:,} invoices written in {time.perf_counter() - started:.0f} s")
        yield app, olive.get_id()
        db.session.remove()
        db.engine.dispose()


def customers(shape: Shape) -> None:
    """Everybody has one property, and a branch in one of two regions; two batches for all."""
    north, south = Region(name="North"), Region(name="South")
    branches = [
        Branch(name=name, region=region)
        for name, region in (("Newcastle", north), ("Gosford", north), ("Wollongong", south))
    ]
    db.session.add_all(branches)
    db.session.flush()
    people, where = [], []
    for one in range(1, shape.customers + 1):
        first, last = FIRST[one % len(FIRST)], f"{LAST[one % 10]}{'' if one % 3 else one // 30}"
        people.append(Contact(id=one, first_name=first, last_name=last))
        street = STREETS[one % len(STREETS)]
        where.append(Property(id=one, customer_id=one, name=f"{one % 200} {street}"))
        where[-1].branch_id = branches[one % 3].id
    db.session.add_all(people)
    db.session.flush()
    db.session.add_all(where)
    olive = factories.olive()
    db.session.add(Batch(name="October", status=BatchStatus.COMPLETED, created_by=olive))
    db.session.flush()
    db.session.add(Batch(name="November", created_by=olive))
    db.session.commit()


def documents(shape: Shape) -> None:
    """Invoices over four years, most of them sent, written by the database itself."""
    db.session.remove()
    with db.engine.begin() as connection:
        indexes = list(Base.metadata.tables["documents"].indexes)
        for index in indexes:
            index.drop(connection)
        write_words(connection)
        write_documents(connection, shape)
        for index in indexes:
            index.create(connection)
    if db.engine.dialect.name == "postgresql":
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


def write_words(connection: Connection) -> None:
    """The words that come with each customer and with each title."""
    for noun in ("customer", "title"):
        connection.execute(text(f"CREATE TEMPORARY TABLE {noun}_words (one text, word text)"))
    named = connection.execute(
        select(Contact.id, Contact.first_name, Contact.last_name, Property.name).join(
            Property, Property.customer_id == Contact.id
        )
    ).all()
    of_customers = [(str(one), word) for one, *said in named for word in words_of(*said)]
    of_titles = [(title, word) for title in (*TITLES, RARE) for word in words_of(title)]
    for noun, rows in (("customer", of_customers), ("title", of_titles)):
        statement = text(f"INSERT INTO {noun}_words VALUES (:one, :word)")
        connection.execute(statement, [{"one": one, "word": word} for one, word in rows])


def write_documents(connection: Connection, shape: Shape) -> None:
    store, size, one_in = connection.dialect.name, shape.size, shape.one_in
    unsent_from, draft_from = size * (100 - shape.unsent), size * (100 - shape.draft)
    customer = f"1 + i * 7 % {shape.customers}"
    titles = "".join(f" WHEN {n} THEN '{title}'" for n, title in enumerate(TITLES))
    connection.execute(
        text(
            f"""
            INSERT INTO documents (kind, number, number_key, title, contact_id, property_id,
                branch_id, site, reference, issued, currency, notes, total, version, created_at,
                changed_at, change, email_status, batch_status, batch_id, words)
            {SERIES[store].format(shape)},
            invoices AS (SELECT i, {PADDED[store]} AS padded, {customer} AS customer,
                CASE WHEN i % {max(size // 40, 1)} = 0 THEN '{RARE}'
                ELSE CASE i % {len(TITLES)} {titles} END END AS title FROM n)
            SELECT 'invoice', 'INV-' || padded, 'inv' || padded, title, customer, customer,
                1 + customer % 3, '', '', {DAY[store].format(shape)}, 'AUD', '', 12400000, 1,
                '2026-11-23 00:00:00', '2026-11-23 00:00:00', '',
                CASE WHEN i % {one_in} = 1 THEN 'refused' WHEN i % {one_in} = 2 THEN 'returned'
                    WHEN i % 101 = 0 THEN 'n/a' WHEN i * 100 > {unsent_from} THEN 'pending'
                    ELSE 'accepted' END,
                CASE WHEN i * 100 > {draft_from} THEN 'draft' WHEN i % 10 < 7 THEN 'completed'
                    ELSE '' END,
                CASE WHEN i * 100 > {draft_from} THEN 2 WHEN i % 10 < 7 THEN 1 END,
                ' inv inv' || padded || ' ' || padded || ' ' || i || ' ' || c.words || ' '
                    || t.words
            FROM invoices
            JOIN (SELECT one, {JOINED[store]} AS words FROM customer_words GROUP BY one) c
                ON c.one = CAST(customer AS text)
            JOIN (SELECT one, {JOINED[store]} AS words FROM title_words GROUP BY one) t
                ON t.one = title
            ORDER BY i"""
        )
    )
    connection.execute(
        text(
            """
            INSERT INTO document_words (kind, word, issued, document_id)
            SELECT d.kind, w.word, d.issued, d.id
            FROM documents d JOIN customer_words w ON w.one = CAST(d.contact_id AS text)
            UNION SELECT d.kind, w.word, d.issued, d.id
            FROM documents d JOIN title_words w ON w.one = d.title
            ORDER BY 1, 2, 3, 4"""
        )
    )


SERIES = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {0.size})",
    "postgresql": "WITH n(i) AS (SELECT generate_series(1, {0.size}))",
}
DAY = {
    "sqlite": f"date('{LAST_DAY}', '-' || (({{0.size}} - i) * {{0.days}} / {{0.size}}) || ' days')",
    "postgresql": f"(date '{LAST_DAY}' - ({{0.size}} - i) * {{0.days}} / {{0.size}})",
}
PADDED = {"sqlite": "printf('%07d', i)", "postgresql": "lpad(CAST(i AS text), 7, '0')"}
JOINED = {"sqlite": "group_concat(word, ' ')", "postgresql": "string_agg(word, ' ')"}


# -- measuring -----------------------------------------------------------------------------------


def report(store: str, companies: list[tuple[Flask, str]], many: int) -> None:
    visitors = [Visitor(app, session) for app, session in companies]
    print(f"{store:38}   whole page, p95 ms            the query alone, p95 ms")
    print(f"{'':38} {FEW:>9,} {many:>9,}  ratio   {FEW:>9,} {many:>9,}  ratio")
    worst = 0.0
    for name, filters in ASKED.items():
        worst = max(worst, line(name, companies, visitors, filters, deep=False))
    worst = max(worst, line("plain, deep page", companies, visitors, Filters(), deep=True))
    hot = Filters(words="hot")
    worst = max(worst, line("search: common, deep page", companies, visitors, hot, deep=True))
    verdict = "kept" if worst <= MARK else "MISSED"
    print(f"{store}: the worst ratio of a page is {worst:.2f}; the mark of {MARK} is {verdict}\n")


def line(
    name: str,
    companies: list[tuple[Flask, str]],
    visitors: list[Visitor],
    filters: Filters,
    *,
    deep: bool,
) -> float:
    """Measure one way of asking on both companies and print it; the ratio of the pages."""
    pages, queries = [], []
    for (app, _), visitor in zip(companies, visitors, strict=True):
        after = deep_in(app) if deep else None
        args = filters.as_args() | ({"after": str(after)} if after else {})
        pages.append(asking(visitor, args))
        queries.append(querying(app, filters, after))
    small, big = p95(*pages)
    quick, slow = p95(*queries)
    print(
        f"{name:38} {small:9.2f} {big:9.2f} {big / small:6.2f}"
        f"   {quick:9.2f} {slow:9.2f} {slow / quick:6.2f}"
    )
    return big / small


def asking(visitor: Visitor, args: dict[str, Any]) -> Callable[[], None]:
    address = f"/documents/invoice?{urlencode(args, doseq=True)}"

    def ask() -> None:
        answer = visitor.get(address)
        assert answer.status_code == 200, answer.status

    return ask


def querying(app: Flask, filters: Filters, after: Cursor | None) -> Callable[[], None]:
    def query() -> None:
        with app.app_context():
            listing.page("invoice", filters, after)
            db.session.remove()

    return query


def deep_in(app: Flask) -> Cursor:
    """Halfway down the list, where what is left still fills a page of either company."""
    with app.app_context():
        last = db.session.scalar(select(func.max(Document.id))) or 0
        one = db.session.get_one(Document, max(last * 45 // 100, 1))
        place = Place(one.issued, one.id)
        db.session.remove()
    return Cursor(place)


def p95(*deeds: Callable[[], None]) -> list[float]:
    """Milliseconds of the slowest twentieth of each deed; they take turns.

    Of several rounds the quietest counts, so that a neighbour's rush does not.
    """
    for deed in deeds * 5:
        deed()
    rounds: list[list[float]] = [[] for _ in deeds]
    for _ in range(ROUNDS):
        took: list[list[float]] = [[] for _ in deeds]
        for _ in range(TURNS):
            for deed, times in zip(deeds, took, strict=True):
                started = time.perf_counter()
                deed()
                times.append(1000 * (time.perf_counter() - started))
        for times, slowest in zip(took, rounds, strict=True):
            slowest.append(statistics.quantiles(times, n=20)[-1])
    return [min(slowest) for slowest in rounds]


if __name__ == "__main__":
    main()
