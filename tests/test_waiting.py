"""What waits, and why: the decisions alone, then what the store says of a real queue."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from portal import alarms, batches, dispatch, instance, mailboxes
from portal.columns import now
from portal.dispatch import Deed, Dispatch, Lane, State, decide, deciding, waiting
from portal.dispatch.waiting import Group, Rest
from portal.documents import Document
from portal.extensions import db
from portal.people import company
from portal.senders import Trouble
from tests.factories import asked, bright_spark, document, nia, office_mailbox, olive, tom

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
moments = st.one_of(
    st.none(),
    st.integers(-7200, 7200).map(lambda seconds: NOON + timedelta(seconds=seconds)),
)


@given(st.booleans(), st.booleans(), moments, moments)
def test_a_mailbox_rests_for_the_first_reason_that_somebody_could_act_on(
    everything: bool, held: bool, paused: datetime | None, day: datetime | None
) -> None:
    found = waiting.resting(
        NOON, everything_held=everything, held=held, paused_until=paused, day_until=day
    )
    assert (found.why is Rest.EVERYTHING) == everything
    assert (found.why is Rest.HELD) == (held and not everything)
    if found.why in (Rest.PAUSED, Rest.DAY):  # nobody is told of a time that is over
        assert found.until is not None and found.until > NOON
        assert found.until == max(one for one in (paused, day) if one is not None)
    else:
        assert found.until is None
    if found.why is Rest.GOES_ON:
        assert all(one is None or one <= NOON for one in (paused, day))


@given(moments)
def test_a_last_press_still_counts_after_the_page_has_counted_to_nought(
    not_before: datetime | None,
) -> None:
    left = waiting.undo_left(not_before, NOON)
    if not_before is None or not_before <= NOON:
        assert left is None
    else:
        assert left is not None
        assert NOON + timedelta(seconds=left) <= max(not_before - timedelta(seconds=4), NOON)


@given(st.integers(0, 100_000), st.booleans(), st.booleans())
def test_the_page_asks_less_and_less_often(age: int, counting: bool, moving: bool) -> None:
    def every(seconds: int) -> int:
        return waiting.rhythm(timedelta(seconds=seconds), counting=counting, moving=moving)

    assert every(age) <= every(age + 1)
    assert waiting.rhythm(None) == every(100_000) or counting or moving
    assert every(age) == 1 if counting else every(age) in (1, 2, 5, 15)


@pytest.fixture
def office(app: Flask) -> Flask:
    with app.app_context():
        office_mailbox()
    return app


def numbers(group: Group, mailbox_id: int | None = None, after: str = "") -> list[str]:
    return [one.about for one in waiting.stretch(group, mailbox_id, after).rows]


def test_what_somebody_wants_gone_goes_before_what_waited_longer(office: Flask) -> None:
    with office.app_context():
        first, second, third = (asked(document(number=f"INV-{n}")) for n in (1, 2, 3))
        assert numbers(Group.QUEUE, 1) == ["INV-1", "INV-2", "INV-3"]
        assert [waiting.ahead_of(one) for one in (first, second, third)] == [0, 1, 2]
        decide([third], Deed.SEND_NOW, tom())
        assert numbers(Group.QUEUE, 1) == ["INV-3", "INV-1", "INV-2"]
        assert (waiting.ahead_of(third), waiting.ahead_of(second)) == (0, 2)
        assert third.lane == Lane.FIRST


def test_the_time_to_undo_is_given_to_what_a_person_sends_and_to_nothing_else(
    office: Flask,
) -> None:
    with office.app_context():
        company().undo_seconds = 20
        db.session.commit()
        by_hand = asked(document(number="INV-1"))
        test = asked(document(number="INV-2"), purpose=dispatch.Purpose.TEST)
        held = asked(document(number="INV-3"), nia())
        assert by_hand.not_before is not None and test.not_before is None
        assert 20 < (by_hand.not_before - now()).total_seconds() <= 25
        assert held.state == State.QUEUED  # the company's mailbox carries it
        assert numbers(Group.UNDO) == ["INV-1", "INV-3"]
        assert numbers(Group.QUEUE) == ["INV-2"]
        decide([by_hand], Deed.SEND_NOW, tom())
        assert numbers(Group.UNDO) == ["INV-3"] and numbers(Group.QUEUE) == ["INV-1", "INV-2"]
        decide([held], Deed.UNDO, nia())
        assert held.state == State.CANCELLED and waiting.count(Group.UNDO) == 0
        assert held.document.email_status == "cancelled"
        assert held.events[-1].text == "Taken back before it left."


def test_what_a_person_holds_is_let_go_by_a_person_alone(office: Flask) -> None:
    with office.app_context():
        one = asked()
        decide([one], Deed.HOLD, olive())
        assert dispatch.release_ready() == 0
        db.session.refresh(one)
        assert (one.state, one.hold_code) == (State.HELD, Trouble.MANAGER)
        assert one.state_note == "Olive Park holds it."
        assert one.document.email_status == "held"
        assert dispatch.needing_attention() == []  # somebody wants it so
        decide([one], Deed.LET_GO, olive())
        assert (one.state, one.hold_code, one.state_note) == (State.QUEUED, "", "")
        told = [(event.text, event.actor) for event in one.events][1:]
        assert told == [("Held by hand.", "Olive Park"), ("Let go.", "Olive Park")]


def test_a_managers_hold_binds_and_ones_own_does_not(office: Flask) -> None:
    with office.app_context():
        one = asked()
        decide([one], Deed.HOLD, tom())
        assert decide([one], Deed.LET_GO, tom()).done == [one]
        decide([one], Deed.HOLD, tom())
        assert decide([one], Deed.HOLD, olive()).done == [one]  # over what Tom held himself
        for deed in Deed:
            assert decide([one], deed, tom()).refused == [one]
        for deed in Deed:  # nor where his page was a moment old
            assert not deciding.DEEDS[deed](one, tom())
        assert (one.state, one.hold_code) == (State.HELD, Trouble.MANAGER)
        assert numbers(Group.PERSON) == [one.about] and numbers(Group.HELD) == []
        assert decide([one], Deed.SEND_NOW, olive()).done == [one]
        assert (one.state, one.hold_code) == (State.QUEUED, "")


def test_what_is_let_go_and_not_ready_waits_for_that_as_ever(office: Flask) -> None:
    with office.app_context():
        one = asked()
        decide([one], Deed.HOLD, olive())
        box = db.session.get_one(mailboxes.Mailbox, 1)
        box.health = mailboxes.Health.NEEDS_SIGN_IN
        db.session.commit()
        decide([one], Deed.LET_GO, olive())
        assert (one.state, one.hold_code) == (State.HELD, Trouble.MAILBOX)
        box.health = mailboxes.Health.CONNECTED
        db.session.commit()
        assert dispatch.release_ready() == 1


def test_what_somebody_holds_raises_no_alarm(office: Flask) -> None:
    with office.app_context():
        one, box = asked(), db.session.get_one(mailboxes.Mailbox, 1)
        one.queued_at = now() - timedelta(hours=2)
        db.session.commit()
        assert len(alarms.stuck()) == 1
        mailboxes.hold(box, olive())
        assert alarms.stuck() == []
        mailboxes.let_go(box, olive())
        instance.hold_all(olive())
        assert alarms.stuck() == []
        instance.let_go(olive())
        assert len(alarms.stuck()) == 1


@pytest.mark.parametrize("state", [State.SUBMITTING, State.ACCEPTED, State.UNKNOWN])
def test_what_has_left_meanwhile_is_left_alone(office: Flask, state: State) -> None:
    with office.app_context():
        one = asked()
        one.state = state
        db.session.commit()
        for deed in Deed:
            decided = decide([one], deed, olive())
            assert decided.late == [one] and not decided.done
        assert one.state == state and len(one.events) == 1


def test_nobody_decides_about_what_somebody_else_asked_for_but_a_manager(office: Flask) -> None:
    with office.app_context():
        one, other = asked(document(number="INV-1")), asked(document(number="INV-2"), nia())
        decided = decide([one, other], Deed.HOLD, nia())
        assert (decided.refused, decided.done) == ([one], [other])
        assert decide([one], Deed.HOLD, olive()).done == [one]


def test_a_long_queue_is_read_in_stretches_that_lose_and_repeat_nothing(
    office: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "ROWS", 2)
    with office.app_context():
        made = [asked(document(number=f"INV-{n}")) for n in range(1, 6)]
        decide([made[4]], Deed.SEND_NOW, olive())
        found = waiting.stretch(Group.QUEUE, 1)
        read = [one.about for one in found.rows]
        while found.after:
            found = waiting.stretch(Group.QUEUE, 1, found.after)
            read += [one.about for one in found.rows]
        assert read == ["INV-5", "INV-1", "INV-2", "INV-3", "INV-4"]
        assert numbers(Group.QUEUE, 1, "nonsense") == ["INV-5", "INV-1"]


def test_a_batch_is_counted_by_mailbox_and_not_listed(office: Flask) -> None:
    with office.app_context():
        bright_spark()
        for number in range(3):
            document(number=f"INV-{number}", author=olive())
        batch = batches.make("October", olive())
        batches.fill(batch, select(Document.id), olive())
        batches.check(batch, olive())
        batches.complete(batch, olive(), batch.version)
        (line,) = batches.still_waiting()
        assert (line.mailbox_id, line["pending"], line.to_leave, line.total) == (1, 3, 3, 3)
        batches.prepare()
        made = list(db.session.scalars(select(Dispatch).order_by(Dispatch.id)))
        made[0].state = State.ACCEPTED
        decide(made[1:2], Deed.HOLD, olive())
        (line,) = batches.still_waiting()
        assert (line[State.QUEUED], line[State.HELD], line[State.ACCEPTED]) == (1, 1, 1)
        assert numbers(Group.QUEUE) == [] and waiting.count(Group.QUEUE) == 1
        assert numbers(Group.PERSON) == [made[1].about]
        for one in made:
            one.state = State.ACCEPTED
        db.session.commit()
        assert batches.still_waiting() == []
