"""Did she get it? Each situation of the office's own guide, and what only the portal can see, comes
to the right verdict, and no verdict says more than is known."""

import ast
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from portal import batches, bounces, inquiry
from portal.bounces import Arrival, Inbox, Standing, Tie
from portal.checks import Problem
from portal.columns import now
from portal.dispatch import Dispatch, Proof, State
from portal.documents import Document, Draft, keep
from portal.envelope import Mailable
from portal.extensions import db
from portal.health import Said
from portal.incoming import Reason, Sort, Verdict
from portal.inquiry import Facts, Inquiry, Kind, Light, examine
from portal.inquiry.facts import (
    Addressee,
    Box,
    Came,
    Domain,
    Item,
    Paper,
    Queue,
    Sending,
    Undelivered,
    span,
)
from portal.recipients import Recipient, Recipients
from portal.senders import Choice, Mode
from tests import factories
from tests.factories import ACCOUNTS, MARY, OFFICE
from tests.test_cli import run
from tests.visitor import visitor

AT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)  # 15:00 in Sydney
FINE, BROKEN = Said("connected", "Connected", "Yes"), Said("sign_in", "Needs you", "No", "Sign in.")

LEFT = AT - timedelta(hours=4, minutes=18)  # 10:42


def paper(**changes: Any) -> Paper:
    known = {"email_status": "accepted", **changes}
    return Paper(1, "INV-0042", "invoice", "Mary Lee", "Mary", **known)


def sending(state: str = "accepted", number: int = 1, **changes: Any) -> Sending:
    left = state in ("accepted", "returned")
    known: dict[str, Any] = {
        "id": number,
        "number": number,
        "state": state,
        "since": LEFT,
        "asked_at": LEFT - timedelta(minutes=1),
        "queued_at": LEFT - timedelta(minutes=1),
        "asked_by": "Tom Baker",
        "from_email": ACCOUNTS,
        "reason": "Company rule: invoices come from accounts@.",
        "to": (MARY,),
        "subject": "Invoice INV-0042",
        "mailbox_id": 1,
        "provider": "Gmail",
        "accepted_at": LEFT if left else None,
        "handed_over_at": LEFT if left or state == "unknown" else None,
        "proof": "matches" if left else "unread",
        "proof_from": ACCOUNTS if left else "",
    }
    return Sending(**known | changes)


def box(**changes: Any) -> Box:
    known = {"looked_at": AT - timedelta(minutes=1), **changes}
    return Box(1, OFFICE, "Gmail", **{"said": FINE, **known})


def mail(sort: Sort, *failed: Undelivered, number: int = 1, **changes: Any) -> Came:
    known: dict[str, Any] = {"at": LEFT + timedelta(minutes=2), "who": "Mary Lee", **changes}
    return Came(number, sort, failed=failed, **known)


def failed(reason: Reason, verdict: Verdict = Verdict.HARD, email: str = MARY) -> Undelivered:
    return Undelivered(email, verdict, reason, "550 5.1.1 No such user")


MARY_GETS_IT = Recipients((Recipient(MARY, "Mary Lee", "marked Billing"),))
READY = Choice(Mailable(ACCOUNTS, "Bright Spark"), 1, OFFICE, Mode.SPECIFIED, "Because.")


def facts(*sendings: Sending, **changes: Any) -> Facts:
    """What is known where all is well: Mary's invoice, and the office's mailbox, read lately."""
    known: dict[str, Any] = {
        "paper": paper(),
        "should": MARY_GETS_IT,
        "mark": "Email Invoice",
        "choice": READY,
        "addressees": (Addressee(MARY, "To", "marked Billing", "Mary Lee", 1),),
        "sendings": sendings,
        "box": box(),
        "domain": Domain("brightspark.example", "good", "In order"),
    }
    return Facts(AT, ZoneInfo("Australia/Sydney"), **known | changes)


def unsent(status: str = "pending", *problems: Problem, **changes: Any) -> Facts:
    """The same before anything was sent. changes: of the paper, or of the facts."""
    of_facts = {name: changes.pop(name) for name in ("should", "addressees") if name in changes}
    return facts(paper=paper(email_status=status, **changes), problems=problems, **of_facts)


