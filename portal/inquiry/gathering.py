"""Gathering: everything an inquiry looks at, read from the store in one place. Writes nothing."""

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select

from portal import accounts, alarms, bounces, checks, dispatch, domains, ledger, policy, queueing
from portal.accounts import User
from portal.batches import Batch, BatchItem
from portal.bounces import Arrival, Caution, Standing
from portal.checks import Problem, preflight
from portal.columns import now
from portal.dispatch import Dispatch, Lane, State, waiting
from portal.documents import Document, receivers
from portal.extensions import db
from portal.health import judge, said
from portal.incoming import Sort
from portal.inquiry.facts import (
    Addressee,
    Box,
    Came,
    Domain,
    Facts,
    Item,
    Paper,
    Queue,
    Sending,
    Undelivered,
    span,
    telling,
)
from portal.instance import Instance, lost_sendings
from portal.mailboxes import Mailbox
from portal.people import Contact, address_key, company
from portal.places import MARKS
from portal.providers.provider import Access
from portal.published import names
from portal.recipients import Recipients
from portal.senders import Choice, Mode, Trouble

#: So many of a provider's own words are shown.
MOST_WORDS = 5
DOMAIN_WORDS = {
    "good": "In order",
    "warn": "Passes, with something to improve",
    "bad": "Does not pass",
    "open": "Not known",
}


def facts_of(document: Document, asker: User | None) -> Facts:
    """Everything known of a document now. asker: who would press Send; None for a machine."""
    at, zone = now(), ZoneInfo(company().time_zone)
    sendings = _sendings(document)
    one = telling(sendings)
    should, choice = document.recipients(), _choice(document, asker)
    box = _box_of(one.mailbox_id if one else choice.mailbox_id or 0)
    email = one.from_email if one else choice.sender.email if choice.sender else ""
    return Facts(
        at=at,
        zone=zone,
        paper=_paper(document),
        should=should,
        mark=MARKS[document.kind],
        choice=choice,
        addressees=_addressees(document, one, should),
        contacts=tuple(receivers(where, document.kind)) if (where := document.property_) else (),
        problems=_problems(document, choice, should),
        sendings=sendings,
        came=tuple(_came(each) for each in reversed(bounces.of_document(document.id))),
        box=_box(box, zone, at) if box else None,
        domain=_domain(email) if email else None,
        queue=_queue(sendings, at),
    )


# -- the document --------------------------------------------------------------------------------


def _paper(one: Document) -> Paper:
    batch = db.session.get(Batch, one.batch_id) if one.batch_id else None
    changed, where = one.version > 1, one.property_
    return Paper(
        id=one.id,
        number=one.number,
        noun=one.kind_facts.noun,
        customer=one.contact.name,
        called=one.contact.first_name,
        email_status=one.email_status,
        version=one.version,
        batch_status=one.batch_status if batch else "",
        batch_id=batch.id if batch else 0,
        batch_name=batch.name if batch else "",
        item=_item(one, batch) if batch else None,
        changed_at=one.changed_at if changed else None,
        changed_by=one.changed_by.name if changed and one.changed_by else "",
        property_id=where.id if where else 0,
        property_name=where.name if where else "",
        lost=one.id in lost_sendings(),
    )


def _item(one: Document, batch: Batch) -> Item | None:
    mine = BatchItem.batch_id == batch.id, BatchItem.document_id == one.id
    found = db.session.scalar(select(BatchItem).where(*mine))
    return Item(found.state, found.problem, found.hint) if found else None


def _choice(document: Document, asker: User | None) -> Choice:
    """Who it would come from if it were sent now."""
    people = [asker, document.created_by, *accounts.active_people()]
    somebody = next((one for one in people if one is not None), None)
    if somebody is None:
        nobody = "Nobody can sign in here yet, so nobody can send it."
        return Choice(None, None, "", Mode.DEFAULT, "", Trouble.NO_MAILBOX, nobody)
    return policy.sender_of(document, somebody)


def _problems(document: Document, choice: Choice, should: Recipients) -> tuple[Problem, ...]:
    """What pre-flight would say of it now. Of its addresses each is looked at by itself."""
    to, cc = (tuple(one.email for one in some) for some in (should.to, should.cc))
    return tuple(preflight(checks.Sending(document, choice, to, cc)))


# -- who receives it -----------------------------------------------------------------------------


def _addressees(
    document: Document, sent: Sending | None, should: Recipients
) -> tuple[Addressee, ...]:
    """Everybody it went to, or would go to, each with what speaks against the address."""
    found: list[tuple[str, str, str]]
    if sent is not None:
        why = dict(sent.whys)
        pairs = [*(("To", one) for one in sent.to), *(("Cc", one) for one in sent.cc)]
        found = [(way, email, why.get(email, "written in by hand")) for way, email in pairs]
    else:
        found = [("To", one.email, f"{one.name}, {one.why}") for one in should.to]
        found += [("Cc", one.email, f"{one.name}, {one.why}") for one in should.cc]
    emails = [email for _, email, _ in found]
    cautions, holders = bounces.cautions_of(emails), _holders(emails)
    theirs = [document.contact]
    if document.property_ is not None:
        theirs += [one.contact for one in document.property_.contacts]
    return tuple(
        _addressee(way, email, why, holders.get(address_key(email)), theirs, cautions)
        for way, email, why in found
    )


def _holders(emails: list[str]) -> dict[str, Contact]:
    """Who holds each address, active or not, by address as it is compared."""
    keys = {address_key(one) for one in emails if one}
    found = db.session.scalars(select(Contact).where(Contact.email_key.in_(keys))) if keys else ()
    return {one.email_key: one for one in found if one.email_key}


