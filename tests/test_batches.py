"""A batch sends nothing before it is completed, and then exactly what was checked, each once."""

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from sqlalchemy import event, func, select, update

from portal import accounts, batches, dispatch, policy
from portal.accounts import User
from portal.batches import Batch, BatchItem, BatchStatus, Checked, ItemState, NotNow, freezing
from portal.batches.results import HEADINGS, safe
from portal.columns import db_now
from portal.dispatch import Dispatch, Lane, State, claiming
from portal.documents import Document, DocumentFile
from portal.documents.mail import Words, keep_templates
from portal.extensions import db
from portal.mailboxes import Mailbox
from portal.people import company
from portal.places import PropertyContact
from portal.senders import Mode, Place, Scope
from tests import factories, servers
from tests.asking import queries
from tests.factories import MARY, OFFICE

if TYPE_CHECKING:
    from portal.config import Config

TOM = "tom@brightspark.example"
STATES = list(ItemState)


@pytest.fixture
def app(config: "Config") -> Iterator[Flask]:
    """The portal on one of the stores, inside an app context."""
    with servers.inside(config) as made:
        yield made


@pytest.fixture
def olive(app: Flask) -> User:
    """The office manager, with the company's mailbox: office@ and tom@ may be sent from."""
    factories.office_mailbox()
    return factories.olive()


def batch_of(olive: User, *documents: Document, kind: str = "invoice") -> Batch:
    """A draft that holds these."""
    made = batches.make("Month end", olive, kind)
    batches.fill(made, chosen(*documents), olive)
    return made


def chosen(*documents: Document) -> Any:
    return select(Document.id).where(Document.id.in_([one.id for one in documents]))


def checked(olive: User, *documents: Document) -> Batch:
    made = batch_of(olive, *documents)
    batches.check(made, olive)
    return made


def completed(olive: User, *documents: Document) -> Batch:
    made = checked(olive, *documents)
    batches.complete(made, olive, made.version)
    return made


def item(batch: Batch, document: Document) -> BatchItem:
    db.session.expire_all()
    query = select(BatchItem).where(BatchItem.batch_id == batch.id)
    return db.session.scalars(query.where(BatchItem.document_id == document.id)).one()


def states(batch: Batch) -> dict[str, int]:
    query = select(BatchItem.state, func.count()).where(BatchItem.batch_id == batch.id)
    return {row[0]: row[1] for row in db.session.execute(query.group_by(BatchItem.state))}


def dispatches() -> int:
    return db.session.scalar(select(func.count()).select_from(Dispatch)) or 0


# -- drafts ----------------------------------------------------------------------------------------


def test_a_draft_is_called_after_its_month_and_can_be_called_otherwise(olive: User) -> None:
    draft = batches.make(" ", olive)
    assert draft.name.startswith("Invoices, ") and draft.is_draft
    batches.rename(draft, "  North,   October ", olive)
    assert draft.name == "North, October"
    with pytest.raises(NotNow, match="needs a name"):
        batches.rename(draft, "  ", olive)


def test_nothing_is_generated_or_sent_before_a_batch_is_completed(olive: User) -> None:
    invoice = factories.document()
    draft = checked(olive, invoice)
    assert batches.prepare() == 0
    assert dispatches() == 0
    db.session.refresh(invoice)
    assert (invoice.batch_id, invoice.batch_status) == (draft.id, BatchStatus.DRAFT)
    assert invoice.email_status == "pending"


def test_filling_says_what_it_left_out_and_why(olive: User) -> None:
    free, sent, taken = (factories.document() for _ in range(3))
    order = factories.document("purchase_order", contact=factories.copper())
    factories.asked(sent)
    batch_of(olive, taken)
    draft = batches.make("November", olive)
    filled = batches.fill(draft, chosen(free, sent, taken, order), olive)
    assert (filled.added, filled.elsewhere, filled.sent_already) == (1, 1, 1)
    again = batches.fill(draft, chosen(free, sent, taken, order), olive)
    assert (again.added, again.elsewhere, again.sent_already) == (0, 1, 1)
    assert [one.document_id for one in batches.items(draft)] == [free.id]


def test_a_document_whose_mail_came_back_can_be_in_a_batch_again(olive: User) -> None:
    invoice = factories.document()
    asked = factories.asked(invoice)
    factories.cancelled(asked, olive)
    assert batches.fill(batches.make("Again", olive), chosen(invoice), olive).added == 1


