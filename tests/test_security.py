"""What somebody who means harm finds: without an account, with a colleague's, with a file."""

import io
import stat
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import select

from portal import attempts, batches, launch, workers
from portal.config import Config
from portal.dispatch import Dispatch, Purpose, claiming
from portal.documents import LARGEST_FILE, files, wording
from portal.extensions import db
from portal.people import BadAddress, addresses_in
from portal.providers import google
from portal.providers.signing import SignInProblem
from portal.sandbox.server import SandboxServer
from portal.web import guard, lines
from tests import servers
from tests.factories import PASSWORD, asked, document, office_mailbox, olive, tom
from tests.visitor import Visitor, said, token_in, visitor

TOM = "tom@brightspark.example"


@pytest.fixture
def trader(app: Flask) -> Visitor:
    return visitor(app, tom)


def try_password(
    client: FlaskClient, email: str, password: str, address: str = "127.0.0.1", **headers: str
) -> Any:
    token = token_in(client.get("/sign-in").text)
    form = {"csrf_token": token, "email": email, "password": password}
    base = {"REMOTE_ADDR": address}
    return client.post("/sign-in", data=form, environ_base=base, headers=headers)


# -- sessions ------------------------------------------------------------------------------------


@pytest.mark.sqlite_only
def test_a_copied_cookie_is_worth_nothing_after_its_owner_signed_out(
    app: Flask, trader: Visitor
) -> None:
    thief = app.test_client()
    cookie = trader.client.get_cookie("sendwright")
    assert cookie is not None
    thief.set_cookie("sendwright", cookie.value)
    assert thief.get("/profile").status_code == 200
    assert trader.post("/sign-out").status_code == 303
    assert "/sign-in" in thief.get("/profile").headers["Location"]


@pytest.mark.sqlite_only
def test_a_session_ends_in_the_end_however_busy_it_is(trader: Visitor) -> None:
    with trader.client.session_transaction() as session:
        session["since"] = time.time() - guard.LONGEST_SESSION + 60
    assert trader.get("/profile").status_code == 200
    with trader.client.session_transaction() as session:
        session["since"] = time.time() - guard.LONGEST_SESSION - 60
    assert "/sign-in" in trader.get("/profile").headers["Location"]
    with trader.client.session_transaction() as session:
        assert "_user_id" not in session


