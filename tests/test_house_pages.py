"""The rules of the house that every page keeps, whoever wrote it: walked over all routes.

A new route is walked the moment it exists; nobody has to remember it here.
"""

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import html5lib
import pytest
from bs4 import BeautifulSoup
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, select
from werkzeug.routing import IntegerConverter, Rule
from werkzeug.test import TestResponse

from portal import batches, trials
from portal.accounts import User
from portal.columns import now
from portal.dispatch import Dispatch, State, Wish, request
from portal.documents import Document
from portal.documents.files import attach
from portal.documents.kinds import KINDS
from portal.domains import Domain
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.places import Branch
from portal.policy import set_rule
from portal.providers.gmail import FULL_SCOPES
from portal.seeds import seed_demo
from portal.senders import Mode, Place, Scope
from tests import factories

#: What a stranger may open. Written down twice on purpose, here and in the guard.
OPEN = {
    "session.new",
    "session.create",
    "session.create_by_pin",
    "links.password",
    "links.set_password",
    "links.mailbox",
    "links.connect",
    "links.connected",
    "consents.question",
    "consents.answer",
    "connections.approved",
    "static",
    "health.alive",
    "health.ready",
    "health.figures",
    "static_pages.company_css",
}
MAIL_PREVIEW = "sendings.mail_now"
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}
HTMX = {"HX-Request": "true"}
PEOPLE = ("olive@brightspark.example", "tom@brightspark.example", "nia@brightspark.example")
WRITES = re.compile(
    r"\s*(?:WITH\b.*)?(INSERT|UPDATE|DELETE|REPLACE|CREATE|DROP|ALTER)\b", re.I | re.S
)
#: One word for each thing; these are other people's words for ours.
FOREIGN_WORDS = re.compile(r"\b(alias(es)?|identit(y|ies)|sync(ed|s|ing|hroni[sz]\w+)?)\b", re.I)
POLICY = {
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
}


@pytest.fixture
def company(app: Flask) -> Flask:
    """The demo company with a connected mailbox and a dispatch in each state."""
    with app.app_context():
        seed_demo(db.session)
        connect_a_mailbox()
        documents = itertools.cycle(db.session.scalars(select(Document).order_by(Document.id)))
        olive = db.session.scalars(select(User).order_by(User.id)).first()
        assert olive
        attach(next(documents), [("site.txt", b"The tap is behind the wall.")], olive)
        for state, document in zip(State, documents, strict=False):
            send(document, olive, state)
        make_a_rule()
        trials.start(olive)
        make_batches(olive)
        make_a_domain()
        db.session.remove()
    return app


def make_a_domain() -> None:
    record = {"kind": "found", "values": ["v=spf1 include:mail.example ?all"], "through": []}
    records = {"TXT brightspark.example": record}
    db.session.add(Domain(name="brightspark.example", records=records, checked_at=now()))
    db.session.commit()


def make_a_rule() -> None:
    branch = db.session.scalars(select(Branch)).first()
    assert branch
    set_rule("quote", Mode.USER, place=Place(Scope.BRANCH, branch.id, branch.name))


def connect_a_mailbox() -> None:
    box = Mailbox(
        account_sub="1",
        email="office@brightspark.example",
        scopes=" ".join(FULL_SCOPES),
        is_company_default=True,
    )
    db.session.add(box)
    db.session.flush()
    for email, verification in (
        ("office", "accepted"),
        ("tom", "accepted"),
        ("accounts", "pending"),
    ):
        db.session.add(
            Address(
                mailbox_id=box.id,
                email=f"{email}@brightspark.example",
                verification=verification,
                is_primary=email == "office",
            )
        )
    server = {"host": "mail.brightspark.example", "port": 465, "security": "tls", "user": "post"}
    post = "post@brightspark.example"
    kept = {"provider": "smtp", "issuer": "", "account_sub": post, "email": post}
    db.session.add(Mailbox(**kept, server=server))
    db.session.commit()


def make_batches(olive: User) -> None:
    """One that was completed, and a draft."""
    for name in ("October", "November"):
        batch = batches.make(name, olive)
        factories.document(author=olive)
        batches.fill(batch, select(Document.id), olive)
        batches.check(batch, olive)
        if name == "October":
            batches.complete(batch, olive, batch.version)


