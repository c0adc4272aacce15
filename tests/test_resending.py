"""Sending again: the same frozen message under a number of its own, with the reason, and once."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from typing import TYPE_CHECKING, Any

import pytest
import requests
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from portal import delivery, dispatch
from portal.columns import now
from portal.dispatch import Blocked, Deed, Dispatch, Purpose, State, seal_of
from portal.dispatch.resending import renamed
from portal.envelope import DISPATCH_HEADER, Attachment, Mailable, seal
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.people import company
from portal.policy import set_rule
from portal.senders import Mode
from tests import servers
from tests.factories import MARY, asked, connected, document, nia, office_mailbox, olive, tom, wish

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer

WHY = "They say it did not arrive"


@pytest.fixture
def gone(app: Flask) -> Callable[..., Dispatch]:
    """An invoice of Tom's that left, or ended otherwise. Needs an app context."""

    def make(state: State = State.ACCEPTED, **values: Any) -> Dispatch:
        office_mailbox()
        one = asked(document(author=tom()), tom())
        for name, value in {"state": state, **values}.items():
            setattr(one, name, value)
        db.session.commit()
        return one

    return make


# The bytes

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=80)


@given(words, words, words)
def test_nothing_but_its_own_two_lines_changes(subject: str, name: str, body: str) -> None:
    def sealed(token: str) -> bytes:
        return seal(
            token=token,
            message_id=f"<{token}@portal.example>",
            sender=Mailable("tom@brightspark.example", name),
            to=[Mailable("mary.lee@homes.example", name)],
            cc=[],
            subject=f"{DISPATCH_HEADER}: {subject}",
            text=f"Message-ID: <mine>\r\n{body}",
            html="<p>Message-ID: none</p>",
            attachments=[Attachment("a.txt", "text/plain", b"\r\n\r\nMessage-ID: <no>\r\n")],
        ).mime

    before = sealed("a" * 32)
    after = renamed(before, "b" * 32, f"<{'b' * 32}@portal.example>")
    changed = [
        pair
        for pair in zip(before.split(b"\r\n"), after.split(b"\r\n"), strict=True)
        if pair[0] != pair[1]
    ]
    assert changed == [
        (
            b"Message-ID: <%b@portal.example>" % (b"a" * 32),
            b"Message-ID: <%b@portal.example>" % (b"b" * 32),
        ),
        (f"{DISPATCH_HEADER}: {'a' * 32}".encode(), f"{DISPATCH_HEADER}: {'b' * 32}".encode()),
    ]


def test_what_nobody_sealed_is_not_renamed() -> None:
    with pytest.raises(ValueError, match="no frozen message"):
        renamed(b"Subject: Hello\r\n\r\nMessage-ID: <a@b>\r\n", "t", "<t@portal.example>")


@pytest.mark.sqlite_only
def test_gmail_tells_the_two_apart_by_their_tokens_alone(
    database: str, redis_url: str, local_google: "SandboxServer"
) -> None:
    pointed = servers.pointed_at(local_google.url)
    config = servers.config_of(DATABASE_URL=database, REDIS_URL=redis_url, **pointed)
    with servers.inside(config):
        connected(local_google.url)
        first = asked(document(author=tom()), tom())
        delivery.drain()
        again = dispatch.resend(dispatch.load(first.id), tom(), 2, WHY)
        delivery.drain()
        tokens = [first.token, again.token]
    took = requests.get(f"{local_google.url}/_sandbox/accepted", timeout=5).json()
    assert [one["headers"][DISPATCH_HEADER] for one in took] == tokens
    kept = ("From", "To", "Subject", "Content-Type")  # the last one names its boundary
    first_took, then_took = ([one["headers"][name] for name in kept] for one in took)
    assert first_took == then_took


# The sending


