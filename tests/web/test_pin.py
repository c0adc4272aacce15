"""A quick PIN on a shared tablet: quick where it was earned, and never more than everyday work."""

import re
import time
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from portal import accounts, devices, links
from portal.accounts import User
from portal.devices import IDLE_SECONDS, Device
from portal.extensions import db
from portal.web import tablet
from tests import servers
from tests.factories import PASSWORD, document, nia, olive, tom
from tests.visitor import HTMX, said, token_in, visitor

pytestmark = pytest.mark.sqlite_only

TOM, OLIVE, NIA = (f"{who}@brightspark.example" for who in ("tom", "olive", "nia"))
PIN = "4829"


class Tablet:
    """A browser that several people hold in turn."""

    def __init__(self, app: Flask, base: str = "http://localhost") -> None:
        self.client, self.base = app.test_client(), base

    def get(self, address: str, **more: Any) -> TestResponse:
        return self.client.get(address, base_url=self.base, **more)

    def post(self, address: str, form: dict[str, Any], page: str = "/sign-in") -> TestResponse:
        data = {"csrf_token": token_in(self.get(page).text), **form}
        return self.client.post(address, data=data, base_url=self.base)

    def sign_in(self, email: str, password: str = PASSWORD, **more: Any) -> TestResponse:
        form = {"email": email, "password": password, **more}
        return self.post("/sign-in", form, "/sign-in?full=1")

    def pin(self, who: int, pin: str = PIN, **more: Any) -> TestResponse:
        return self.post("/sign-in/pin", {"who": who, "pin": pin, **more}, "/sign-in?full=1")

    def sign_out(self) -> TestResponse:
        return self.post("/sign-out", {}, "/profile")

    def idle(self, seconds: float) -> None:
        with self.client.session_transaction(base_url=self.base) as session:
            session[tablet.TOUCHED] = time.time() - seconds

    def is_in(self) -> bool:
        return self.get("/profile").status_code == 200


@pytest.fixture
def people(app: Flask) -> dict[str, int]:
    """Olive, Tom and Nia with their ids; Olive and Tom have chosen a PIN."""
    with app.app_context():
        for user in (olive(), tom()):
            devices.set_pin(user, PASSWORD, PIN)
        return {"olive": olive().id, "tom": tom().id, "nia": nia().id}


@pytest.fixture
def van(app: Flask, people: dict[str, int]) -> Tablet:
    """Van 3's tablet: Tom made it a shared one, Olive signed in on it too; nobody is in now."""
    made = Tablet(app)
    assert made.sign_in(TOM, shared="y", device="Van 3").status_code == 303
    made.sign_out()
    made.sign_in(OLIVE)
    made.sign_out()
    return made


# Choosing a PIN


def test_tom_chooses_a_pin_and_gives_it_up(app: Flask) -> None:
    toms = visitor(app, tom)
    form = {"pin": PIN, "pin_again": PIN, "password": PASSWORD}
    assert toms.post("/profile/pin", form).status_code == 303
    assert "Your quick PIN is set." in toms.words("/profile")
    with app.app_context():
        assert accounts.matches(tom().pin_hash, PIN)
    wrong = toms.post("/profile/pin/removal", {"password": "not his"})
    assert wrong.status_code == 422 and "That is not your password." in said(wrong)
    assert toms.post("/profile/pin/removal", {"password": PASSWORD}).status_code == 303
    with app.app_context():
        assert tom().pin_hash == ""


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"pin": "1234", "pin_again": "1234"}, "no counting"),
        ({"pin_again": "4820"}, "The two PINs are not the same."),
        ({"password": "not his"}, "That is not your password."),
        ({"pin": "", "pin_again": ""}, "Write a PIN."),
    ],
)
def test_a_pin_that_cannot_be_set_says_why(
    app: Flask, changed: dict[str, str], sentence: str
) -> None:
    form = {"pin": PIN, "pin_again": PIN, "password": PASSWORD, **changed}
    answer = visitor(app, tom).post("/profile/pin", form)
    assert answer.status_code == 422 and sentence in said(answer)
    assert PIN not in answer.text
    with app.app_context():
        assert tom().pin_hash == ""


# Coming back


def test_the_tablet_asks_who_it_is_and_takes_the_pin(van: Tablet, people: dict[str, int]) -> None:
    names = said(van.get("/sign-in"))
    assert "Who are you?" in names and "Tom Baker" in names and "Olive Park" in names
    assert TOM not in names
    assert "Your PIN" in said(van.get(f"/sign-in?who={people['tom']}"))
    assert van.pin(people["tom"]).location == "/"
    assert van.is_in()


def test_only_who_signed_in_fully_there_is_asked_for_a_pin(
    app: Flask, van: Tablet, people: dict[str, int]
) -> None:
    with app.app_context():
        devices.set_pin(nia(), PASSWORD, "730518")
    assert "Nia Cole" not in said(van.get("/sign-in"))
    assert van.pin(people["nia"], "730518").status_code == 422
    van.sign_in(NIA)
    van.sign_out()
    assert van.pin(people["nia"], "730518").status_code == 303