def _addressee(
    way: str,
    email: str,
    why: str,
    holder: Contact | None,
    theirs: list[Contact],
    cautions: dict[str, Caution],
) -> Addressee:
    caution = cautions.get(address_key(email))
    found = (
        checks.is_address(email),
        checks.is_spelt(email, holder),
        checks.came_back(caution) if caution else None,
        checks.is_theirs(email, holder, theirs),
    )
    problems = tuple(one for one in found if one is not None)
    name, id_ = (holder.name, holder.id) if holder else ("", 0)
    return Addressee(email, way, why, name, id_, problems)


# -- what was sent, and what came in -------------------------------------------------------------


def _sendings(document: Document) -> tuple[Sending, ...]:
    """Its real sendings, newest first; of the telling one alone what the provider said."""
    rows = {one.id: one for one in dispatch.of_document(document) if not one.is_test}
    found = tuple(_sending(one) for one in rows.values())
    first = telling(found)
    with_words = (
        _sending(rows[one.id], _words(rows[one.id])) if one is first else one for one in found
    )
    return tuple(with_words)


def _sending(one: Dispatch, words: tuple[str, ...] = ()) -> Sending:
    return Sending(
        id=one.id,
        number=one.sending_number,
        state=one.state,
        since=one.state_since,
        asked_at=one.requested_at,
        queued_at=one.queued_at,
        asked_by=one.requested_by.name if one.requested_by_id else "",
        from_email=one.from_email,
        from_name=one.from_name,
        subject=one.subject,
        reason=one.reason,
        to=tuple(one.to),
        cc=tuple(one.cc),
        whys=tuple(one.recipients_why.items()),
        note=one.state_note,
        held_by_hand=one.held_by_hand,
        needs_person=one.needs_person,
        mailbox_id=one.mailbox_id or 0,
        provider=one.provider_name,
        handed_over_at=one.handed_over_at,
        accepted_at=one.accepted_at,
        not_before=one.not_before,
        proof=one.proof,
        proof_from=one.proof_from,
        version=one.document_version,
        attempts=one.attempt,
        words=words,
    )


def _words(one: Dispatch) -> tuple[str, ...]:
    """What the provider said at each attempt, the last first, each once."""
    said_ = (each.words for each in reversed(one.attempts) if each.words)
    return tuple(dict.fromkeys(said_))[:MOST_WORDS]


def _came(one: Arrival) -> Came:
    return Came(
        sending_id=one.dispatch_id or 0,
        sort=Sort(one.sort),
        at=one.at,
        who=one.who,
        failed=tuple(
            Undelivered(each["email"], each["verdict"], each["reason"], each["words"])
            for each in one.failed
        ),
        link=one.link,
        mailbox=one.mailbox.email,
        whole=one.whole,
        doubtful=one.standing == Standing.ASKED,
    )


# -- the mailbox, its domain, its queue ----------------------------------------------------------


def _box_of(mailbox_id: int) -> Mailbox | None:
    return db.session.get(Mailbox, mailbox_id) if mailbox_id else None


def _box(box: Mailbox, zone: ZoneInfo, at: datetime) -> Box:
    facts, watch = box.facts(ledger.full_until(box)), bounces.watch_of(box)

    def clock(moment: datetime) -> str:
        return f"{moment.astimezone(zone):%H:%M}"

    return Box(
        id=box.id,
        email=box.email,
        provider=box.provider_name,
        said=said(facts, at, clock, lambda moment: f"{span(at - moment)} ago"),
        sends=judge(facts, at).sends,
        why_not=box.why_not,
        readable=watch.access is not Access.NONE,
        heads=watch.access is Access.HEADERS,
        looked_at=watch.looked_at,
        inbox_problem=watch.problem,
    )


def _domain(email: str) -> Domain:
    name = names.domain_of(email)
    row, not_asked = domains.stored(name), domains.why_not_asked(name)
    if row is None or row.checked_at is None:
        return Domain(name, "open", not_asked.rstrip(".") or "Not looked up yet", not_asked)
    return Domain(name, row.tone, DOMAIN_WORDS[row.tone], not_asked, row.checked_at)


def _queue(sendings: tuple[Sending, ...], at: datetime) -> Queue:
    """What keeps the newest from leaving, where it is queued."""
    halted, one = _halted(), sendings[0] if sendings else None
    if one is None or one.state != State.QUEUED:
        return Queue(halted)
    row, box = dispatch.load(one.id), _box_of(one.mailbox_id)
    expected = None
    if box is not None and box.can_send:
        lane = Lane.BATCH if row.lane == Lane.BATCH else Lane.PERSON
        expected = ledger.expected(box, waiting.ahead_of(row), lane)
    stuck = None
    if at - one.queued_at > alarms.TOO_LONG:
        stuck = next((each for each in alarms.stuck() if each.mailbox.id == one.mailbox_id), None)
    if stuck is None:
        return Queue(halted, queueing.health(), expected)
    return Queue(halted, queueing.health(), expected, stuck.since, stuck.why)


def _halted() -> str:
    """Why nothing at all leaves, as one sentence; "" where mail may leave."""
    one = db.session.scalar(select(Instance))
    if one is None:
        return ""
    if one.stopped_at is not None:
        return f"Nothing is being sent: {one.stopped_why}"
    if one.held_at is None:
        return ""
    who = one.held_by.name if one.held_by else "Somebody"
    why = f" Why: {one.held_why}" if one.held_why else ""
    return f"{who} holds all mail, so nothing leaves.{why}"