def test_the_same_message_leaves_once_more_under_its_own_number(
    app: Flask, gone: Callable[..., Dispatch]
) -> None:
    with app.app_context():
        first = gone()
        first.document.note_change("Title changed.", olive())
        db.session.commit()
        again = dispatch.resend(first, olive(), 2, WHY)
        assert (again.state, again.sending_number, again.requested_by) == ("queued", 2, olive())
        assert (again.resend_of_id, again.resend_reason) == (first.id, WHY)
        assert again.document_version == first.document_version < first.document.version
        assert dispatch.repeats(again) and again.mime != first.mime
        assert seal_of(again).whole and again.pdf_sha256 == first.pdf_sha256
        bears = message_from_bytes(again.mime, policy=default)
        assert bears[DISPATCH_HEADER] == again.token != first.token
        assert again.token in bears["Message-ID"]
        assert again.envelope().recipients == first.envelope().recipients
        assert f"Asked for once more, as sending 2. Why: {WHY}" in story(first)
        assert "the same message as sending 1" in story(again) and WHY in story(again)
        db.session.refresh(first.document)
        assert first.document.email_status == "queued"


@pytest.mark.sqlite_only
def test_it_can_be_taken_back_like_any_other(app: Flask, gone: Callable[..., Dispatch]) -> None:
    with app.app_context():
        first = gone()
        company().undo_seconds = 20
        again = dispatch.resend(first, tom(), 2, WHY)
        assert again.not_before and again.not_before > again.requested_at


def test_what_was_taken_back_does_not_make_a_document_unsent(
    app: Flask, gone: Callable[..., Dispatch]
) -> None:
    """Else the next batch sends it once more."""
    with app.app_context():
        first = gone()
        again = dispatch.resend(first, tom(), 2, WHY)
        dispatch.decide([again], Deed.CANCEL, tom())
        db.session.refresh(first.document)
        assert (again.state, first.document.email_status) == (State.CANCELLED, State.ACCEPTED)
        assert dispatch.came_back(first, tom(), "No such address.")
        db.session.refresh(first.document)
        assert first.document.email_status == State.RETURNED


def test_pressed_twice_it_is_one(app: Flask, gone: Callable[..., Dispatch]) -> None:
    with app.app_context():
        first = gone()
        pressed = [dispatch.resend(first, who, 2, WHY) for who in (tom(), tom(), olive())]
        assert len({one.id for one in pressed}) == 1
        assert db.session.query(Dispatch).count() == 2