def test_two_who_fill_at_once_never_take_the_same_document(app: Flask, olive: User) -> None:
    for _ in range(12):
        factories.document()
    drafts = [batches.make(name, olive).id for name in ("Olive's", "Tom's")]
    start = threading.Barrier(2)
    added: list[int] = []

    def fill(batch_id: int) -> None:
        with app.app_context():
            draft, user = db.session.get_one(Batch, batch_id), factories.olive()
            db.session.commit()
            start.wait()
            added.append(batches.fill(draft, select(Document.id), user).added)

    threads = [threading.Thread(target=fill, args=(one,)) for one in drafts]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert sorted(added) == [0, 12]
    assert db.session.scalar(select(func.count()).select_from(BatchItem)) == 12


def test_what_is_taken_out_can_go_into_another_batch(olive: User) -> None:
    first, second = factories.document(), factories.document()
    draft = batch_of(olive, first, second)
    assert batches.remove(draft, [item(draft, first).id], olive) == 1
    db.session.refresh(first)
    assert (first.batch_id, first.batch_status) == (None, "")
    other = batch_of(olive, first)
    assert states(other) == {ItemState.UNCHECKED: 1}
    batches.discard(draft, olive)
    db.session.refresh(second)
    assert (second.batch_id, second.batch_status) == (None, "")
    assert [one.batch.id for one in batches.listed()] == [other.id]


def test_taking_out_what_was_tried_again_leaves_it_in_its_first_batch(olive: User) -> None:
    invoice = factories.document(lines=())
    first = checked(olive, invoice, factories.document())
    batches.complete(first, olive, first.version)
    again = batches.retry(first, olive)
    batches.discard(again, olive)
    db.session.refresh(invoice)
    assert (invoice.batch_id, invoice.batch_status) == (first.id, BatchStatus.COMPLETED)


def test_a_completed_batch_takes_no_more_and_gives_nothing_back(olive: User) -> None:
    invoice = factories.document()
    done = completed(olive, invoice)
    for deed in (
        lambda: batches.fill(done, chosen(factories.document()), olive),
        lambda: batches.remove(done, [item(done, invoice).id], olive),
        lambda: batches.discard(done, olive),
        lambda: batches.check_again(done),
    ):
        with pytest.raises(NotNow, match="no draft any more"):
            deed()
    assert states(done) == {ItemState.PENDING: 1}


# -- checking --------------------------------------------------------------------------------------


def test_each_trouble_blocks_its_own_invoice_and_the_rest_go(olive: User) -> None:
    mary, tom = factories.mary(), factories.tom()
    left = factories.person("lars", "Lars Holm")
    accounts.end(left)
    harbour = factories.contact(business="Harbour Strata Management")
    nobody = factories.site("3 Bay Rd", manager=tom)
    managed = factories.site("5 Hill St", manager=left, billing=mary)
    well = factories.site("12 Hill St", manager=tom, billing=mary)
    policy.set_rule("invoice", Mode.ACCOUNT_MANAGER)
    fine = factories.document(site=well)
    lineless = factories.document(site=well, lines=())
    unbilled, left_alone = factories.document(site=nobody), factories.document(site=managed)
    homeless = factories.document(contact=harbour, site=None)
    draft = checked(olive, fine, lineless, unbilled, left_alone, homeless)
    assert item(draft, fine).state == ItemState.READY
    told = {
        one.document_id: (one.problem_code, one.problem, one.fix)
        for one in batches.items(draft, "blocked")
    }
    assert told == {
        lineless.id: (
            "no_lines",
            f"{lineless.number} has no lines, so there is nothing to charge for.",
            f"document:{lineless.id}",
        ),
        unbilled.id: (
            "nobody_marked",
            "No contact of 3 Bay Rd is marked Email Invoice.",
            f"property:{nobody.id}",
        ),
        left_alone.id: (
            "sender_manager_left",
            "Lars Holm, the account manager of 5 Hill St, no longer works here.",
            f"property:{managed.id}",
        ),
        homeless.id: (
            "no_address",
            "Harbour Strata Management has no e-mail address.",
            f"contact:{harbour.id}",
        ),
    }
    batches.complete(draft, olive, draft.version)
    assert states(draft) == {ItemState.PENDING: 1, ItemState.LEFT: 4}


