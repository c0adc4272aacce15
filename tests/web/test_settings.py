"""Administration: who mail comes from, the company's details and its logo."""

import io
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from flask import Flask
from PIL import Image
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal import policy
from portal.documents.logo import LARGEST
from portal.extensions import db
from portal.mailboxes import Address, Mailbox
from portal.people import Company
from portal.policy import EVERY_KIND, SenderRule
from portal.providers.gmail import FULL_SCOPES
from portal.senders import Mode, Rule
from tests.factories import ACCOUNTS, OFFICE, asked, document, nia, olive, tom
from tests.visitor import Visitor, said, visitor

pytestmark = pytest.mark.sqlite_only

TOM, NIA = "tom@brightspark.example", "nia@brightspark.example"
PAGES = ("/settings", "/settings/send-from", "/settings/company", "/settings/wording")


@pytest.fixture
def manager(app: Flask) -> Visitor:
    return visitor(app, olive)


@pytest.fixture
def office(app: Flask) -> int:
    """The company's mailbox as Gmail lists it: tom@ is verified, accounts@ is not yet."""
    with app.app_context():
        box = Mailbox(account_sub="1", email=OFFICE, scopes=" ".join(FULL_SCOPES))
        box.is_company_default = True
        db.session.add(box)
        db.session.flush()
        for email, verification in ((OFFICE, "accepted"), (TOM, "accepted"), (ACCOUNTS, "pending")):
            one = Address(mailbox_id=box.id, email=email, verification=verification)
            one.is_primary = email == OFFICE
            db.session.add(one)
        db.session.commit()
        return box.id


def stored(app: Flask, kind: str = EVERY_KIND) -> Rule | None:
    with app.app_context():
        return policy.rule(kind)


def company(app: Flask) -> Company:
    with app.app_context():
        found = db.session.scalars(select(Company)).one()
        _ = found.logo
        return found


# Who may


@pytest.mark.parametrize("path", PAGES)
def test_administration_is_for_managers(app: Flask, path: str) -> None:
    worker = visitor(app, tom)
    assert worker.get(path).status_code == 403
    assert worker.get(path, htmx=True).status_code == 403
    assert visitor(app, olive).get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/settings/send-from",
        "/settings/company",
        "/settings/company/logo/removal",
        "/settings/wording/invoice",
        "/settings/wording/invoice/previews",
        "/mailboxes/1/default",
    ],
)
def test_staff_change_nothing_there(app: Flask, office: int, path: str) -> None:
    assert visitor(app, nia).post(path, {"mode": "user"}).status_code == 403
    assert stored(app) is None


# System settings


def test_without_a_mailbox_the_page_shows_the_next_step(manager: Visitor) -> None:
    page = manager.words("/settings")
    assert "No mailbox is connected yet" in page
    assert "Connect a mailbox" in page


def test_the_settings_say_what_is_connected_and_who_is_ready(
    app: Flask, manager: Visitor, office: int
) -> None:
    with app.app_context():
        tom(), nia()
    page = manager.words("/settings")
    assert f"{OFFICE} Connected, not checked yet Provider Gmail Can it send? Yes" in page
    assert f"{ACCOUNTS} Waiting for the code Confirm it" in page
    assert "Default: the company mailbox" in page
    assert f"Nia Cole {NIA} Not ready none Add this address of Nia Cole" in page
    assert f"Tom Baker {TOM} Ready none" in page


def test_addresses_are_added_to_the_mailbox_that_can_list_them(
    app: Flask, manager: Visitor, office: int
) -> None:
    with app.app_context():
        nia()
        db.session.get_one(Mailbox, office).is_company_default = False
        sends = Mailbox(account_sub="2", email="other@brightspark.example", scopes="")
        sends.is_company_default = True
        db.session.add(sends)
        db.session.commit()
        policy.set_rule(EVERY_KIND, Mode.SPECIFIED, "money@brightspark.example")
    page = manager.get("/settings").text
    for email in (NIA, "money@brightspark.example"):
        assert f"/mailboxes/{office}/addresses/new?email={email}" in page


def test_a_sign_in_that_lasted_a_week_points_at_testing(
    app: Flask, manager: Visitor, office: int
) -> None:
    from datetime import timedelta

    with app.app_context():
        box = db.session.get_one(Mailbox, office)
        box.health = "needs_sign_in"
        box.checked_at = box.connected_at + timedelta(days=6, hours=23)
        db.session.commit()
    page = manager.words("/settings")
    assert "while your Google project is in Testing" in page
    assert "Sign in again" in page