@pytest.mark.sqlite_only
def test_signing_in_begins_the_longest_a_session_may_last(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        tom()
    assert try_password(client, TOM, PASSWORD).status_code == 303
    with client.session_transaction() as session:
        assert time.time() - session["since"] < 60


@pytest.mark.sqlite_only
def test_no_answer_that_a_cache_may_keep_bears_a_session(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        tom()
    assert "Set-Cookie" in try_password(client, TOM, PASSWORD).headers
    for address in ("/static/app.css?v=1", "/static/icon.svg", "/company.css", "/healthz"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert "Set-Cookie" not in answer.headers


@pytest.mark.sqlite_only
def test_a_session_that_is_used_is_prolonged_now_and_then(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        tom()
    try_password(client, TOM, PASSWORD)
    assert "Set-Cookie" in client.get("/profile").headers
    assert "Set-Cookie" not in client.get("/profile").headers
    with client.session_transaction() as session:
        session["seen"] = time.time() - guard.PROLONGED_EVERY - 1
    prolonged = client.get("/profile").headers
    assert "Expires=" in prolonged["Set-Cookie"] and prolonged["Cache-Control"] == "no-store"


@pytest.mark.sqlite_only
def test_every_answer_forbids_what_no_page_needs(client: FlaskClient) -> None:
    for address in ("/sign-in", "/static/app.css", "/nowhere"):
        headers = client.get(address).headers
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Permissions-Policy"] == "camera=(), microphone=(), geolocation=()"


@pytest.mark.sqlite_only
@pytest.mark.parametrize(("base", "secure"), [("https://portal.example", True), (None, False)])
def test_the_chosen_colours_travel_as_safely_as_the_session(
    base: str | None, secure: bool, database: str, redis_url: str
) -> None:
    served = {"PUBLIC_URL": base} if base else {}
    config = servers.config_of(DATABASE_URL=database, REDIS_URL=redis_url, **served)
    client = servers.make_app(config).test_client()
    with client.application.app_context():
        session_id = tom().get_id()
        db.session.remove()
    with client.session_transaction(base_url=base) as session:
        session["_user_id"], session["_fresh"] = session_id, True
    token = token_in(client.get("/profile", base_url=base).text)
    form = {"csrf_token": token, "theme": "dark", "next": "/"}
    answer = client.post("/preferences/theme", data=form, base_url=base)
    (cookie,) = [one for one in answer.headers.getlist("Set-Cookie") if one.startswith("theme=")]
    assert ("Secure" in cookie) is secure and "HttpOnly" in cookie


# -- guessing passwords --------------------------------------------------------------------------


@pytest.mark.sqlite_only
def test_who_guesses_is_stopped_and_locks_nobody_else_out(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        tom()
    answers = [try_password(client, TOM, "a guess", "203.0.113.9").status_code for _ in range(21)]
    assert answers == [422] * 20 + [429]
    assert try_password(app.test_client(), TOM, PASSWORD, "198.51.100.7").status_code == 303


@pytest.mark.sqlite_only
def test_an_invented_forwarded_address_gives_no_more_guesses(
    app: Flask, client: FlaskClient
) -> None:
    answers = [
        try_password(client, TOM, "a guess", **{"X-Forwarded-For": f"203.0.113.{n}"}).status_code
        for n in range(21)
    ]
    assert answers[-1] == 429


@pytest.mark.sqlite_only
def test_behind_the_proxy_only_its_own_word_counts(database: str, redis_url: str) -> None:
    config = servers.config_of(
        DATABASE_URL=database, REDIS_URL=redis_url, PUBLIC_URL="https://portal.example"
    )
    client = servers.make_app(config).test_client()
    answers = []
    for n in range(21):
        forwarded = {"X-Forwarded-For": f"10.0.0.{n}, 203.0.113.9", "X-Forwarded-Proto": "https"}
        base = "https://portal.example"
        token = token_in(client.get("/sign-in", base_url=base).text)
        form = {"csrf_token": token, "email": TOM, "password": "a guess"}
        answers.append(client.post("/sign-in", data=form, headers=forwarded, base_url=base))
    assert [one.status_code for one in answers] == [422] * 20 + [429]
    cookie = answers[0].headers["Set-Cookie"]
    assert cookie.startswith("__Host-sendwright=")
    assert all(part in cookie for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"))


# -- cheap requests that cost much ---------------------------------------------------------------


@pytest.mark.sqlite_only
def test_a_stranger_cannot_have_a_large_form_read(client: FlaskClient, trader: Visitor) -> None:
    large = {"anything": "x" * (guard.STRANGERS_BODY + 1)}
    assert client.post("/sign-in", data=large).status_code == 413
    assert client.post("/documents/1/files", data=large).status_code == 413
    assert trader.post("/preferences/theme", large).status_code == 303


@pytest.mark.sqlite_only
@pytest.mark.parametrize("body", ["[" * 5_000, '{"email": {"a": 1}, "subject": 5}', "[1]", "{"])
def test_nothing_but_forms_is_read(app: Flask, trader: Visitor, body: str) -> None:
    with app.app_context():
        number = document().id
    token = token_in(trader.get("/profile").text)
    for address in ("/sign-in", f"/documents/{number}/dispatches", "/contacts"):
        headers = {"X-CSRFToken": token, "Content-Type": "application/json"}
        answer = trader.client.post(address, data=body, headers=headers)
        assert answer.status_code == 415


def test_an_address_that_could_be_decoded_into_another_is_none() -> None:
    for typed in ("=?utf-8?q?a?=@b.example", "=?utf-8?q?a=40x.example=3E?=@b.example"):
        with pytest.raises(BadAddress):
            addresses_in(typed)
    assert addresses_in("a=b?c@homes.example") == ("a=b?c@homes.example",)


@pytest.mark.sqlite_only
@pytest.mark.parametrize("field", ["quantity", "anything"])
@pytest.mark.parametrize("address", ["/documents/invoice", "/documents/invoice/totals"])
def test_a_flood_of_lines_is_not_worked_through(trader: Visitor, address: str, field: str) -> None:
    flood = {f"lines-{n}-{field}": "2" for n in range(20 * lines.MOST_ROWS)}
    answer = trader.post(address, flood)
    assert len(answer.data) < 200_000
    assert answer.status_code != 500


@pytest.mark.parametrize(
    "address",
    [
        "/documents/99999999999999999999",
        "/documents/invoice?before=99999999999999999999",
        "/documents/invoice?q=%00",
        "/contacts?q=%00",
        "/dispatches/99999999999999999999",
        "/contacts/99999999999999999999/edit",
    ],
)
def test_what_no_database_can_hold_is_refused_and_breaks_nothing(
    trader: Visitor, address: str
) -> None:
    answer = trader.get(address)
    assert answer.status_code in (200, 400, 404)
    assert "Something broke" not in said(answer)
    assert trader.get("/profile").status_code == 200


@pytest.mark.sqlite_only
def test_a_number_too_long_to_be_read_is_none(app: Flask) -> None:
    manager, digits = visitor(app, olive), "9" * 5000
    with app.app_context():
        batch = batches.make("Month end", olive()).id
    assert manager.get(f"/settings/places?region={digits}").status_code == 200
    assert manager.post(f"/batches/{batch}/completion", {"version": digits}).status_code == 303


def test_a_flood_of_ticks_is_refused_before_anything_is_made(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        batch = batches.make("Month end", olive()).id
    flood = [str(one) for one in range(70_000)]
    for address, ticks in (("/batches/filling", "ids"), (f"/batches/{batch}/removal", "item")):
        answer = trader.post(address, {"batch": "new", "name": "Flood", ticks: flood})
        assert answer.status_code == 400
    with app.app_context():
        assert [one.batch.name for one in batches.listed()] == ["Month end"]


def test_a_link_of_brackets_is_read_in_one_go() -> None:
    # Anything slower than linear would take hours over this many.
    assert wording._without_punctuation("https://x" + ")" * 1_000_000) == "https://x"
    assert wording._without_punctuation("https://x.example/(a).)") == "https://x.example/(a)"
    assert wording._without_punctuation("https://x.example/[a](b)],.") == "https://x.example/[a](b)"


def test_a_picture_that_claims_to_be_huge_is_not_unpacked() -> None:
    flat = io.BytesIO()
    Image.new("L", (12_000, 12_000)).save(flat, "JPEG", quality=1)
    with pytest.raises(files.BadFile, match="too many pixels"):
        files._file("flat.jpg", flat.getvalue())


def test_a_large_photo_is_never_whole_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, loaded = io.BytesIO(), []
    Image.new("RGB", (6000, 5000)).save(photo, "JPEG", quality=1)
    convert = Image.Image.convert

    def watched(self: Image.Image, *rest: Any, **more: Any) -> Image.Image:
        loaded.append(self.size)
        return convert(self, *rest, **more)

    monkeypatch.setattr(Image.Image, "convert", watched)
    made = files._file("photo.jpg", photo.getvalue())
    assert loaded[0] == (3000, 2500)
    assert Image.open(io.BytesIO(made.content)).size == (2400, 2000)


def test_a_file_that_is_too_large_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("word/x", b"\0" * (LARGEST_FILE + 1))
    monkeypatch.setattr(files, "content_type", lambda _: pytest.fail("it was unpacked"))
    with pytest.raises(files.BadFile, match="the most is"):
        files._file("large.docx", packed.getvalue())


# -- tests to oneself ----------------------------------------------------------------------------


def words(**typed: str) -> dict[str, str]:
    return {"subject": "Hello", "body": "Hello", "number": "1", "test_number": "1", **typed}


@pytest.mark.sqlite_only
def test_a_test_goes_to_oneself_whatever_is_typed_and_its_number_cannot_be_spoilt(
    app: Flask, trader: Visitor
) -> None:
    with app.app_context():
        office_mailbox()
        number = document().id
    address = f"/documents/{number}/tests"
    typed = {"to": "olive@brightspark.example", "cc": "max@elsewhere.example"}
    typed |= {"sender": "olive@brightspark.example", "from_email": "olive@brightspark.example"}
    trader.post(address, words(test_number="999999", **typed))
    with app.app_context():
        sent = db.session.scalars(select(Dispatch)).one()
        assert (sent.to, sent.cc, sent.purpose) == ([TOM], [], Purpose.TEST)
        assert sent.from_email == "office@brightspark.example"
        assert sent.sending_number == 1  # a number far ahead would make every later one useless
    trader.post(address, words())
    with app.app_context():
        assert len(db.session.scalars(select(Dispatch)).all()) == 1  # the same press


@pytest.mark.sqlite_only
@pytest.mark.sqlite_only
@pytest.mark.parametrize(
    "crafted",
    [
        {"once": "specified:tom@brightspark.example"},
        {"once": "user"},
        {"once": "specified:boss@elsewhere.example"},
        {"sender": "boss@elsewhere.example"},
        {"from_email": "boss@elsewhere.example", "from_name": "The boss", "mailbox_id": "9"},
        {"subject": "Invoice\r\nFrom: boss@elsewhere.example"},
        {"batch_id": "1", "state": "accepted", "purpose": "test", "requested_by_id": "1"},
    ],
)
def test_no_crafted_post_of_staff_chooses_who_mail_comes_from(
    app: Flask, trader: Visitor, crafted: dict[str, str]
) -> None:
    with app.app_context():
        office_mailbox()
        number = document().id
    page = trader.get(f"/documents/{number}/dispatches/new").text
    seen = {"version": "1", "sender": "office@brightspark.example", "number": "1"}
    assert seen["sender"] in page
    form = {**words(to="mary.lee@homes.example"), **seen, **crafted}
    trader.post(f"/documents/{number}/dispatches", form)
    with app.app_context():
        for sent in db.session.scalars(select(Dispatch)).unique():
            assert (sent.from_email, sent.purpose) == (seen["sender"], Purpose.DOCUMENT)
            assert (sent.state, sent.batch_id, sent.requested_by_id) == ("queued", None, tom().id)
            assert (b"\r\n" + sent.mime).count(b"\r\nFrom:") == 1
            assert b"elsewhere.example" not in sent.mime


@pytest.mark.sqlite_only
def test_tests_are_counted_so_that_nobody_uses_up_a_days_mail(app: Flask, trader: Visitor) -> None:
    with app.app_context():
        office_mailbox()
        number = document().id
    for _ in range(60):  # nothing to say: nothing is sent, and yet it counts
        assert trader.post(f"/documents/{number}/tests", {"subject": ""}).status_code == 422
    answer = trader.post(f"/documents/{number}/tests", words())
    assert answer.status_code == 429
    with app.app_context():
        assert not db.session.scalars(select(Dispatch)).all()


@pytest.mark.sqlite_only
@pytest.mark.parametrize("address", ["/documents/9/dispatches", "/dispatches/9/resending"])
def test_sendings_are_counted_too(trader: Visitor, address: str) -> None:
    for _ in range(120):
        assert trader.post(address).status_code == 404
    answer = trader.post(address)
    assert answer.status_code == 429 and "Too many tries in a row" in answer.text


# -- Google, the real one and the local one ------------------------------------------------------


@pytest.mark.sqlite_only
@pytest.mark.parametrize("verified", [False, "false", None])
def test_an_address_that_google_has_not_verified_is_nobodys(
    app: Flask, monkeypatch: pytest.MonkeyPatch, verified: Any
) -> None:
    claims = {"sub": "1", "email": "olive@brightspark.example", "email_verified": verified}

    class Client:
        def authorize_access_token(self) -> dict[str, Any]:
            return {"access_token": "a", "scope": "", "userinfo": claims}

    monkeypatch.setattr(google, "_client", Client)
    with app.app_context(), pytest.raises(SignInProblem, match="not verified"):
        google.finish()
    claims["email_verified"] = True
    with app.app_context():
        assert google.finish()[0].email == "olive@brightspark.example"


def test_the_local_google_answers_to_no_name_but_this_machines(
    local_google: SandboxServer,
) -> None:
    client = local_google.app.test_client()
    for here in ("127.0.0.1", "localhost", "[::1]"):
        assert client.get("/_sandbox/accepted", headers={"Host": f"{here}:8025"}).status_code == 200
    for elsewhere in ("evil.example", "127.0.0.1.evil.example:8025"):
        answer = client.get("/_sandbox/accepted", headers={"Host": elsewhere})
        assert answer.status_code == 403


@pytest.mark.sqlite_only
def test_nothing_of_the_local_google_is_part_of_the_portal(app: Flask, config: Config) -> None:
    served = {rule.rule for rule in app.url_map.iter_rules()}
    assert not [one for one in served if "sandbox" in one or one.startswith(("/gmail", "/token"))]
    assert not Config.model_validate(
        {"SECRET_KEY": "x" * 32, "TOKEN_KEYS": config.TOKEN_KEYS}
    ).is_local_google


# -- at rest -------------------------------------------------------------------------------------


def test_what_an_all_in_one_start_keeps_is_its_owners_alone(tmp_path: Path) -> None:
    launch.make_directories(tmp_path / "var")
    assert stat.S_IMODE((tmp_path / "var").stat().st_mode) == 0o700


@pytest.mark.sqlite_only
def test_what_stands_between_us_and_a_provider_is_told_to_no_page(
    app: Flask, trader: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = "HTTPSConnection(host='10.1.2.3', port=3128): squid.internal at fd00::7 said no"
    with app.app_context():
        office_mailbox()
        one = asked()
        claim = attempts.claim(one.id)
        assert claim
        claiming.end_attempt(claim, "try later", inner)
        monkeypatch.setitem(workers._mine, "name", "the-van:7")
        workers.beat(workers.SENDING, inner)
        db.session.commit()
        seen = [f"/dispatches/{one.id}", f"/dispatches/{one.id}/evidence.txt"]
        db.session.remove()
    pages = [trader.get(address).text for address in seen]
    pages.append(visitor(app, olive).get("/workers").text)
    for page in pages:
        assert "inner address" in page
        assert not any(word in page for word in ("10.1.2.3", "squid.internal", "fd00::7"))