def test_another_browser_knows_nobody_and_takes_no_pin(
    app: Flask, van: Tablet, people: dict[str, int]
) -> None:
    phone = Tablet(app)
    assert "Who are you?" not in said(phone.get("/sign-in"))
    form = {"who": people["tom"], "pin": PIN}
    assert phone.post("/sign-in/pin", form).location == "/sign-in"
    assert not phone.is_in()


def test_a_sign_in_without_the_tick_makes_no_device(app: Flask, people: dict[str, int]) -> None:
    phone = Tablet(app)
    phone.sign_in(TOM, device="Van 3")
    with app.app_context():
        assert devices.trusted() == []
    assert phone.client.get_cookie("device") is None


def test_the_way_goes_on_to_the_page_that_was_wanted(van: Tablet, people: dict[str, int]) -> None:
    asked = van.get("/contacts")
    assert asked.location == "/sign-in?next=/contacts"
    names = van.get(asked.location)
    assert f"/sign-in?who={people['tom']}&amp;next=/contacts" in names.text
    assert van.pin(people["tom"], next="/contacts").location == "/contacts"
    van.sign_out()
    assert van.pin(people["tom"], next="//evil.example").location == "/"


def test_the_cookie_of_a_tablet_is_as_safe_as_that_of_a_session(
    database: str, redis_url: str
) -> None:
    base = "https://portal.example"
    config = servers.config_of(DATABASE_URL=database, REDIS_URL=redis_url, PUBLIC_URL=base)
    app = servers.make_app(config)
    with app.app_context():
        tom()
        db.session.remove()
    answer = Tablet(app, base).sign_in(TOM, shared="y")
    (cookie,) = [one for one in answer.headers.getlist("Set-Cookie") if "device" in one]
    assert cookie.startswith("__Host-device=")
    assert all(part in cookie for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"))
    with app.app_context():
        key = cookie.partition("=")[2].partition(";")[0]
        assert key not in str(vars(db.session.query(Device).one()))


# Wrong PINs


def test_five_wrong_pins_need_the_password(van: Tablet, people: dict[str, int]) -> None:
    answers = [van.pin(people["tom"], "9999") for _ in range(5)]
    assert "4 tries left" in said(answers[0])
    assert "Sign in with your password" in said(answers[4]) and "E-mail" in said(answers[4])
    assert "Tom Baker needs the password now" in said(van.get("/sign-in"))
    assert van.pin(people["tom"]).status_code == 422 and not van.is_in()
    assert van.pin(people["olive"]).status_code == 303
    van.sign_out()
    van.sign_in(TOM)
    van.sign_out()
    assert van.pin(people["tom"]).status_code == 303


def test_ten_wrong_pins_end_the_tablet(app: Flask, van: Tablet, people: dict[str, int]) -> None:
    for who in ("tom", "olive"):
        for _ in range(5):
            last = van.pin(people[who], "9999")
    assert "Everybody signs in with their password now." in said(last)
    assert "Who are you?" not in said(van.get("/sign-in"))
    with app.app_context():
        assert devices.trusted() == []


# What a PIN opens


def test_a_pin_opens_everyday_work(app: Flask, van: Tablet, people: dict[str, int]) -> None:
    with app.app_context():
        made = document().id
    van.pin(people["tom"])
    for address in ("/", "/contacts", "/profile", f"/documents/{made}"):
        assert van.get(address).status_code == 200, address


SEALED = (
    "/settings",
    "/settings/company",
    "/settings/send-from",
    "/people",
    "/mailboxes/new",
    "/mailboxes/1/disconnection",
)


@pytest.mark.parametrize("address", SEALED)
def test_a_pin_alone_opens_nothing_that_decides(
    van: Tablet, people: dict[str, int], address: str
) -> None:
    van.pin(people["olive"])
    assert van.get(address).location == f"/sign-in/password?next={address}"
    part = van.get(address, headers=HTMX)
    assert part.status_code == 401 and part.headers["HX-Redirect"] == "/sign-in/password"


@pytest.mark.parametrize(
    ("address", "form"),
    [
        ("/profile/password", {"old": PASSWORD, "new": "a longer one", "again": "a longer one"}),
        ("/profile/pin", {"pin": "50617", "pin_again": "50617", "password": PASSWORD}),
        ("/profile/pin/removal", {"password": PASSWORD}),
        ("/mailboxes/connections", {"purpose": "own", "level": "full"}),
        ("/people/1", {"role": "manager"}),
    ],
)
def test_a_pin_alone_changes_nothing_that_lets_people_in(
    app: Flask, van: Tablet, people: dict[str, int], address: str, form: dict[str, str]
) -> None:
    def stored() -> list[tuple[str, str, str]]:
        with app.app_context():
            users = db.session.query(User).order_by(User.id)
            return [(one.password_hash, one.pin_hash, one.role) for one in users]

    before = stored()
    van.pin(people["olive"])
    assert van.post(address, form, "/profile").location.startswith("/sign-in/password")
    assert stored() == before


def test_the_password_opens_the_rest(van: Tablet, people: dict[str, int]) -> None:
    van.pin(people["olive"])
    page = "/sign-in/password?next=/settings"
    wrong = van.post("/sign-in/password", {"password": PIN, "next": "/settings"}, page)
    assert wrong.status_code == 422 and "That is not your password." in said(wrong)
    assert van.get("/settings").status_code == 303
    right = van.post("/sign-in/password", {"password": PASSWORD, "next": "/settings"}, page)
    assert right.location == "/settings"
    assert van.get("/settings").status_code == 200


def test_who_gave_the_password_is_not_asked_for_it(van: Tablet, people: dict[str, int]) -> None:
    van.sign_in(OLIVE)
    assert van.get("/sign-in/password?next=/settings").location == "/settings"
    assert "Type my password" not in said(van.get("/profile"))
    van.sign_out()
    van.pin(people["olive"])
    assert "Type my password" in said(van.get("/profile"))


def test_staff_with_a_pin_are_told_no_as_ever(van: Tablet, people: dict[str, int]) -> None:
    van.pin(people["tom"])
    assert van.get("/settings").status_code == 403


# Passing the tablet on


def test_after_five_idle_minutes_the_pin_is_asked_for_again(
    van: Tablet, people: dict[str, int]
) -> None:
    van.pin(people["tom"])
    van.idle(IDLE_SECONDS - 30)
    assert f'data-idle="{IDLE_SECONDS}"' in van.get("/profile").text
    van.idle(IDLE_SECONDS + 1)
    assert van.get("/contacts").location == "/sign-in?next=/contacts"
    assert not van.is_in()
    assert "Who are you?" in said(van.get("/sign-in"))


def test_a_full_sign_in_on_the_tablet_is_asked_again_too(
    van: Tablet, people: dict[str, int]
) -> None:
    van.sign_in(OLIVE)
    assert van.get("/settings").status_code == 200
    van.idle(IDLE_SECONDS + 1)
    assert van.get("/sign-in").status_code == 200  # it does not send anybody in
    assert not van.is_in()


def test_being_used_prolongs_it_and_a_page_that_looks_by_itself_does_not(
    van: Tablet, people: dict[str, int]
) -> None:
    van.pin(people["tom"])
    for _ in range(3):
        van.idle(IDLE_SECONDS - 60)
        assert van.is_in()
        with van.client.session_transaction() as session:
            assert time.time() - session[tablet.TOUCHED] < 30
    van.idle(IDLE_SECONDS - 60)
    assert van.get("/contacts", headers=HTMX).status_code == 200
    with van.client.session_transaction() as session:
        assert time.time() - session[tablet.TOUCHED] > IDLE_SECONDS - 70


def test_signing_out_there_signs_nobodys_phone_out_and_ends_copied_cookies(
    app: Flask, van: Tablet, people: dict[str, int]
) -> None:
    phone = Tablet(app)
    phone.sign_in(TOM)
    van.pin(people["tom"])
    cookie = van.client.get_cookie("sendwright")
    assert cookie is not None
    thief = app.test_client()
    thief.set_cookie("sendwright", cookie.value)
    assert thief.get("/profile").status_code == 200
    assert "signed out on this tablet" in said(van.get(van.sign_out().location))
    assert thief.get("/profile").status_code == 303 and not van.is_in()
    assert phone.is_in()
    phone.sign_out()
    assert van.pin(people["tom"]).status_code == 303


def test_a_manager_ends_a_lost_tablet_and_whoever_is_in_on_it(
    app: Flask, van: Tablet, people: dict[str, int]
) -> None:
    van.pin(people["tom"])
    manager = visitor(app, olive)
    page = manager.get("/people")
    assert "Van 3" in said(page) and "Tom Baker" in said(page)
    form = re.search(r'action="(/people/tablets/\d+/end)"', page.text)
    assert form and manager.post(form[1]).status_code == 303
    assert "Van 3" not in manager.words("/people").replace("“Van 3” is no longer", "")
    assert not van.is_in()
    assert "Who are you?" not in said(van.get("/sign-in"))


def test_a_new_password_asks_for_it_on_the_tablet_once(
    app: Flask, van: Tablet, people: dict[str, int]
) -> None:
    van.pin(people["tom"])
    with app.app_context():
        accounts.give_password(tom(), "another long password")
    assert not van.is_in()
    assert "Tom Baker" not in said(van.get("/sign-in"))
    assert van.pin(people["tom"]).status_code == 422
    van.sign_in(TOM, "another long password")
    van.sign_out()
    assert van.pin(people["tom"]).status_code == 303


def test_a_password_set_by_a_link_on_the_tablet_is_a_turn_like_any_other(
    app: Flask, van: Tablet, people: dict[str, int]
) -> None:
    with app.app_context():
        key = links.make(links.Purpose.PASSWORD, tom(), olive())
    new = {"new": "another long password", "again": "another long password"}
    address = f"/links/password/{key}"
    assert van.post(address, new, address).status_code == 303
    assert van.is_in()
    van.idle(IDLE_SECONDS + 1)
    assert not van.is_in()
    assert van.pin(people["tom"]).status_code == 303