def send(document: Document, user: User, state: State) -> None:
    number = len(db.session.scalars(select(Dispatch).filter_by(document_id=document.id)).all()) + 1
    wish = Wish(number, ("mary.lee@homes.example",), (), f"About {document.number}", "Hello")
    dispatch = request(document, user, wish)
    dispatch.state = state
    dispatch.needs_person = state == State.UNKNOWN
    db.session.commit()


def signed_in(app: Flask, email: str) -> FlaskClient:
    client = app.test_client()
    with app.app_context():
        user = db.session.scalar(select(User).filter_by(email=email))
        assert user, f"{email} is no demo person"
        session_id = user.get_id()
        db.session.remove()
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = session_id, True
    return client


@contextmanager
def statements_that_write() -> Iterator[list[str]]:
    """Every statement that changes something, on any connection."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if WRITES.match(statement):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def rules(app: Flask, methods: set[str]) -> list[tuple[Rule, str]]:
    found = [
        (rule, method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) & methods
    ]
    return sorted(found, key=lambda pair: (pair[0].rule, pair[1]))


def addresses(app: Flask, rule: Rule) -> list[str]:
    """Addresses that fill a rule's gaps with things that exist, as far as one can guess."""
    choices = [[(name, value) for value in values_for(rule, name)] for name in rule.arguments]
    with app.test_request_context():
        adapter = app.create_url_adapter(None) or app.url_map.bind("localhost")
        return [
            adapter.build(rule.endpoint, dict(chosen), method=method_of(rule))
            for chosen in itertools.product(*choices)
        ]


def values_for(rule: Rule, name: str) -> list[Any]:
    if isinstance(rule._converters[name], IntegerConverter):
        of_dispatches = rule.endpoint.startswith(("dispatches.", "resendings.", "corrections."))
        every_state = of_dispatches and len(rule.arguments) == 1
        return [*range(1, 9), 99999] if every_state else [1, 2, 99999]
    if name == "filename":
        return ["app.css", "nothing.css"]
    if name == "domain":
        return ["brightspark.example", "nothing.example"]
    return [*KINDS, "nothing"]


def method_of(rule: Rule) -> str:
    return next(iter((rule.methods or set()) - {"HEAD", "OPTIONS"}))


def leads_to_sign_in(answer: TestResponse) -> bool:
    return answer.status_code == 303 and answer.location.startswith("/sign-in")


# Signing in


@pytest.mark.sqlite_only
def test_a_stranger_gets_nothing_but_the_sign_in_page(company: Flask) -> None:
    company.config["WTF_CSRF_ENABLED"] = False  # so that the sign-in, not the token, refuses
    stranger = company.test_client()
    with statements_that_write() as written:
        for rule, method in rules(company, UNSAFE | {"GET"}):
            if rule.endpoint in OPEN:
                continue
            for address in addresses(company, rule)[:2]:
                whole = stranger.open(address, method=method)
                assert leads_to_sign_in(whole), f"{method} {address} lets a stranger in"
                part = stranger.open(address, method=method, headers=HTMX)
                assert part.status_code == 401, f"{method} {address} answers a stranger's htmx"
                assert part.headers["HX-Redirect"].startswith("/sign-in")
                assert not part.data
    assert not written


@pytest.mark.sqlite_only
def test_what_is_open_to_a_stranger_still_exists(company: Flask) -> None:
    assert {rule.endpoint for rule, _ in rules(company, UNSAFE | {"GET"})} >= OPEN


# Who may do what

