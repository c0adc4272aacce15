"""What must be right before a document is sent: each problem is named, with how to mend it."""

from collections.abc import Iterator

import pytest
from flask import Flask

from portal import dispatch
from portal.checks import PREFLIGHT, Sending, preflight
from portal.dispatch import Blocked, Dispatch
from portal.documents import LARGEST_FILES, Document, DocumentFile
from portal.envelope import Mailable
from portal.extensions import db
from portal.places import PropertyContact
from portal.senders import Choice, Mode, Trouble
from tests import factories

READY = Choice(Mailable("office@brightspark.example"), 1, "office@…", Mode.DEFAULT, "Because.")
HELD = Choice(Mailable("nia@brightspark.example"), None, "", Mode.USER, "Because.",
              Trouble.NOT_LINKED, "No connected mailbox may send as nia@.")  # fmt: skip
NOBODY = Choice(None, None, "", Mode.DEFAULT, "Because.", Trouble.NO_MAILBOX, "No mailbox yet.")
MARY = ("mary.lee@homes.example",)


@pytest.fixture
def invoice(app: Flask) -> Iterator[Document]:
    with app.app_context():
        yield factories.document()
        db.session.rollback()


def codes(sending: Sending) -> list[str]:
    return [problem.code for problem in preflight(sending)]


def test_nothing_is_wrong_with_a_proper_invoice(invoice: Document) -> None:
    assert preflight(Sending(invoice, READY, MARY)) == []


@pytest.mark.parametrize(
    ("to", "cc", "expected"),
    [
        ((), (), ["no_recipient"]),
        (("mary",), (), ["bad_recipient"]),
        (MARY, ("sam@",), ["bad_recipient"]),
        (("mary@homes.example\r\nBcc: thief@evil.example",), (), ["bad_recipient"]),
    ],
)
def test_recipients_are_checked(
    invoice: Document, to: tuple[str, ...], cc: tuple[str, ...], expected: list[str]
) -> None:
    assert codes(Sending(invoice, READY, to, cc)) == expected


def test_one_message_goes_to_no_more_people_than_gmail_takes(
    app: Flask, invoice: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = app.config["PORTAL"].model_copy(update={"GMAIL_RECIPIENTS_MESSAGE": 2})
    monkeypatch.setitem(app.config, "PORTAL", two)
    assert codes(Sending(invoice, READY, MARY, ("a@homes.example", "MARY.LEE@homes.example"))) == []
    [crowd] = preflight(Sending(invoice, READY, MARY, ("a@homes.example", "b@homes.example")))
    assert (crowd.code, crowd.blocking) == ("too_many_recipients", True)
    assert crowd.message == "It would go to 3 addresses at once; one e-mail may go to 2."


LEFT = Choice(None, None, "", Mode.ACCOUNT_MANAGER, "Because.",
              Trouble.MANAGER_LEFT, "Nia Cole no longer works here.")  # fmt: skip


def test_every_lack_of_a_recipient_names_the_record_that_puts_it_right(app: Flask) -> None:
    with app.app_context():
        where = factories.hill_st()
        invoice = factories.document(site=where)
        [mary] = where.contacts

        def found() -> list[tuple[str, str, int, bool]]:
            to = tuple(one.email for one in invoice.recipients().to)
            problems = preflight(Sending(invoice, READY, to))
            return [(one.code, one.fix, one.contact_id, one.blocking) for one in problems]

        assert found() == []
        mary.billing = False
        assert found() == [("no_recipient", "property", 0, True)]
        mary.billing, mary.email_invoice = True, False
        assert found() == [("no_recipient", "property", 0, True)]
        mary.email_invoice, mary.contact.email = True, ""
        assert found() == [("no_recipient", "contact", mary.contact_id, True)]
        bob = factories.contact(first_name="Bob", last_name="Lee", email="bob@homes.example")
        where.contacts.append(PropertyContact(contact=bob, billing=True, email_invoice=True))
        mary.billing = False
        assert found() == [("no_copy", "contact", mary.contact_id, False)]
        db.session.rollback()


def test_an_account_manager_is_put_right_at_the_property(app: Flask) -> None:
    with app.app_context():
        at_hill_st = factories.document(site=factories.hill_st())
        [problem] = preflight(Sending(at_hill_st, LEFT, MARY))
        assert (problem.code, problem.fix, problem.blocking) == ("no_sender", "property", True)
        [problem] = preflight(Sending(factories.document(), LEFT, MARY))
        assert (problem.fix, problem.hint) == ("document", "Choose its property.")


def test_a_priced_document_needs_lines_and_a_job_does_not(app: Flask) -> None:
    with app.app_context():
        contact = factories.mary()
        empty = factories.document("invoice", contact=contact, lines=())
        assert codes(Sending(empty, READY, MARY)) == ["no_lines"]
        job = factories.document("job", contact=contact, lines=())
        assert codes(Sending(job, READY, MARY)) == []
        db.session.rollback()


def test_files_that_no_mail_carries_are_refused_early(invoice: Document) -> None:
    half = LARGEST_FILES // 2 + 1
    for n in range(2):
        file = DocumentFile(filename=f"{n}.pdf", content_type="application/pdf", size=half)
        file.content = b"%PDF"
        invoice.files.append(file)
    assert codes(Sending(invoice, READY, MARY)) == ["files_too_large"]


def test_a_sender_that_is_not_ready_is_told_but_does_not_block(invoice: Document) -> None:
    [problem] = preflight(Sending(invoice, HELD, MARY))
    assert (problem.code, problem.blocking) == ("sender_not_linked", False)
    assert "never leaves from another address" in problem.hint
    [problem] = preflight(Sending(invoice, NOBODY, MARY))
    assert (problem.code, problem.blocking) == ("no_sender", True)


def test_everything_wrong_is_told_at_once_and_in_order(app: Flask) -> None:
    with app.app_context():
        empty = factories.document(contact=factories.mary(""), lines=())
        assert codes(Sending(empty, NOBODY, ())) == ["no_lines", "no_recipient", "no_sender"]
        for problem in preflight(Sending(empty, NOBODY, ())):
            assert problem.message.endswith(".") and problem.hint.endswith(".") and problem.fix
        db.session.rollback()
    assert len(PREFLIGHT) == 10


def test_what_is_blocked_stores_nothing(invoice: Document) -> None:
    with pytest.raises(Blocked) as blocked:
        dispatch.request(invoice, factories.tom(), factories.wish(to="mary"))
    assert [one.code for one in blocked.value.problems] == ["bad_recipient", "no_sender"]
    db.session.rollback()
    assert db.session.query(Dispatch).count() == 0