def test_a_fix_in_a_batch_is_one_that_a_batch_has(olive: User) -> None:
    """No To can be written here, and marking somebody takes one round, not two."""
    nobody = factories.site("3 Bay Rd")
    unbilled = factories.site("5 Hill St")
    unbilled.contacts.append(PropertyContact(contact=factories.mary(), email_invoice=True))
    db.session.commit()
    draft = checked(olive, factories.document(site=nobody), factories.document(site=unbilled))
    hints = {one.problem_code: one.hint for one in batches.items(draft, "blocked")}
    assert hints["nobody_marked"].endswith("for an invoice as Billing too.")
    assert hints["no_billing"] == "Mark one of them as Billing too."


@pytest.mark.sqlite_only
def test_an_invoice_for_more_people_than_one_mail_may_have_is_told_by_the_check(
    app: Flask, olive: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowd = factories.hill_st()
    bob = factories.contact(first_name="Bob", last_name="Lee", email="bob@homes.example")
    crowd.contacts.append(PropertyContact(contact=bob, email_invoice=True))
    one_alone = app.config["PORTAL"].model_copy(update={"GMAIL_RECIPIENTS_MESSAGE": 1})
    monkeypatch.setitem(app.config, "PORTAL", one_alone)
    draft = checked(olive, factories.document(site=crowd))
    [found] = batches.items(draft, "blocked")
    assert found.problem == "It would go to 2 addresses at once; one e-mail may go to 1."
    assert found.hint == "Mark fewer contacts at the property, or send it from its own page."
    assert found.fix == f"property:{crowd.id}"


def test_what_it_comes_to_is_stored_with_its_reasons(olive: User) -> None:
    mary = factories.mary()
    place = factories.site("12 Hill St", factories.branch(), billing=mary)
    invoice = factories.document(site=place)
    photo = DocumentFile(filename="meter.jpg", content_type="image/jpeg", size=1000, content=b"")
    invoice.files.append(photo)
    db.session.commit()
    found = item(checked(olive, invoice), invoice)
    assert (found.sender_email, found.sender_name) == (OFFICE, "Bright Spark Plumbing")
    assert found.reason == "Company rule: every document comes from the company mailbox."
    assert (found.to, found.cc) == ([MARY], [])
    assert found.why == "marked Billing and Email Invoice at 12 Hill St"
    assert 41_000 < found.size < 60_000
    assert found.document_version == invoice.version


def test_a_sender_that_is_not_ready_makes_wait_and_not_block(olive: User) -> None:
    policy.set_rule("", Mode.SPECIFIED, "nia@brightspark.example")
    invoice = factories.document()
    draft = checked(olive, invoice)
    found = item(draft, invoice)
    assert (found.state, found.problem_code) == (ItemState.WAITS, "sender_not_linked")
    assert found.hint == "It stays on hold until that is put right, then goes out by itself."
    [sender] = batches.summary(draft).senders
    assert (sender.email, sender.count, sender.waits) == ("nia@brightspark.example", 1, 1)
    batches.complete(draft, olive, draft.version)
    batches.prepare()
    assert item(draft, invoice).dispatch.state == State.HELD  # type: ignore[union-attr]


def test_an_invoice_sent_on_its_own_meanwhile_is_not_sent_by_the_batch(olive: User) -> None:
    invoice = factories.document()
    draft = batch_of(olive, invoice)
    factories.asked(invoice)
    batches.check(draft, olive)
    found = item(draft, invoice)
    assert (found.state, found.problem_code) == (ItemState.BLOCKED, "already_sent")


def test_checking_goes_on_in_stretches_and_begins_again_when_asked(olive: User) -> None:
    draft = batch_of(olive, *(factories.document() for _ in range(5)))
    steps = [batches.check(draft, olive, size=2) for _ in range(3)]
    assert steps == [Checked(2, 5), Checked(4, 5), Checked(5, 5)]
    version = draft.version
    assert batches.check(draft, olive).finished and draft.version == version
    batches.check_again(draft)
    assert states(draft) == {ItemState.UNCHECKED: 5}


def test_checking_asks_as_much_for_many_as_for_few(olive: User) -> None:
    place = factories.site("12 Hill St", factories.branch(), billing=factories.mary())
    few = batch_of(olive, *(factories.document(site=place) for _ in range(2)))
    many = batch_of(olive, *(factories.document(site=place) for _ in range(12)))
    asked = queries(lambda: batches.check(few, olive))
    assert queries(lambda: batches.check(many, olive)) <= asked


def over_two_branches(olive: User) -> tuple[Document, Document]:
    """An invoice of Newcastle, which has a rule of its own, and one of Gosford."""
    north, south = factories.branch("Newcastle"), factories.branch("Gosford")
    mary = factories.mary()
    policy.set_rule("", Mode.SPECIFIED, TOM, place=Place(Scope.BRANCH, north.id, north.name))
    first = factories.document(site=factories.site("12 Hill St", north, billing=mary))
    second = factories.document(site=factories.site("3 Bay Rd", south, billing=mary))
    return first, second


def test_in_a_batch_over_several_branches_each_invoice_goes_by_its_own_rules(olive: User) -> None:
    first, second = over_two_branches(olive)
    draft = checked(olive, first, second)
    assert [item(draft, one).sender_email for one in (first, second)] == [TOM, OFFICE]
    found = batches.summary(draft)
    assert found.branches == 2 and not found.company_only


def test_a_setting_lets_the_company_rule_take_over_for_several_branches(olive: User) -> None:
    first, second = over_two_branches(olive)
    company().mixed_batches = "company"
    db.session.commit()
    draft = checked(olive, first, second)
    assert [item(draft, one).sender_email for one in (first, second)] == [OFFICE, OFFICE]
    assert batches.summary(draft).company_only
    assert item(draft, first).reason.startswith("This batch covers several branches. Company rule")
    batches.complete(draft, olive, draft.version)
    batches.prepare()
    assert states(draft) == {ItemState.SENT: 2}
    assert {one.from_email for one in db.session.scalars(select(Dispatch))} == {OFFICE}


def test_with_one_branch_left_the_batch_is_checked_anew_by_that_branchs_rules(olive: User) -> None:
    first, second = over_two_branches(olive)
    company().mixed_batches = "company"
    db.session.commit()
    draft = checked(olive, first, second)
    batches.remove(draft, [item(draft, second).id], olive)
    assert states(draft) == {ItemState.UNCHECKED: 1}
    batches.check(draft, olive)
    assert item(draft, first).sender_email == TOM


# -- completing ------------------------------------------------------------------------------------


def test_completing_puts_the_ready_ones_in_the_queue_and_leaves_the_others(olive: User) -> None:
    ready, lineless = factories.document(), factories.document(lines=())
    draft = completed(olive, ready, lineless)
    assert (draft.status, draft.completed_by) == (BatchStatus.COMPLETED, olive)
    assert states(draft) == {ItemState.PENDING: 1, ItemState.LEFT: 1}
    for one in (ready, lineless):
        db.session.refresh(one)
    assert (ready.batch_status, ready.email_status) == (BatchStatus.COMPLETED, "queued")
    assert (lineless.batch_status, lineless.email_status) == (BatchStatus.COMPLETED, "pending")
    assert dispatches() == 0


def test_two_who_press_the_button_complete_it_once(app: Flask, olive: User) -> None:
    draft = checked(olive, factories.document())
    version, batch_id = draft.version, draft.id
    db.session.commit()
    start, refusals = threading.Barrier(3), []

    def press() -> None:
        with app.app_context():
            mine, user = db.session.get_one(Batch, batch_id), factories.olive()
            db.session.commit()
            start.wait()
            try:
                batches.complete(mine, user, version)
            except NotNow as problem:
                refusals.append(str(problem))

    threads = [threading.Thread(target=press) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    expected = "This batch was completed already, by Olive Park. Nothing was sent a second time."
    assert refusals == [expected] * 2


def test_a_page_that_shows_an_older_state_completes_nothing(olive: User) -> None:
    draft = checked(olive, factories.document())
    seen = draft.version
    batches.fill(draft, chosen(factories.document()), olive)
    batches.check(draft, olive)
    with pytest.raises(NotNow, match="changed while this page was open"):
        batches.complete(draft, olive, seen)
    assert draft.is_draft and states(draft) == {ItemState.READY: 2}


def test_a_batch_that_somebody_threw_away_cannot_be_completed(app: Flask, olive: User) -> None:
    draft = checked(olive, factories.document())
    batch_id, version = draft.id, draft.version
    db.session.commit()
    with app.app_context():  # another tab
        batches.discard(db.session.get_one(Batch, batch_id), factories.olive())
    with pytest.raises(NotNow, match="This batch was thrown away"):
        batches.complete(draft, olive, version)


def test_nothing_goes_while_some_are_unchecked_or_none_can_go(olive: User) -> None:
    draft = batch_of(olive, factories.document(), factories.document())
    batches.check(draft, olive, size=1)
    with pytest.raises(NotNow, match="still being checked"):
        batches.complete(draft, olive, draft.version)
    blocked = checked(olive, factories.document(lines=()))
    with pytest.raises(NotNow, match="Nothing in this batch can be sent yet"):
        batches.complete(blocked, olive, blocked.version)
    assert draft.is_draft and blocked.is_draft


def test_what_was_written_on_since_the_check_is_checked_anew_first(olive: User) -> None:
    invoice, other = factories.document(), factories.document()
    draft = checked(olive, invoice, other)
    invoice.note_change("A line was added.", olive)
    db.session.commit()
    with pytest.raises(NotNow, match="1 document was changed since the check"):
        batches.complete(draft, olive, draft.version)
    assert states(draft) == {ItemState.UNCHECKED: 1, ItemState.READY: 1}
    batches.check(draft, olive)
    batches.complete(draft, olive, draft.version)
    assert not draft.is_draft


def test_whoever_presses_send_is_whose_address_was_checked(olive: User) -> None:
    policy.set_rule("", Mode.USER)
    tom, invoice = factories.tom(), factories.document()
    draft = checked(olive, invoice)
    assert item(draft, invoice).sender_email == olive.email
    with pytest.raises(NotNow, match="somebody else than who checked it"):
        batches.complete(draft, tom, draft.version)
    batches.check(draft, tom)
    batches.complete(draft, tom, draft.version)
    batches.prepare()
    made = item(draft, invoice).dispatch
    assert made is not None and (made.from_email, made.requested_by) == (TOM, tom)


# -- freezing --------------------------------------------------------------------------------------


def test_each_is_frozen_as_it_was_checked_with_the_offices_wording(olive: User) -> None:
    keep_templates("invoice", Words("Invoice {{ document_number }}", "Hello", "{{ sender_name }}"))
    invoice = factories.document()
    done = completed(olive, invoice)
    assert batches.prepare() == 1
    made = item(done, invoice).dispatch
    assert made is not None
    assert (made.subject, made.body) == (f"Invoice {invoice.number}", "Hello\n\nOlive Park")
    assert (made.from_email, made.to, made.cc) == (OFFICE, [MARY], [])
    assert (made.batch_id, made.lane, made.state) == (done.id, Lane.BATCH, State.QUEUED)
    assert batches.prepare() == 0
    assert dispatches() == 1


def edit(olive: User, invoice: Document) -> None:
    invoice.note_change("Changed.", olive)


def other_sender(_olive: User, _invoice: Document) -> None:
    policy.set_rule("", Mode.SPECIFIED, TOM)


def other_address(_olive: User, invoice: Document) -> None:
    invoice.contact.email = "mary@lee.example"


def no_address(_olive: User, invoice: Document) -> None:
    invoice.contact.email = ""


def sent_alone(_olive: User, invoice: Document) -> None:
    factories.asked(invoice)


@pytest.mark.parametrize(
    ("meanwhile", "sentence", "status"),
    [
        (edit, "was changed after the check", "pending"),
        (other_sender, f"It would now come from {TOM} instead of {OFFICE}.", "pending"),
        (other_address, "It would now go to mary@lee.example.", "pending"),
        (no_address, "Mary Lee has no e-mail address.", "n/a"),
        (sent_alone, "It was sent without this batch", "queued"),
    ],
)
def test_what_changed_after_the_button_is_left_and_says_why(
    olive: User, meanwhile: Any, sentence: str, status: str
) -> None:
    invoice, other = factories.document(), factories.document(contact=factories.copper())
    done = completed(olive, invoice, other)
    meanwhile(olive, invoice)
    db.session.commit()
    before = dispatches()
    batches.prepare()
    found = item(done, invoice)
    assert (found.state, found.dispatch_id) == (ItemState.LEFT, None)
    assert sentence in found.problem
    assert invoice.email_status == status
    if meanwhile is not other_sender:
        assert item(done, other).state == ItemState.SENT
        assert dispatches() == before + 1


def test_wording_that_cannot_be_filled_in_leaves_the_invoice(
    olive: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_templates("invoice", Words("{% if title %}{% endif %}", "Hello", ""))
    invoice = factories.document()
    done = completed(olive, invoice)
    batches.prepare()
    found = item(done, invoice)
    assert (found.state, found.problem_code) == (ItemState.LEFT, "wording")
    assert "The subject comes out empty." in found.problem


class Killed(BaseException):
    """What a worker that is killed looks like from the inside."""


@pytest.mark.parametrize("where", ["_items", "_earlier", "_draw", "_mark_sent"])
def test_a_worker_that_dies_anywhere_loses_and_doubles_nothing(
    olive: User, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    documents = [factories.document() for _ in range(3)]
    done = completed(olive, *documents)

    def die(*_: Any, **__: Any) -> None:
        db.session.rollback()
        raise Killed

    monkeypatch.setattr(freezing, "FIRST", 3)
    with monkeypatch.context() as broken:
        broken.setattr(freezing, where, die)
        with pytest.raises(Killed):
            batches.prepare()
    assert batches.prepare() == 0  # the dead worker's lease still holds
    lease_runs_out()
    assert batches.prepare() == 3
    assert states(done) == {ItemState.SENT: 3}
    numbers = db.session.execute(select(Dispatch.document_id, Dispatch.sending_number)).all()
    assert sorted(numbers) == sorted((one.id, 1) for one in documents)


def lease_runs_out() -> None:
    db.session.execute(update(BatchItem).values(lease_until=None))
    db.session.commit()


def test_an_item_that_ends_every_worker_is_left_and_spoils_no_other(
    olive: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [factories.document() for _ in range(3)]
    done, deadly = completed(olive, *documents), documents[1].id
    frozen = dispatch.frozen

    def freeze(of: dispatch.Manuscript) -> Dispatch:
        if of.document_id == deadly:
            raise Killed
        return frozen(of)

    monkeypatch.setattr(dispatch, "frozen", freeze)
    for _ in range(freezing.MOST_TRIES + 2):
        with pytest.MonkeyPatch.context():
            try:
                batches.prepare()
            except Killed:
                lease_runs_out()
    assert states(done) == {ItemState.SENT: 2, ItemState.LEFT: 1}
    assert item(done, documents[1]).problem_code == "failed"


def test_an_unforeseen_failure_leaves_one_and_the_rest_go(
    olive: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [factories.document() for _ in range(3)]
    done, frozen = completed(olive, *documents), dispatch.frozen

    def freeze(of: dispatch.Manuscript) -> Dispatch:
        if of.document_id == documents[0].id:
            raise RuntimeError("a mistake of ours")
        return frozen(of)

    monkeypatch.setattr(dispatch, "frozen", freeze)
    batches.prepare()
    assert states(done) == {ItemState.SENT: 2, ItemState.LEFT: 1}
    assert item(done, documents[0]).problem == freezing.FAILED.message


def test_one_sent_by_hand_while_it_is_drawn_is_left_and_the_rest_go(
    app: Flask, olive: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [factories.document() for _ in range(3)]
    done, frozen = completed(olive, *documents), dispatch.frozen

    def send(document_id: int) -> None:
        with app.app_context():
            document = db.session.get_one(Document, document_id)
            dispatch.request(document, factories.olive(), factories.wish())

    def freeze(of: dispatch.Manuscript) -> Dispatch:
        if of.document_id == documents[1].id:
            monkeypatch.undo()
            tom = threading.Thread(target=send, args=[of.document_id])
            tom.start()
            tom.join(30)
        return frozen(of)

    monkeypatch.setattr(dispatch, "frozen", freeze)
    assert batches.prepare() == 3
    assert states(done) == {ItemState.SENT: 2, ItemState.LEFT: 1}
    assert item(done, documents[1]).problem == freezing.ALONE.message
    assert dispatches() == 3


def test_a_handful_asks_the_store_to_commit_as_often_as_one_invoice(
    olive: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freezing, "FIRST", freezing.HANDFUL)

    def commits(how_many: int) -> int:
        completed(olive, *(factories.document() for _ in range(how_many)))
        counted: list[object] = []
        count = counted.append
        event.listen(db.engine, "commit", count)
        assert batches.prepare() == how_many
        event.remove(db.engine, "commit", count)
        return len(counted)

    assert commits(freezing.HANDFUL) == commits(1)


def test_two_workers_side_by_side_freeze_each_once(app: Flask, olive: User) -> None:
    done = completed(olive, *(factories.document() for _ in range(40)))
    db.session.commit()
    start, dealt_with = threading.Barrier(3), []

    def work() -> None:
        with app.app_context():
            start.wait()
            dealt_with.append(batches.prepare())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert sum(dealt_with) == 40
    assert states(done) == {ItemState.SENT: 40}
    assert dispatches() == 40


def test_what_is_sent_by_hand_while_its_batch_goes_is_sent_once(app: Flask, olive: User) -> None:
    documents = [factories.document().id for _ in range(12)]
    done = completed(olive, *(db.session.get_one(Document, one) for one in documents))
    db.session.commit()
    start, failed = threading.Barrier(3), []

    def send(order: list[int]) -> None:
        """Somebody presses Send on every one of them, on pages that show its first sending."""
        start.wait(30)
        with app.app_context():
            user = factories.olive()
            for one in order:
                try:
                    dispatch.request(db.session.get_one(Document, one), user, factories.wish())
                except Exception as problem:
                    failed.append(problem)

    def work() -> None:
        start.wait(30)
        with app.app_context():
            batches.prepare()

    deeds: list[tuple[Any, ...]] = [(work,), (send, documents), (send, documents[::-1])]
    threads = [threading.Thread(target=deed, args=args, daemon=True) for deed, *args in deeds]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
    assert not failed
    db.session.expire_all()
    sent = [one.document_id or 0 for one in db.session.scalars(select(Dispatch))]
    assert sorted(sent) == documents
    assert set(db.session.scalars(select(Document.email_status))) == {State.QUEUED}
    assert sum(states(done).values()) == 12 and set(states(done)) <= {"sent", "left"}


def test_a_worker_without_time_gives_back_what_it_took(olive: User) -> None:
    done = completed(olive, *(factories.document() for _ in range(3)))
    ends = iter([False, False, True])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(freezing, "FIRST", 3)
        patch.setattr(freezing, "_over", lambda _: next(ends, True))
        assert batches.prepare() == 1
    assert states(done) == {ItemState.SENT: 1, ItemState.PENDING: 2}
    assert batches.prepare() == 2


def test_a_batch_can_be_stopped_and_what_had_not_left_is_not_sent(olive: User) -> None:
    unfrozen, queued, sent, busy = (factories.document() for _ in range(4))
    done = completed(olive, queued, sent, unfrozen, busy)
    hold = update(BatchItem).where(BatchItem.document_id.in_([unfrozen.id, busy.id]))
    db.session.execute(hold.values(lease_until=db_now(60)))
    batches.prepare()
    gone = item(done, sent).dispatch_id
    assert gone is not None
    dispatch.move(gone, (State.QUEUED,), State.ACCEPTED)
    db.session.execute(
        update(BatchItem).where(BatchItem.document_id == unfrozen.id).values(lease_until=None)
    )
    assert batches.stop(done, olive) == 2
    found = batches.results(done)
    assert found.counts == {"accepted": 1, "cancelled": 1, "left": 1, "pending": 1}
    assert item(done, unfrozen).problem == "Olive Park stopped the batch before it was sent."
    for one, status in ((unfrozen, "pending"), (queued, "cancelled"), (sent, "accepted")):
        db.session.refresh(one)
        assert one.email_status == status
    lease_runs_out()
    assert batches.prepare() == 1  # what a worker had in hand
    assert batches.stop(done, olive) == 1
    assert batches.retry(done, olive) is not None


# -- what became of it -----------------------------------------------------------------------------


def test_the_result_sheet_counts_and_a_retry_takes_up_just_the_failures(olive: User) -> None:
    documents = [factories.document() for _ in range(6)]
    lineless = factories.document(lines=())
    done = completed(olive, *documents, lineless)
    batches.prepare()
    ends = (
        State.ACCEPTED,
        State.HELD,
        State.REFUSED,
        State.RETURNED,
        State.CANCELLED,
        State.UNKNOWN,
    )
    for one, state in zip(documents, ends, strict=True):
        made = item(done, one).dispatch_id
        assert made is not None
        dispatch.move(made, (State.QUEUED,), state)
    db.session.commit()
    sheet = batches.results(done)
    assert sheet.total == 7 and sheet.failures == 4
    assert [sheet[one] for one in (*ends, "left")] == [1] * 7
    how_far = batches.progress(done)
    assert (how_far.frozen, how_far.left, how_far.pending) == (6, 1, 0)
    assert (how_far.accepted, how_far.held, how_far.failed, how_far.moving) == (1, 1, 3, 1)
    again = batches.retry(done, olive)
    failed = {documents[2].id, documents[3].id, documents[4].id, lineless.id}
    assert {one.document_id for one in batches.items(again)} == failed
    assert again.retry_of_id == done.id and batches.results(done).retries == [again]
    with pytest.raises(NotNow, match="nothing to try again"):
        batches.retry(done, olive)
    batches.check(again, olive)
    batches.complete(again, olive, again.version)
    batches.prepare()
    numbers = [one.dispatch.sending_number for one in batches.items(again, "sent") if one.dispatch]
    assert numbers == [2, 2, 2]


def test_groups_list_their_own(olive: User) -> None:
    fine, lineless = factories.document(), factories.document(lines=())
    draft = checked(olive, fine, lineless)

    def numbers(group: str) -> list[str]:
        return [one.document.number for one in batches.items(draft, group)]

    assert numbers("ready") == numbers(f"sender:{OFFICE}") == [fine.number]
    assert numbers("blocked") == numbers("problem:no_lines") == [lineless.number]
    assert numbers("no such group") == []
    first = batches.items(draft, limit=1)[0]
    assert [one.id for one in batches.items(draft, after=first.id)] == [item(draft, lineless).id]
    batches.complete(draft, olive, draft.version)
    batches.prepare()
    assert numbers("queued") == [fine.number]
    assert numbers("left") == [lineless.number]


def test_the_table_holds_every_document_and_no_formula(olive: User) -> None:
    crafty = factories.contact(business='=HYPERLINK("http://x.example")', email="x@x.example")
    invoice = factories.document(contact=crafty)
    done = completed(olive, invoice, factories.document(lines=()))
    batches.prepare()
    headings, first, second = batches.table(done)
    assert tuple(headings) == HEADINGS
    assert first[:2] == [invoice.number, """'=HYPERLINK("http://x.example")"""]
    assert (first[5], second[5]) == ("In queue", "Not sent")
    assert second[6].startswith(f"{second[0]} has no lines")


@pytest.mark.sqlite_only
def test_no_cell_can_be_taken_for_a_formula(store: str) -> None:
    for start in ("=1", "+1", "-1", "@x", "\t=1", "\r=1"):
        assert safe(start) == f"'{start}"
    assert safe("Mary = Lee") == "Mary = Lee"


def test_the_forecast_speaks_of_each_mailbox_and_of_what_goes_before(
    app: Flask, olive: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = app.config["PORTAL"].model_copy(update={"GMAIL_UNITS_PER_MINUTE": 6000})
    monkeypatch.setitem(app.config, "PORTAL", usual)
    box = db.session.scalars(select(Mailbox)).one()
    for _ in range(3):
        factories.asked()
    draft = checked(olive, *(factories.document() for _ in range(4)))
    [before] = batches.forecast(draft)
    assert (before.mailbox_email, before.waiting) == (box.email, 4)
    assert before.limits.per_minute == 46 and before.limits.per_day == 500
    box.hosted_domain = "brightspark.example"
    batches.complete(draft, olive, draft.version)
    [after] = batches.forecast(draft)
    assert (after.waiting, after.limits.per_day) == (4, 2000)
    batches.prepare()
    [frozen] = batches.forecast(draft)
    assert frozen.waiting == 4


# -- beside other work -----------------------------------------------------------------------------


def test_what_a_person_waits_for_goes_before_a_batch(olive: User) -> None:
    completed(olive, *(factories.document() for _ in range(3)))
    batches.prepare()
    asked = factories.asked(factories.document())
    box = db.session.scalars(select(Mailbox)).one()
    box.drain_holder = "a turn"
    db.session.commit()
    claim = claiming.claim_next(box.id, "a turn", "a worker", lease=60)
    assert claim is not None and claim.dispatch_id == asked.id