#: What decides for the whole company. The table in docs/architecture.md says the same.
MANAGERS_ONLY = {
    "restoration.copy",
    "restoration.copying",
    "restoration.go_without",
    "restoration.real",
    "restoration.seen",
    "restoration.show",
    "settings.show",
    "settings.share_batches",
    "outbox.holding",
    "outbox.hold_all",
    "outbox.let_go",
    "outbox.hold_mailbox",
    "outbox.let_mailbox_go",
    "outbox.set_undo",
    "users.index",
    "users.show",
    "users.update",
    "users.end",
    "users.let_back",
    "users.take_over",
    "users.invite",
    "consents.ask",
    "users.new",
    "users.create",
    "users.end_tablet",
    "contacts.delete",
    "mergers.new",
    "mergers.create",
    "batches.completion",
    "batches.complete",
    "batches.stop",
    "company.edit",
    "company.update",
    "company.remove_logo",
    "places.add_branch",
    "places.add_region",
    "places.branch",
    "places.change_branch",
    "places.change_region",
    "places.do_to_branch",
    "places.do_to_region",
    "places.index",
    "places.move_properties",
    "places.region",
    "policy.edit",
    "policy.update",
    "rules.index",
    "rules.options",
    "rules.new",
    "rules.create",
    "rules.edit",
    "rules.update",
    "rules.remove",
    "rules.simulator",
    "approaches.index",
    "approaches.accounting",
    "approaches.set_up",
    "approaches.managers",
    "approaches.let_managers_send",
    "approaches.let_relay_send",
    "approaches.do_without_relay",
    "wording.invoicing",
    "wording.edit",
    "wording.update",
    "wording.preview",
    "mailboxes.make_default",
    "trials.create",
    "trials.add",
    "trials.send",
    "workers.index",
    "domains.check",
    "domains.update",
    "domains.prove",
}
#: What its owner does with an own mailbox, and with the company's only a manager.
OWNERS_ONLY = {
    "mailboxes.disconnection",
    "mailboxes.disconnect",
    "addresses.new",
    "addresses.create",
    "addresses.show",
    "addresses.check",
    "addresses.remove",
    "addresses.trust",
    "addresses.try_out",
    "servers.edit",
    "servers.update",
    "reviews.show",
    "reviews.send_all",
    "reviews.decide",
    "reviews.make_link",
}


@pytest.mark.sqlite_only
def test_only_managers_decide_for_the_company(company: Flask) -> None:
    company.config["WTF_CSRF_ENABLED"] = False  # so that the role, not the token, refuses
    refused: dict[str, set[str]] = {email: set() for email in PEOPLE[:2]}
    for email, found in refused.items():
        for rule, method in rules(company, UNSAFE | {"GET"}):
            for address in addresses(company, rule):
                person = signed_in(company, email)  # anew: one of the walked signs out
                answer = person.open(address, method=method)
                answer.close()
                if answer.status_code == 403:
                    found.add(rule.endpoint)
    manager, staff = refused.values()
    assert staff == MANAGERS_ONLY | OWNERS_ONLY
    assert not manager
    wishes: tuple[dict[str, Any], ...] = (
        {"purpose": "company"},
        {"purpose": "reconnect", "mailbox_id": 1},
    )
    for wish in wishes:
        answer = signed_in(company, PEOPLE[1]).post("/mailboxes/connections", data=wish)
        assert answer.status_code == 403, wish


# The token against forged requests


@pytest.mark.sqlite_only
def test_nothing_is_done_without_a_token(company: Flask) -> None:
    forms = rules(company, UNSAFE)
    assert len(forms) > 2
    for email in PEOPLE[:2]:
        person = signed_in(company, email)
        with statements_that_write() as written:
            for rule, method in forms:
                for address in addresses(company, rule)[:2]:
                    for form in ({}, {"csrf_token": "guessed"}):
                        answer = person.open(address, method=method, data=form)
                        assert answer.status_code == 400, f"{method} {address} needs no token"
        assert not written


@pytest.mark.sqlite_only
def test_with_its_token_the_same_request_is_heard(company: Flask) -> None:
    person = signed_in(company, PEOPLE[0])
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', person.get("/").text)
    assert token
    for sent in ({"data": {"csrf_token": token[1]}}, {"headers": {"X-CSRFToken": token[1]}}):
        assert person.post("/preferences/theme", **sent).status_code == 303  # type: ignore[arg-type]


# Reading


def test_reading_changes_nothing_and_never_fails(company: Flask, store: str) -> None:
    people = PEOPLE if store == "sqlite" else PEOPLE[:1]
    for client in (company.test_client(), *(signed_in(company, email) for email in people)):
        for rule, _ in rules(company, {"GET"}):
            for address in addresses(company, rule):
                for headers in ({}, HTMX):
                    with statements_that_write() as written:
                        answer = client.get(address, headers=headers)
                        answer.close()
                    assert answer.status_code < 500, f"GET {address}: {answer.status}"
                    assert not written, f"GET {address} writes: {written}"


