"""A batch on its way through the local Google: beside other mail, and within what Gmail allows."""

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from portal import batches
from portal.batches import Batch, ItemState
from portal.dispatch import Dispatch, Lane, Proof, State
from portal.documents import Document
from portal.envelope import DISPATCH_HEADER
from portal.extensions import db
from portal.mailboxes import Mailbox
from tests import factories
from tests.test_delivery import app, google, office, work

if TYPE_CHECKING:
    from tests.test_delivery import Google

__all__ = ["app", "google", "office"]  # the fixtures are that other test's


def completed(how_many: int) -> Batch:
    olive = factories.olive()
    for _ in range(how_many):
        factories.document()
    batch = batches.make("Month end", olive)
    batches.fill(batch, select(Document.id), olive)
    batches.check(batch, olive)
    batches.complete(batch, olive, batch.version)
    return batch


def test_a_batch_leaves_each_once_and_its_from_is_proved(office: Mailbox, google: "Google") -> None:
    batch = completed(12)
    work()
    tokens = [one["headers"][DISPATCH_HEADER] for one in google.accepted()]
    assert len(tokens) == len(set(tokens)) == 12
    how_far = batches.progress(batch)
    assert how_far.finished and how_far.accepted == 12 and how_far.done_by is None
    assert how_far.per_minute > 0
    proofs = db.session.scalars(select(Dispatch.proof).distinct()).all()
    assert proofs == [Proof.MATCHES]


def test_the_first_mail_leaves_before_the_last_is_frozen(office: Mailbox, google: "Google") -> None:
    completed(60)
    work()
    first_gone = db.session.scalar(select(func.min(Dispatch.accepted_at)))
    last_frozen = db.session.scalar(select(func.max(Dispatch.requested_at)))
    assert first_gone is not None and last_frozen is not None
    assert first_gone < last_frozen


def test_a_quote_sent_by_hand_overtakes_a_batch_that_waits(
    office: Mailbox, google: "Google"
) -> None:
    batch = completed(5)
    batches.prepare()
    quote = factories.asked(factories.document("quote"))
    assert quote.lane == Lane.PERSON
    work()
    tokens = [one["headers"][DISPATCH_HEADER] for one in google.accepted()]
    assert tokens[0] == quote.token and len(tokens) == 6
    assert batches.results(batch)[State.ACCEPTED] == 5


def test_one_refused_invoice_is_tried_again_alone(office: Mailbox, google: "Google") -> None:
    google.fault("drafts.send", "refuse", times=1)
    batch = completed(4)
    work()
    sheet = batches.results(batch)
    assert (sheet[State.ACCEPTED], sheet[State.REFUSED], sheet.failures) == (3, 1, 1)
    olive = factories.olive()
    again = batches.retry(batch, olive)
    batches.check(again, olive)
    batches.complete(again, olive, again.version)
    work()
    assert [one.state for one in batches.items(again)] == [ItemState.SENT]
    assert batches.results(again)[State.ACCEPTED] == 1
    assert len(google.accepted()) == 4
