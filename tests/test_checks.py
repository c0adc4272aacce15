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
    assert len(PREFLIGHT) == 6


def test_what_is_blocked_stores_nothing(invoice: Document) -> None:
    with pytest.raises(Blocked) as blocked:
        dispatch.request(invoice, factories.tom(), factories.wish(to="mary"))
    assert [one.code for one in blocked.value.problems] == ["bad_recipient", "no_sender"]
    db.session.rollback()
    assert db.session.query(Dispatch).count() == 0