NOVEMBER: dict[str, Any] = {"batch_id": 3, "batch_name": "November"}
NOBODY: dict[str, Any] = {"should": Recipients(()), "addressees": ()}
NO_BILLING = Problem("no_recipient", "12 Hill St has no billing contact.", "Mark one.", "property")
SIGN_IN = f"{OFFICE} needs someone to sign in to Google again."
BROKEN_BOX = box(said=BROKEN, sends=False, why_not=SIGN_IN)
SLIP = Problem("slip", "“gmial.com” looks like a slip of the keys.", "Ask.", "contact", False)
STUCK = Queue("", "ok", None, AT - timedelta(hours=2), f"The provider keeps {OFFICE} waiting.")

#: Each situation: what is known, the verdict, how its sentence goes, the step that says why, its
#: light, and the record that puts it right ("" where nothing does).
SITUATIONS: dict[str, tuple[Facts, Kind, str, str, Light, str]] = {
    # Step 1 of the guide: the batch and e-mail statuses.
    "draft, nobody to send it to": (
        unsent("n/a", NO_BILLING, batch_status="draft", **NOVEMBER, **NOBODY),
        Kind.NEVER, "No: its batch “November” is still a draft", "paper", Light.BAD, "batch",
    ),
    "draft, not completed": (
        unsent(batch_status="draft", **NOVEMBER),
        Kind.NEVER, "No: its batch “November” is still a draft", "paper", Light.BAD, "batch",
    ),
    "completed, left out": (
        unsent(batch_status="completed", item=Item("left", "Mary has no address.", "Add one."),
               **NOVEMBER),
        Kind.NEVER, "No: the batch “November” was completed without it", "paper", Light.BAD,
        "batch",
    ),
    "completed, being prepared": (
        unsent(batch_status="completed", item=Item("pending"), **NOVEMBER),
        Kind.NOT_YET, "Not yet: “November” was completed", "paper", Light.GOOD, "",
    ),
    "completed, in the queue for more than an hour": (
        facts(sending("queued"), queue=STUCK),
        Kind.NOT_YET, "Not yet: it is in the queue since 10:41", "waiting", Light.BAD, "settings",
    ),
    "completed, in the queue, about to leave": (
        facts(sending("queued")),
        Kind.NOT_YET, "Not yet: it is in the queue since 10:41", "waiting", Light.WARN, "",
    ),
    "sent, and not received": (
        facts(sending()),
        Kind.LIKELY,
        f"Most likely: Gmail accepted it at 10:42, from {ACCOUNTS}, and nothing has come back in "
        "4 hours.",
        "came", Light.GOOD, "",
    ),
    "never put into a batch": (
        unsent(), Kind.NEVER, "No: it was never sent.", "paper", Light.GOOD, "",
    ),
    # Step 2: the sender in Administration.
    "no sender is set": (
        unsent("pending", Problem("no_sender", "No mailbox is connected.", "Ask.", "settings")),
        Kind.NEVER, "No: it was never sent.", "sender", Light.BAD, "settings",
    ),
    "its domain is not set up": (
        facts(sending(), domain=Domain("brightspark.example", "bad", "Does not pass")),
        Kind.LIKELY, "Most likely:", "sender", Light.WARN, "domain",
    ),
    # Step 3: the sender's mailbox.
    "the mailbox's password was changed": (
        facts(sending("held", note=SIGN_IN), box=BROKEN_BOX),
        Kind.NOT_YET, "Not yet: it is on hold since 10:42.", "mailbox", Light.BAD, "settings",
    ),
    "the sender's address is not verified": (
        facts(sending("held", note="nia@ is not verified in Gmail yet.")),
        Kind.NOT_YET, "Not yet: it is on hold since 10:42.", "leaving", Light.BAD, "sending",
    ),
    # Step 4: the contact.
    "the address is no address": (
        unsent("pending", addressees=(
            Addressee("mary@", "To", "", problems=(Problem("bad_recipient", "“mary@” is not …"),)),
        )),
        Kind.NEVER, "No: it was never sent.", "addresses", Light.BAD, "",
    ),
    "the address is misspelt": (
        facts(sending(), addressees=(Addressee("m@gmial.com", "To", "", problems=(SLIP,)),)),
        Kind.LIKELY, "Most likely:", "addresses", Light.WARN, "contact",
    ),
    # Step 5: the property's contacts.
    "nobody is ticked at the property": (
        unsent("n/a", NO_BILLING, **NOBODY),
        Kind.NEVER, "No: it was never sent, since there is nobody to send it to.",
        "people", Light.BAD, "property",
    ),
    "somebody else is ticked by now": (
        facts(sending(to=("bob@homes.example",))),
        Kind.LIKELY, "Most likely:", "people", Light.WARN, "send",
    ),
    # What only the portal sees.
    "it came back: no such address": (
        facts(sending("returned"), came=(mail(Sort.BOUNCE, failed(Reason.NO_SUCH_ADDRESS)),)),
        Kind.NO, "No: it came back at 10:44. This address does not exist.",
        "came", Light.BAD, "sending",
    ),
    "it came back: their spam protection": (
        facts(sending("returned"),
              came=(mail(Sort.BOUNCE, failed(Reason.BLOCKED, Verdict.POLICY)),)),
        Kind.NO, "No: it came back at 10:44. Their spam protection turned the message away",
        "came", Light.BAD, "domain",
    ),
    "it came back from one of two": (
        facts(sending("returned", cc=("bob@homes.example",)),
              came=(mail(Sort.BOUNCE, failed(Reason.MAILBOX_FULL, Verdict.SOFT)),)),
        Kind.NO, f"Not everybody: it came back from {MARY} at 10:44. Their mailbox is full.",
        "came", Light.BAD, "sending",
    ),
    "somebody found that it came back": (
        facts(sending("returned", note="Box full.")),
        Kind.NO, "No: it came back at 10:42.", "leaving", Light.GOOD, "",
    ),
    "she replied": (
        facts(sending(), came=(mail(Sort.REPLY),)),
        Kind.YES, "Yes: Mary Lee replied at 10:44.", "came", Light.GOOD, "",
    ),
    "her server confirmed it": (
        facts(sending(), came=(mail(Sort.DELIVERED),)),
        Kind.YES, "Yes: it was confirmed at 10:44 that it arrived.", "came", Light.GOOD, "",
    ),
    "she is on holiday": (
        facts(sending(), came=(mail(Sort.AUTO_REPLY),)),
        Kind.LIKELY, "Almost certainly: an automatic answer came from Mary Lee at 10:44.",
        "came", Light.GOOD, "",
    ),
    "her server asks who we are": (
        facts(sending(), came=(mail(Sort.CHALLENGE, link="https://mail.example/7"),)),
        Kind.NOT_YET, "Not yet: Mary Lee holds it back", "came", Light.BAD, "mail",
    ),
    "her server does not answer": (
        facts(sending(), came=(mail(Sort.DELAY),)),
        Kind.NOT_YET, "Not yet: the customer’s mail server had not taken it at 10:44.",
        "came", Light.WARN, "",
    ),
    "a report that may be about it": (
        facts(sending(),
              came=(mail(Sort.BOUNCE, failed(Reason.NO_SUCH_ADDRESS), doubtful=True),)),
        Kind.UNCLEAR, "Perhaps not: a report came in at 10:44 that may be about it.",
        "came", Light.BAD, "sending",
    ),
    "the inbox may not be read": (
        facts(sending(), box=box(readable=False)),
        Kind.LEFT, "Whether it came back cannot be seen here.", "came", Light.WARN, "settings",
    ),
    "the inbox cannot be read just now": (
        facts(sending(), box=box(looked_at=None, inbox_problem="It does not answer.")),
        Kind.LEFT, "Whether it came back cannot be seen here.", "came", Light.WARN, "settings",
    ),
    "the inbox was not read since": (
        facts(sending(), box=box(looked_at=LEFT - timedelta(minutes=5))),
        Kind.LEFT, "Whether it came back cannot be seen here.", "came", Light.OPEN, "",
    ),
    "the inbox was read long ago": (
        facts(sending(), box=box(looked_at=LEFT + timedelta(minutes=30))),
        Kind.LEFT, "Nothing had come back when its inbox was last read, at 11:12.",
        "came", Light.GOOD, "",
    ),
    "it left a moment ago": (
        facts(sending(accepted_at=AT - timedelta(minutes=3))),
        Kind.LEFT, "Nothing has come back so far.", "came", Light.GOOD, "",
    ),
    "it left from another address": (
        facts(sending(proof="differs", proof_from=OFFICE)),
        Kind.LIKELY, f"from {OFFICE}", "leaving", Light.BAD, "settings",
    ),
    "it was refused": (
        facts(sending("refused", note="The message is too large.")),
        Kind.NO, "No: Gmail refused it, so it did not leave.", "leaving", Light.BAD, "send",
    ),
    "it was cancelled": (
        facts(sending("cancelled")),
        Kind.NEVER, "No: it was cancelled, so it never left.", "leaving", Light.BAD, "send",
    ),
    "somebody holds it": (
        facts(sending("held", held_by_hand=True, note="Olive Park holds it.")),
        Kind.NOT_YET, "Not yet: it is on hold since 10:42.", "leaving", Light.BAD, "outbox",
    ),
    "the answer got lost": (
        facts(sending("unknown")),
        Kind.UNCLEAR, "Unclear: the connection broke", "leaving", Light.WARN, "",
    ),
    "nobody can tell": (
        facts(sending("unknown", needs_person=True)),
        Kind.UNCLEAR, "Unclear: nobody can tell whether it left", "leaving", Light.BAD, "sending",
    ),
    "it left before the backup": (
        unsent(lost=True), Kind.UNCLEAR, "Unclear: it left before the portal’s database was "
        "restored", "leaving", Light.OPEN, "",
    ),
    "it was changed after it was sent": (
        facts(sending(), paper=paper(version=2, changed_at=AT - timedelta(hours=1))),
        Kind.LIKELY, "Most likely:", "paper", Light.WARN, "send",
    ),
}  # fmt: skip