# Who mail comes from


def test_default_is_chosen_before_anybody_chose(manager: Visitor, office: int) -> None:
    page = manager.get("/settings/send-from")
    assert 'value="default" id="mode-default" aria-describedby="mode-default-about" checked' in (
        page.text
    )
    assert f"From: Bright Spark Plumbing <{OFFICE}>" in said(page)


def test_every_mode_shows_a_sample_before_it_is_chosen(manager: Visitor, office: int) -> None:
    page = manager.words("/settings/send-from")
    for name, email in (
        ("Bright Spark Plumbing", OFFICE),
        ("Olive Park at Bright Spark Plumbing", "olive@brightspark.example"),
        ("Bright Spark Plumbing", TOM),
    ):
        assert f"From: {name} <{email}>" in page


def test_user_mode_says_who_is_not_ready_and_why(app: Flask, manager: Visitor, office: int) -> None:
    with app.app_context():
        tom(), nia()
    page = manager.words("/settings/send-from")
    assert "1 of 3 people ready" in page
    assert f"Nia Cole : No connected mailbox may send as {NIA} yet." in page


def test_a_choice_is_tried_before_it_is_stored(app: Flask, manager: Visitor, office: int) -> None:
    answer = manager.get(f"/settings/send-from?mode=specified&listed={TOM}", htmx=True)
    assert "<html" not in answer.text
    assert f"<{TOM}> Ready." in said(answer)
    assert f"<{TOM}> Ready." in manager.words(f"/settings/send-from?mode=specified&listed={TOM}")
    assert stored(app) is None


@pytest.mark.parametrize("typed", ["nonsense", "a b@c.example", "money@"])
def test_what_is_no_address_yet_has_no_sample(manager: Visitor, office: int, typed: str) -> None:
    page = manager.words(f"/settings/send-from?mode=specified&listed=&typed={typed}")
    assert f"<{typed}>" not in page and "get it verified" not in page


def test_the_address_proposed_is_the_offices_before_a_persons(
    app: Flask, manager: Visitor, office: int
) -> None:
    with app.app_context():
        tom()
    assert f"From: Bright Spark Plumbing <{ACCOUNTS}>" in manager.words("/settings/send-from")


def test_the_settings_lead_to_the_tick_that_is_missing(
    app: Flask, manager: Visitor, office: int
) -> None:
    with app.app_context():
        policy.set_rule(EVERY_KIND, Mode.SPECIFIED, "money@brightspark.example")
        policy.set_rule("invoice", Mode.SPECIFIED, TOM)
        policy.set_rule("quote", Mode.SPECIFIED, ACCOUNTS)
    page = manager.get("/settings").text
    assert page.count("Show me how to get it verified") == 2
    for email in ("money@brightspark.example", ACCOUNTS):
        assert f"/mailboxes/{office}/addresses/new?email={email}" in page


@pytest.mark.parametrize("kind", ["", "invoice"])
@pytest.mark.parametrize("mode", ["default", "user"])
def test_a_choice_is_stored(
    app: Flask, manager: Visitor, office: int, kind: str, mode: str
) -> None:
    path = f"/settings/send-from/{kind}".rstrip("/")
    assert manager.post(path, {"mode": mode}).location == path
    assert stored(app, kind) == Rule(Mode(mode), kind or None)


def test_an_address_nobody_verified_may_be_chosen_and_its_mail_waits(
    app: Flask, manager: Visitor, office: int
) -> None:
    manager.post("/settings/send-from", {"mode": "specified", "listed": ACCOUNTS})
    answer = manager.get("/settings/send-from")
    (notice,) = notices(answer)
    assert f"Saved, but not ready: {ACCOUNTS} is not confirmed yet" in said(answer)
    assert "It never leaves from another address." in notice.text
    link = f"/mailboxes/{office}/addresses/new?email={ACCOUNTS}"
    assert [one["href"] for one in notice.select("a")] == [link]
    assert stored(app) == Rule(Mode.SPECIFIED, None, ACCOUNTS)
    with app.app_context():
        assert asked(document(), tom()).state == "held"