def test_a_colleague_who_was_quicker_wins(
    app: Flask, gone: Callable[..., Dispatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.dispatch import resending

    with app.app_context():
        first = gone(State.UNKNOWN, needs_person=True)
        theirs = asked(first.document, olive(), number=2)
        seen: list[int] = []

        def too_early(of: Any, number: int) -> Dispatch | None:
            seen.append(number)
            return None if len(seen) == 1 else dispatch.numbered(of, number)

        monkeypatch.setattr(resending, "numbered", too_early)
        assert dispatch.resend(first, tom(), 2, WHY).id == theirs.id
        assert dispatch.load(first.id).state == State.UNKNOWN  # mine came too late to settle it


def test_an_unclear_one_is_settled_by_sending_it_again(
    app: Flask, gone: Callable[..., Dispatch]
) -> None:
    with app.app_context():
        first = gone(State.UNKNOWN, needs_person=True)
        again = dispatch.resend(first, tom(), 2, WHY)
        first = dispatch.load(first.id)
        assert first.never_known and not first.needs_person
        assert "Nobody could tell whether it left" in story(first)
        assert dispatch.needing_attention() == []
        assert again.state == State.QUEUED


def test_what_had_left_after_all_is_told_in_both_stories(
    app: Flask, gone: Callable[..., Dispatch]
) -> None:
    with app.app_context():
        handed_over = now() - timedelta(hours=2)
        first = gone(State.UNKNOWN, needs_person=True, handed_over_at=handed_over)
        assert not dispatch.turned_out(first, tom(), left=True)  # that is still to be settled
        again = dispatch.resend(first, tom(), 2, WHY)
        again.state, again.accepted_at = State.ACCEPTED, now()
        db.session.commit()
        assert dispatch.turned_out(first, nia(), left=True)
        first = dispatch.load(first.id)
        assert (first.state, first.accepted_at) == (State.ACCEPTED, handed_over)
        assert f"So {MARY} got it twice: sending 2 left too. Why it was sent again: {WHY}" in (
            story(first)
        )
        assert f"Sending 1 had left after all, so {MARY} got it twice." in story(again)
        assert dispatch.doubles(first) == [again] and dispatch.doubles(again) == [first]
        for left in (True, False):
            assert not dispatch.turned_out(first, olive(), left=left)


def test_what_still_waits_to_repeat_it_is_held_until_somebody_decides(
    app: Flask, gone: Callable[..., Dispatch]
) -> None:
    with app.app_context():
        first = gone(State.UNKNOWN, needs_person=True)
        again = dispatch.resend(first, tom(), 2, WHY)
        assert dispatch.turned_out(first, nia(), left=True)
        again = dispatch.load(again.id)
        assert again.held_by_hand and dispatch.release_ready() == 0
        assert "Sending 1 had left after all: this would be a second one." in story(again)
        assert dispatch.doubles(dispatch.load(first.id)) == []  # it need not become two
        dispatch.decide([again], Deed.CANCEL, tom())
        assert again.state == State.CANCELLED


def test_what_somebody_found_out_not_to_have_left_may_turn_out_otherwise_yet(
    app: Flask, gone: Callable[..., Dispatch]
) -> None:
    with app.app_context():
        first = gone(State.UNKNOWN, needs_person=True)
        again = dispatch.resend(first, tom(), 2, WHY)
        again.state, again.to = State.ACCEPTED, ["mary@work.example"]
        db.session.commit()
        assert dispatch.turned_out(first, tom(), left=False)
        first = dispatch.load(first.id)
        assert not first.never_known and "it did not leave" in story(first)
        assert dispatch.turned_out(first, tom(), left=True)
        first = dispatch.load(first.id)
        assert first.left_after_all and "twice" not in story(first)  # each went to another address


@pytest.mark.parametrize("state", [State.REFUSED, State.CANCELLED])
def test_once_it_left_after_all_no_batch_takes_it_up(
    app: Flask, gone: Callable[..., Dispatch], state: State
) -> None:
    with app.app_context():
        first = gone(State.UNKNOWN, needs_person=True)
        again = dispatch.resend(first, tom(), 2, WHY)
        dispatch.move(again.id, (State.QUEUED,), state)
        dispatch.turned_out(dispatch.load(first.id), tom(), left=True)
        db.session.refresh(first.document)
        assert first.document.email_status == State.ACCEPTED


@pytest.mark.sqlite_only
def test_only_what_has_ended_is_sent_again(app: Flask, gone: Callable[..., Dispatch]) -> None:
    with app.app_context():
        one = gone()
        for state in (State.QUEUED, State.SUBMITTING, State.HELD, State.UNKNOWN):
            one.state = state
            db.session.commit()
            with pytest.raises(Blocked, match="Something became of it"):
                dispatch.resend(one, tom(), 2, WHY)
        one.state, one.purpose = State.ACCEPTED, Purpose.TEST
        assert not dispatch.can_resend(one)
        assert db.session.query(Dispatch).count() == 1


def test_somebody_who_settles_it_meanwhile_is_heard(
    app: Flask, gone: Callable[..., Dispatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    from portal.dispatch import resending

    with app.app_context():
        first = gone(State.UNKNOWN, needs_person=True)
        real = resending.sender_now

        def slow(*given_: Any) -> Any:
            found = real(*given_)
            dispatch.settle(first, olive(), left=True)
            first.state, first.needs_person = State.UNKNOWN, True  # what my page still knows
            db.session.expire(first, ["state_since"])
            return found

        monkeypatch.setattr(resending, "sender_now", slow)
        with db.session.no_autoflush, pytest.raises(Blocked):
            dispatch.resend(first, tom(), 2, WHY)
        assert dispatch.load(first.id).state == State.ACCEPTED


# Who it comes from


def test_it_waits_while_its_address_is_not_ready(app: Flask, gone: Callable[..., Dispatch]) -> None:
    with app.app_context():
        first = gone()
        db.session.query(Mailbox).one().health = "needs_sign_in"
        db.session.commit()
        again = dispatch.resend(first, tom(), 2, WHY)
        assert (again.state, again.hold_code) == ("held", "mailbox")
        assert "sign in to Google again" in story(again)


def test_a_from_that_the_rules_no_longer_give_is_refused(
    app: Flask, gone: Callable[..., Dispatch]
) -> None:
    with app.app_context():
        set_rule("", Mode.USER)
        first = gone()
        assert first.from_email == "tom@brightspark.example"
        set_rule("", Mode.DEFAULT)
        for who in (tom(), nia()):
            with pytest.raises(Blocked) as blocked:
                dispatch.resend(first, who, 2, WHY)
            assert "by the rules of today it comes from office@" in str(blocked.value)
            db.session.rollback()
        assert dispatch.resend(first, olive(), 2, WHY).state == State.QUEUED  # who may choose it


def test_nobody_repeats_a_colleagues_mail_under_a_from_that_is_not_theirs(
    app: Flask, gone: Callable[..., Dispatch]
) -> None:
    with app.app_context():
        first = gone()
        again = dispatch.resend(first, nia(), 2, WHY)
        assert again.from_email == first.from_email == "office@brightspark.example"  # Nia's as well
        set_rule("", Mode.USER)
        toms = asked(document(author=tom()), tom())
        toms.state = State.ACCEPTED
        db.session.commit()
        with pytest.raises(Blocked, match="says it is from tom@"):
            dispatch.resend(toms, nia(), 2, WHY)
        company().one_off = "everyone"  # anybody may choose another From for one sending
        assert dispatch.resend(toms, nia(), 2, WHY).from_email == "tom@brightspark.example"


def test_one_at_a_time_is_sent_again(app: Flask, gone: Callable[..., Dispatch]) -> None:
    with app.app_context():
        first = gone()
        again = dispatch.resend(first, tom(), 2, WHY)
        for state in (State.QUEUED, State.SUBMITTING, State.HELD):
            again.state = state
            db.session.commit()
            with pytest.raises(Blocked, match="sending 2 has not left yet"):
                dispatch.resend(first, olive(), 3, WHY)
        again.state = State.CANCELLED
        db.session.commit()
        assert dispatch.resend(first, olive(), 3, WHY).state == State.QUEUED


@pytest.mark.sqlite_only
def test_a_message_to_more_than_one_mail_may_have_is_sent_as_a_fresh_one(
    app: Flask, gone: Callable[..., Dispatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    one_alone = app.config["PORTAL"].model_copy(update={"GMAIL_RECIPIENTS_MESSAGE": 1})
    with app.app_context():
        first = gone(cc=["bob@homes.example"])
        assert dispatch.obstacle_to(first, tom()) is None
        monkeypatch.setitem(app.config, "PORTAL", one_alone)
        with pytest.raises(Blocked, match="one e-mail may go to 1"):
            dispatch.resend(first, tom(), 2, WHY)


def test_the_mail_of_somebody_who_left_is_the_managers_to_send_again(
    app: Flask, gone: Callable[..., Dispatch]
) -> None:
    with app.app_context():
        set_rule("", Mode.USER)
        first = gone()
        tom().active = False
        db.session.commit()
        with pytest.raises(Blocked):
            dispatch.resend(first, nia(), 2, WHY)


# What the store says


def test_a_commit_whose_answer_was_lost_is_looked_up(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 2 of the failure matrix."""
    with app.app_context():
        office_mailbox()
        paper = document(author=tom())
        real = db.session.commit
        deaf: list[bool] = []

        def commit() -> None:
            asked_for = any(isinstance(one, Dispatch) for one in db.session.identity_map.values())
            real()
            if asked_for and not deaf:
                deaf.append(True)
                raise OperationalError("COMMIT", {}, Exception("server closed the connection"))

        monkeypatch.setattr(db.session, "commit", commit)
        one = dispatch.request(paper, tom(), wish())
        assert deaf and one.state == State.QUEUED
        assert dispatch.request(paper, tom(), wish()).id == one.id
        assert db.session.query(Dispatch).count() == 1


def test_bytes_that_changed_in_the_store_are_seen(
    app: Flask, gone: Callable[..., Dispatch]
) -> None:
    with app.app_context():
        one = gone()
        assert seal_of(one).whole
        one.mime = one.mime.replace(b"Hello", b"Hallo")
        assert not seal_of(one).whole and seal_of(one).pdf
        with pytest.raises(Blocked, match="changed in the database"):
            dispatch.resend(one, tom(), 2, WHY)
        one.mime_sha256 = hashlib.sha256(one.mime).hexdigest()
        one.pdf_sha256 = "0" * 64
        assert not seal_of(one).whole and seal_of(one).message


def story(one: Dispatch) -> str:
    db.session.expire(one, ["events"])
    return " ".join(event.text for event in one.events)