def step(found: Inquiry, name: str) -> inquiry.Step:
    return next(one for one in found.steps if one.name == name)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_every_situation_comes_to_its_verdict(situation: str) -> None:
    known, kind, says, name, light, fix = SITUATIONS[situation]
    found = examine(known)
    assert found.verdict.kind == kind, found.verdict
    assert says in found.verdict.sentence
    told = step(found, name)
    assert told.light == light, told
    assert fix in {one.fix for one in told.problems} or not (fix or told.problems)
    assert found.verdict.phone.startswith(("We ", "Our ", "Your "))


def test_the_sentence_never_says_more_than_the_newest_word() -> None:
    """It came back, and later somebody answered all the same: then it had arrived."""
    bounce = mail(Sort.BOUNCE, failed(Reason.NO_SUCH_ADDRESS, email="bob@homes.example"))
    both = facts(sending("returned", cc=("bob@homes.example",)), came=(mail(Sort.REPLY), bounce))
    assert examine(both).verdict.kind == Kind.YES
    assert "came back for somebody else" in examine(both).verdict.more


def test_an_earlier_sending_that_left_tells_more_than_one_that_waits() -> None:
    found = examine(facts(sending("held", 2, note="Held."), sending()))
    assert found.verdict.kind == Kind.LIKELY
    assert found.verdict.more.endswith("That was sending 1; sending 2: on hold.")
    waits = examine(facts(sending("queued", 2), sending("returned")))
    assert waits.verdict.kind == Kind.NOT_YET