def notices(answer: TestResponse) -> list[Tag]:
    """What a page says of the deed that has just been done."""
    return list(BeautifulSoup(answer.text, "html.parser").select(".flashes .notice"))


def test_who_is_not_ready_is_told_once_and_can_be_added_there(
    app: Flask, manager: Visitor, office: int
) -> None:
    with app.app_context():
        tom(), nia()
    manager.post("/settings/send-from", {"mode": "user"})
    answer = manager.get("/settings/send-from")
    (notice,) = notices(answer)
    assert "2 people are not ready yet." in notice.text  # Olive and Nia
    assert [one["href"] for one in notice.select("a")] == ["/settings#staff-title"]
    for email, often in {NIA: 1, TOM: 0}.items():
        assert answer.text.count(f"/mailboxes/{office}/addresses/new?email={email}") == often
    with app.app_context():
        db.session.add(Mailbox(account_sub="nia", email="n@gmail.example", owner_id=nia().id))
        db.session.commit()
    assert f"email={NIA}" not in manager.get("/settings/send-from").text  # hers to put right
    manager.post("/settings/send-from", {"mode": "default"})
    (notice,) = notices(manager.get("/settings/send-from"))
    assert "Every document now comes from" in notice.text and not notice.select("a")


def test_an_address_may_be_written(app: Flask, manager: Visitor, office: int) -> None:
    form = {"mode": "specified", "listed": "", "typed": " Money@BrightSpark.example"}
    manager.post("/settings/send-from", form)
    assert stored(app) == Rule(Mode.SPECIFIED, None, "money@brightspark.example")
    page = manager.get("/settings/send-from")
    assert 'value="money@brightspark.example"' in page.text
    assert "Show me how to get it verified" in said(page)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Choose an address from the list, or write one."),
        ("money at home", "is not an e-mail address"),
        ("a@b.example\r\nBcc: c@d.example", "has a line break in it"),
    ],
)
def test_a_bad_address_is_told_and_kept(
    app: Flask, manager: Visitor, office: int, typed: str, sentence: str
) -> None:
    answer = manager.post("/settings/send-from", {"mode": "specified", "typed": typed})
    assert answer.status_code == 422
    assert sentence in said(answer)
    assert typed.split("\r")[0] in answer.text
    assert stored(app) is None


def test_a_kind_has_its_own_rule_until_it_follows_the_company_again(
    app: Flask, manager: Visitor, office: int
) -> None:
    manager.post("/settings/send-from/quote", {"mode": "user"})
    assert "Quotes Whoever presses Send" in manager.words("/settings/send-from")
    assert "Quotes whoever presses Send" in manager.words("/settings")
    manager.post("/settings/send-from/quote", {"mode": "company"})
    with app.app_context():
        assert not list(db.session.scalars(select(SenderRule)))


def test_choices_that_do_not_exist_are_refused(app: Flask, manager: Visitor) -> None:
    assert manager.get("/settings/send-from/parcel").status_code == 404
    assert manager.post("/settings/send-from/parcel", {"mode": "user"}).status_code == 404
    assert manager.post("/settings/send-from", {"mode": "company"}).status_code == 400
    assert manager.post("/settings/send-from", {"mode": "luck"}).status_code == 400
    assert stored(app) is None


# Company details

DETAILS = {
    "name": "Bright Spark Plumbing",
    "address": "14 Foundry Lane\nMarrickville",
    "accent": "#0b5c7a",
    "time_zone": "Australia/Sydney",
    "currency": "AUD",
}


def test_the_details_are_kept(app: Flask, manager: Visitor) -> None:
    form = {**DETAILS, "name": " Bright Spark ", "email": "Office@BrightSpark.example", "bank": "x"}
    assert manager.post("/settings/company", form).location == "/settings/company"
    found = company(app)
    assert (found.name, found.email) == ("Bright Spark", "Office@brightspark.example")
    assert "are saved" in manager.words("/settings/company")