@pytest.mark.sqlite_only
def test_every_page_can_be_reached_by_the_office_manager(company: Flask) -> None:
    """Else the rules above would have been walked past it."""
    olive = signed_in(company, PEOPLE[0])
    unreached = [
        rule.rule
        for rule, _ in rules(company, {"GET"})
        if not any(olive.get(address).status_code < 400 for address in addresses(company, rule))
        and rule.rule not in NEEDS_MORE
    ]
    assert not unreached


#: Pages that need what only Google or an upload can bring; each has a test of its own.
NEEDS_MORE = {
    "/company/logo",
    "/google/callback",
    "/microsoft/callback",
    "/microsoft/approved",
    "/links/password/<key>",
    "/links/mailbox/<key>",
    "/links/consent/<key>",
    "/links/connected",
}


#: Answers that are no pages of the portal: files, and a customer's mail shown in a frame.
NO_PAGES = {"static", MAIL_PREVIEW}


def pages(company: Flask, email: str) -> Iterator[tuple[str, TestResponse]]:
    """Every whole page a person can open."""
    client = signed_in(company, email)
    walked = [rule for rule, _ in rules(company, {"GET"}) if rule.endpoint not in NO_PAGES]
    for rule in walked:
        for address in addresses(company, rule):
            answer = client.get(address)
            if answer.mimetype == "text/html" and answer.status_code != 303:
                yield address, answer
            answer.close()


@pytest.mark.sqlite_only
def test_every_page_is_sound(company: Flask) -> None:
    for email in PEOPLE[:2]:
        for address, answer in pages(company, email):
            assert problems(answer) == [], f"{address} as {email}"


@pytest.mark.sqlite_only
def test_a_mail_shown_in_a_frame_can_do_nothing(company: Flask) -> None:
    rule = next(one for one in company.url_map.iter_rules() if one.endpoint == MAIL_PREVIEW)
    answer = signed_in(company, PEOPLE[0]).get(addresses(company, rule)[0])
    assert answer.status_code == 200
    assert set(policy(answer)) >= {"default-src 'none'", "form-action 'none'", "sandbox"}
    assert "script-src" not in answer.headers["Content-Security-Policy"]


def problems(answer: TestResponse) -> list[str]:
    """What is wrong with a page, in a few words each."""
    soup = BeautifulSoup(answer.text, "html.parser")
    checks = {
        f"invalid HTML: {invalid_html(answer.text)}": not invalid_html(answer.text),
        "no title": bool(soup.title and soup.title.text.strip()),
        "not one main heading": len(soup.find_all("h1")) == 1,
        "no language": bool(soup.html and soup.html.get("lang")),
        "a form without an address": all(form.get("action") for form in soup.find_all("form")),
        "a form without its token": all(has_token(form) for form in soup.find_all("form")),
        "script or style inline": not inline(soup),
        "a weak content policy": set(policy(answer)) >= POLICY,
        "unsafe content policy": "unsafe" not in answer.headers["Content-Security-Policy"],
        "kept by caches": "no-store" in answer.headers["Cache-Control"],
        "a part may be cached as the page": "HX-Request" in answer.headers["Vary"],
        f"a foreign word: {foreign(soup)}": not foreign(soup),
    }
    return [what for what, fine in checks.items() if not fine]


def invalid_html(text: str) -> list[Any]:
    # html5lib is older than <template>, whose content may be a row without its table.
    text = re.sub(r"(<template[^>]*>).*?(</template>)", r"\1\2", text, flags=re.S)
    parser = html5lib.HTMLParser(strict=False)
    parser.parse(text)
    return list(parser.errors)


def has_token(form: Any) -> bool:
    if form.get("method", "get").lower() == "get":
        return True
    return form.find("input", attrs={"name": "csrf_token"}) is not None


def inline(soup: BeautifulSoup) -> bool:
    loose = [one for one in soup.find_all("script") if not one.get("src")]
    handlers = [
        name
        for tag in soup.find_all(True)
        for name in tag.attrs
        if name == "style" or name.startswith(("on", "hx-on"))
    ]
    return bool(loose or soup.find_all("style") or handlers)


def policy(answer: TestResponse) -> list[str]:
    return [part.strip() for part in answer.headers["Content-Security-Policy"].split(";")]


def foreign(soup: BeautifulSoup) -> str:
    found = FOREIGN_WORDS.search(soup.get_text(" "))
    return found[0] if found else ""