@pytest.mark.parametrize(
    ("known", "says"),
    [
        (Queue("Olive Park holds all mail, so nothing leaves."), "Olive Park holds all mail"),
        (Queue(service="no_worker"), "The sending service cannot be reached"),
        (Queue(expected=AT + timedelta(minutes=20)), "expected to leave at 15:20"),
        (STUCK, f"The provider keeps {OFFICE} waiting."),
    ],
)
def test_what_waits_says_why_and_until_when(known: Queue, says: str) -> None:
    assert says in examine(facts(sending("queued"), queue=known)).verdict.more


def test_a_limit_says_until_when() -> None:
    full = Said("paused", "Limit reached until 16:00", "Not now. It goes on by itself at 16:00.")
    found = examine(facts(sending("queued"), box=box(sends=False, said=full)))
    assert "Limit reached until 16:00" in found.verdict.more


def test_the_words_for_the_phone_say_where_to_look() -> None:
    words = examine(facts(sending())).verdict.phone
    for said in ("Monday 23 November at 10:42", MARY, ACCOUNTS, "“Invoice INV-0042”", "spam"):
        assert said in words


def test_the_words_for_the_phone_fit_what_is_known() -> None:
    late, asked = (
        examine(facts(sending(), came=(mail(sort),))) for sort in (Sort.DELAY, Sort.CHALLENGE)
    )
    assert "your mail system has not taken it yet" in late.verdict.phone
    assert "until we have answered a question" in asked.verdict.phone
    returned = sending("returned")
    for reason, verdict, says in (
        (Reason.NO_SUCH_ADDRESS, Verdict.HARD, "spell the right e-mail address"),
        (Reason.MAILBOX_FULL, Verdict.SOFT, "your mailbox is full"),
        (Reason.BLOCKED, Verdict.POLICY, f"let mail from {ACCOUNTS} through"),
    ):
        found = examine(facts(returned, came=(mail(Sort.BOUNCE, failed(reason, verdict)),)))
        assert says in found.verdict.phone