@pytest.mark.parametrize(
    ("field", "typed", "sentence"),
    [
        ("name", "", "Write the company's name."),
        ("name", "Bright\r\nBcc: x@y.example", "This has a line break in it."),
        ("name", "x" * 121, "Write at most 120 characters."),
        ("email", "office at bright", "is not an e-mail address"),
        ("website", "not a site", "Write a web address"),
        ("website", "javascript:alert(1)", "Write a web address"),
        ("accent", "red; }", "Write a colour such as #0b5c7a."),
        ("time_zone", "Mars/Olympus", "Not a valid choice"),
        ("currency", "XXX", "Not a valid choice"),
        ("bank", "y" * 601, "Write at most 600 characters."),
    ],
)
def test_a_detail_that_cannot_be_is_told_and_nothing_is_stored(
    app: Flask, manager: Visitor, field: str, typed: str, sentence: str
) -> None:
    answer = manager.post("/settings/company", {**DETAILS, "footer": "kept", field: typed})
    assert answer.status_code == 422
    assert sentence in said(answer)
    assert 'value="kept"' in answer.text
    assert company(app).footer == ""


def test_a_pale_colour_comes_with_a_word_of_warning(manager: Visitor) -> None:
    answer = manager.get("/settings/company?accent=%23ffe600", htmx=True)
    assert "is hard to read. Papers and pages therefore write with a darker shade" in said(answer)
    assert "is easy to read" in manager.words("/settings/company")


# Logo


def picture(kind: str = "PNG", size: tuple[int, int] = (1600, 400), mode: str = "RGB") -> bytes:
    written = io.BytesIO()
    Image.new(mode, size, "navy").save(written, kind)
    return written.getvalue()


def send_logo(who: Visitor, content: bytes, name: str = "logo.png", **details: str) -> Any:
    form = {**DETAILS, **details, "picture": "chosen", "logo": (io.BytesIO(content), name)}
    return who.post("/settings/company", form)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_logo_is_drawn_anew_and_small(app: Flask, manager: Visitor, kind: str) -> None:
    assert send_logo(manager, picture(kind), "whatever.exe").status_code == 303
    found = company(app)
    assert found.logo is not None
    drawn = Image.open(io.BytesIO(found.logo))
    assert (found.logo_type, drawn.format, drawn.size) == ("image/png", "PNG", (800, 200))
    served = manager.get("/company/logo")
    assert (served.mimetype, served.data) == ("image/png", found.logo)


def test_the_smallest_and_the_largest_logo_are_taken(manager: Visitor) -> None:
    for size in ((40, 400), (4000, 2500)):
        assert send_logo(manager, picture("PNG", size, "1")).status_code == 303


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "This file is empty."),
        (b"<svg onload='x()'/>", "This is no picture we can read. Use a PNG or JPEG file."),
        (picture("GIF"), "This is no picture we can read. Use a PNG or JPEG file."),
        (picture()[:200], "This picture is damaged."),
        (picture("PNG", (4000, 2501), "1"), "This picture has too many pixels: save it smaller"),
        (picture("PNG", (39, 400)), "too small for papers, 39 by 400 pixels: its shorter side"),
        (b"x" * (LARGEST + 1), "This file is too large. A logo may have 1 MB at most."),
    ],
)
def test_what_is_no_logo_is_told_in_one_sentence(
    app: Flask, manager: Visitor, content: bytes, sentence: str
) -> None:
    send_logo(manager, picture())
    before = company(app).logo
    answer = send_logo(manager, content, footer="typed just now")
    assert answer.status_code == 422
    assert sentence in said(answer)
    assert 'value="typed just now"' in answer.text
    assert company(app).logo == before


def test_no_file_is_no_logo(manager: Visitor) -> None:
    answer = manager.post("/settings/company", {**DETAILS, "picture": "chosen"})
    assert answer.status_code == 422
    assert "Choose a picture first." in said(answer)


def test_details_and_logo_are_kept_together_or_not_at_all(app: Flask, manager: Visitor) -> None:
    answer = send_logo(manager, picture(), footer="typed just now", website="not a site")
    assert 'value="typed just now"' in answer.text
    assert "Choose the picture again" in said(answer)
    assert not company(app).has_logo
    send_logo(manager, picture(), footer="typed just now")
    assert company(app).has_logo and company(app).footer == "typed just now"
    manager.post("/settings/company", DETAILS)
    assert company(app).has_logo


def test_a_logo_can_be_taken_away(app: Flask, manager: Visitor) -> None:
    send_logo(manager, picture())
    manager.post("/settings/company/logo/removal")
    assert not company(app).has_logo
    assert manager.get("/company/logo").status_code == 404