def test_how_long_is_said_as_one_says_it() -> None:
    lengths = [timedelta(seconds=20), timedelta(minutes=1), timedelta(hours=47), timedelta(days=2)]
    said = ["less than a minute", "1 minute", "47 hours", "2 days"]
    assert [span(one) for one in lengths] == said


SOME_MAIL = st.builds(
    mail,
    st.sampled_from([one for one in Sort if one is not Sort.OTHER]),
    st.builds(failed, st.sampled_from(Reason), st.sampled_from(Verdict)),
    doubtful=st.booleans(),
    at=st.integers(-600, 200_000).map(lambda seconds: LEFT + timedelta(seconds=seconds)),
)
SOME_BOX = st.builds(
    box,
    readable=st.booleans(),
    looked_at=st.none() | st.integers(-9, 200).map(lambda m: LEFT + timedelta(minutes=m)),
    inbox_problem=st.sampled_from(["", "It does not answer."]),
)
SOME_SENDING = st.builds(
    sending,
    st.sampled_from(["accepted"] * 6 + [str(one) for one in State]),
    needs_person=st.booleans(),
    accepted_at=st.sampled_from([None, LEFT]),
)


@given(SOME_SENDING, st.lists(SOME_MAIL, max_size=2), SOME_BOX | st.none())
def test_it_says_yes_only_where_somebody_answered(
    one: Sending, came: list[Came], seen: Box | None
) -> None:
    """And that nothing came back only where that would have been seen."""
    found = examine(facts(one, came=tuple(came), box=seen))
    sentence = found.verdict.sentence
    answered = {mail.sort for mail in came if not mail.doubtful} & {Sort.REPLY, Sort.DELIVERED}
    assert found.verdict.kind != Kind.YES or answered
    if "othing ha" in sentence:
        assert seen and seen.readable and seen.looked_at and seen.looked_at > LEFT
    assert sentence.endswith(".") and len(found.steps) == 8
    assert "None" not in repr((found.verdict.phone, found.verdict.more))


def test_the_judging_is_pure() -> None:
    folder = Path(inquiry.__file__ or "").parent
    for name in ("facts", "steps", "verdicts", "spoken", "plain"):
        tree = ast.parse((folder / f"{name}.py").read_text())
        used = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        impure = ("flask", "sqlalchemy", "portal.columns", "portal.extensions", "portal.bounces")
        assert not {one for one in used if str(one).startswith(impure)}, name


# From the store


@pytest.fixture
def sent(app: Flask) -> Iterator[Dispatch]:
    """Mary's invoice, accepted yesterday from the office's mailbox, whose inbox is read."""
    with app.app_context():
        box_ = factories.office_mailbox()
        one = factories.asked(factories.document(site=factories.hill_st()))
        one.state, one.proof, one.proof_from = State.ACCEPTED, Proof.MATCHES, one.from_email
        one.accepted_at = one.handed_over_at = now() - timedelta(days=1)
        one.document.email_status = "accepted"
        db.session.add(Inbox(mailbox_id=box_.id, looked_at=now(), pending=[]))
        db.session.commit()
        yield one
        db.session.rollback()


def arrive(one: Dispatch, sort: Sort, **known: Any) -> Arrival:
    given_ = {"standing": Standing.FOLLOWED, "tied_by": Tie.TOKEN, "at": now(), **known}
    made = Arrival(mailbox_id=one.mailbox_id, provider_id=f"{sort}", sort=sort, **given_)
    made.dispatch_id, made.sender, made.sender_name = one.id, MARY, "Mary Lee"
    db.session.add(made)
    db.session.commit()
    return made


def test_everything_known_is_gathered_from_the_store(sent: Dispatch) -> None:
    found = inquiry.inquire(sent.document, factories.tom())
    assert found.verdict.kind == Kind.LIKELY
    assert "Gmail accepted it" in found.verdict.sentence and "24 hours" in found.verdict.sentence
    assert {one.light for one in found.steps} == {Light.GOOD}
    ticks = step(found, "people").evidence[-1]
    assert (ticks.label, ticks.text) == (
        "At 12 Hill St",
        "Mary Lee: Primary, Billing, Email Invoice",
    )
    arrive(sent, Sort.REPLY, link="https://mail.example/9")
    found = inquiry.inquire(sent.document, None)
    assert found.verdict.kind == Kind.YES and found.verdict.link == "https://mail.example/9"


def test_an_address_that_moved_to_somebody_else_is_noticed(sent: Dispatch) -> None:
    mary_ = sent.document.contact
    mary_.email = "mary@new.example"
    db.session.flush()
    factories.contact(business="Copper & Co", email=MARY, type="supplier")
    found = inquiry.inquire(sent.document)
    assert step(found, "addresses").problems[0].code == "other_holder"
    assert step(found, "people").problems[0].code == "others_now"
    assert "mary@new.example" in step(found, "people").problems[0].message


def test_the_story_tells_who_changed_what_and_what_was_frozen(sent: Dispatch) -> None:
    document = sent.document
    same = {one.name: getattr(document, one.name) for one in fields(Draft) if one.name != "lines"}
    lines = tuple(one.facts() for one in document.lines)
    changed = {**same, "lines": lines, "notes": "Ring first.", "title": "A new boiler"}
    keep(Draft(**changed), factories.olive(), document)
    db.session.commit()
    told = inquiry.story(document, [sent])
    assert (told[0].text, told[0].actor) == ("Changed: its title and the notes.", "Olive Park")
    frozen = next(one for one in told if one.frozen)
    assert frozen.sending is sent and "asked for" in frozen.text
    assert told[-1].text == "Written."
    told_of = step(inquiry.inquire(document), "paper")
    assert told_of.light == Light.WARN and "after Send was pressed" in told_of.finding


def test_a_caution_is_told_before_the_next_sending_and_in_a_batch(app: Flask) -> None:
    with app.app_context():
        factories.office_mailbox()
        bounce = {"email": MARY, "verdict": "hard", "reason": "no_such_address", "words": "550"}
        one = factories.asked(factories.document(site=factories.hill_st()))
        bounces.cautions.put(bounce, datetime(2026, 11, 2, 20, tzinfo=UTC), one.id)
        db.session.commit()
        olive = factories.olive()
        fresh = factories.document(site=factories.hill_st(), author=olive)
        batch = batches.make("November", olive)
        batches.fill(batch, select(Document.id).where(Document.id == fresh.id), olive)
        batches.check(batch, olive)
        [item] = batches.items(batch, "", 0, 5)
        assert (item.state, item.problem_code) == ("ready", "came_back")
        assert item.problem == f"Mail to {MARY} came back on 3 Nov: this address does not exist."
        assert item.fix == f"contact:{fresh.contact_id}"
        assert step(inquiry.inquire(fresh), "addresses").problems[0].code == "came_back"
        db.session.rollback()


def test_a_slip_of_the_keys_is_asked_about_before_the_sending_and_in_a_batch(app: Flask) -> None:
    with app.app_context():
        factories.office_mailbox()
        olive = factories.olive()
        fresh = factories.document(author=olive)
        fresh.contact.email = "mary@gmial.com"
        db.session.commit()
        batch = batches.make("November", olive)
        batches.fill(batch, select(Document.id).where(Document.id == fresh.id), olive)
        batches.check(batch, olive)
        [item] = batches.items(batch, "", 0, 5)
        assert (item.state, item.problem_code) == ("ready", "slip")
        assert item.problem.endswith("Did you mean mary@gmail.com?")
        assert item.fix == f"contact:{fresh.contact_id}"
        assert step(inquiry.inquire(fresh), "addresses").problems[0].code == "slip"
        number, draft = fresh.id, f"/batches/{batch.id}"
        db.session.rollback()
    to_put_right, _, _ = visitor(app, factories.olive).words(draft).partition("All invoices")
    assert "Did you mean mary@gmail.com?" in to_put_right and "Nothing." not in to_put_right
    page = visitor(app, factories.tom).words(f"/documents/{number}/dispatches/new")
    assert "Did you mean mary@gmail.com?" in page and "send it all the same" in page


def test_the_command_says_it_and_ends_accordingly(app: Flask, sent: Dispatch) -> None:
    number = sent.document.number
    done = run(app, "check", "delivery", number.lower().replace("-", ""))
    assert done.exit_code == 0, done.output
    assert f"Invoice {number} for Mary Lee\nMost likely: Gmail accepted it" in done.output
    assert "[ok] Who should receive it" in done.output
    assert "To say on the phone: We e-mailed" in done.output
    one = db.session.get_one(Dispatch, 1)
    one.state, one.state_note = State.RETURNED, "This address does not exist."
    db.session.commit()
    assert run(app, "check", "delivery", number).exit_code == 1
    nothing = run(app, "check", "delivery", "INV-9999")
    assert nothing.exit_code == 2 and "No document has the number INV-9999." in nothing.output
