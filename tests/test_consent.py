"""Mail leaves under a person's address only while that very person agrees."""

from datetime import timedelta

import pytest
import requests
from flask import Flask
from sqlalchemy import select, update

from portal import accounts, agreement, attempts, consent, dispatch, links, policy
from portal.accounts import User
from portal.agreement import CannotAsk
from portal.approaches import set_up_department
from portal.columns import now
from portal.dispatch import Dispatch, State
from portal.extensions import db
from portal.links import Ended, Link, Purpose
from portal.mailboxes import Address, Mailbox, send_from_addresses
from portal.sandbox.server import SandboxServer
from portal.senders import Mode, Said, Trouble
from tests import factories, servers
from tests.factories import asked, document, office_mailbox, olive, person, tom

WHERE = "https://portal.example/links/consent/{key}"


@pytest.fixture
def office(app: Flask) -> Flask:
    """The company's mailbox, and a rule by which mail comes from whoever presses Send."""
    with app.app_context():
        office_mailbox(lou="accepted")
        policy.set_rule("", Mode.USER)
    return app


def lou() -> User:
    """Somebody whose address is verified, and whom nobody has asked."""
    return person("lou", "Lou Reed", agrees=False)


def sent_by(who: User) -> Dispatch:
    return asked(document(author=who), who)


def answered(yes: bool) -> None:
    """Lou opens the link in the mail, and presses a button."""
    key = links.make(Purpose.CONSENT, lou(), olive())
    agreement.answer(links.open(key, Purpose.CONSENT), agreed=yes)


def state_of(one: Dispatch) -> tuple[str, str]:
    found = dispatch.load(one.id)
    return found.state, found.hold_code


def test_a_manager_who_adds_an_address_agrees_for_nobody(office: Flask) -> None:
    with office.app_context():
        one = sent_by(lou())
        assert state_of(one) == (State.HELD, Trouble.CONSENT)
        assert one.state_note.startswith("Lou Reed has not agreed yet that mail leaves under lou@")


def test_a_yes_lets_go_what_waited_and_is_kept_with_what_is_sent(office: Flask) -> None:
    with office.app_context():
        waiting = sent_by(lou())
        answered(True)
        assert state_of(waiting) == (State.QUEUED, "")
        kept = "Lou Reed agreed that mail leaves under lou@brightspark.example by the link mailed"
        assert kept in sent_by(lou()).reason


def test_who_takes_it_back_holds_the_seven_that_wait_and_nobody_elses(office: Flask) -> None:
    with office.app_context():
        toms, seven = tom(), [sent_by(tom()) for _ in range(7)]
        olives = asked(document(author=olive()), lou())  # on hold, and stays so
        agreement.withdraw(toms)
        assert {state_of(one) for one in seven} == {(State.HELD, Trouble.CONSENT)}
        assert "no longer agrees" in dispatch.load(seven[0].id).state_note
        dispatch.release_ready()
        assert {state_of(one)[0] for one in (*seven, olives)} == {State.HELD}
        agreement.agree(toms)
        assert {state_of(one)[0] for one in seven} == {State.QUEUED}
        assert state_of(olives)[0] == State.HELD


def test_a_no_is_remembered_and_said(office: Flask) -> None:
    with office.app_context():
        answered(False)
        assert lou().consent == Said.REFUSED
        assert "does not want mail to leave" in sent_by(lou()).state_note


def test_another_address_is_asked_for_anew(office: Flask) -> None:
    with office.app_context():
        toms = tom()
        toms.email = "lou@brightspark.example"
        db.session.commit()
        assert state_of(sent_by(toms)) == (State.HELD, Trouble.CONSENT)


def test_the_companys_own_addresses_need_nobodys_yes(office: Flask) -> None:
    with office.app_context():
        assert lou().active and tom().active
        person("office", "Whoever is in", agrees=False)  # who signs in as the mailbox itself
        set_up_department("Accounting Department", factories.ACCOUNTS, olive())
        accounts_here = Address.email == factories.ACCOUNTS
        db.session.execute(update(Address).where(accounts_here).values(verification="accepted"))
        db.session.commit()
        free = {one.email for one in send_from_addresses() if one.consent is None}
        assert free == {factories.OFFICE, factories.ACCOUNTS}


def test_a_manager_can_have_somebody_asked_and_nothing_else(office: Flask) -> None:
    with office.app_context():
        mail = agreement.ask(lou(), olive(), WHERE)
        assert mail.to == ["lou@brightspark.example"] and mail.from_email == factories.OFFICE
        assert "https://portal.example/links/consent/" in mail.body
        assert consent.of(lou()).said is Said.NOTHING  # type: ignore[union-attr]
        with pytest.raises(CannotAsk, match="asked a moment ago"):
            agreement.ask(lou(), olive(), WHERE)
        with pytest.raises(CannotAsk, match="has agreed already"):
            agreement.ask(tom(), olive(), WHERE)
        accounts.end(lou())
        with pytest.raises(CannotAsk, match="may not sign in"):
            agreement.ask(lou(), olive(), WHERE)


def test_without_a_mailbox_that_sends_it_says_how_they_can_agree(app: Flask) -> None:
    with app.app_context():
        with pytest.raises(CannotAsk, match="Lou can agree under “My e-mail”"):
            agreement.ask(lou(), olive(), WHERE)
        assert not db.session.scalars(select(Link)).all()


def test_a_link_answers_once_in_time_and_for_who_is_still_here(office: Flask) -> None:
    with office.app_context():
        key = links.make(Purpose.CONSENT, lou(), olive())
        seen_twice = [links.open(key, Purpose.CONSENT) for _ in range(2)]
        agreement.answer(seen_twice[0], agreed=True)
        with pytest.raises(Ended, match="used before"):
            agreement.answer(seen_twice[1], agreed=False)
        db.session.rollback()
        assert lou().consent == Said.AGREED
        late = links.make(Purpose.CONSENT, lou(), olive())
        db.session.execute(update(Link).values(ends_at=now() - timedelta(days=1)))
        db.session.commit()
        with pytest.raises(Ended, match="run out"):
            links.open(late, Purpose.CONSENT)
        left = links.make(Purpose.CONSENT, lou(), olive())
        accounts.end(lou())
        with pytest.raises(Ended, match="may not sign in here any more"):
            links.open(left, Purpose.CONSENT)


def accepted(google: SandboxServer) -> int:
    return len(requests.get(f"{google.url}/_sandbox/accepted", timeout=5).json())


def test_who_takes_it_back_while_it_is_being_handed_over_is_in_time(
    database: str,
    redis_url: str,
    local_google: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def withdraw(name: str, _dispatch_id: int) -> None:
        if name == "draft.made":  # long after it was looked whether she agrees
            agreement.withdraw(tom())

    with servers.sending(database, redis_url, local_google.url):
        factories.connected(local_google.url)
        policy.set_rule("", Mode.USER)
        frozen = asked()
        monkeypatch.setattr(attempts, "reached", withdraw)
        attempts.send(frozen.id)
        assert state_of(frozen) == (State.HELD, Trouble.CONSENT)
        assert (accepted(local_google), bool(frozen.draft_id)) == (0, True)
        monkeypatch.undo()
        agreement.agree(tom())
        attempts.send(frozen.id)
        assert (state_of(frozen), accepted(local_google)) == ((State.ACCEPTED, ""), 1)


def test_the_last_look_asks_nobody_for_the_companys_own_address_and_the_owner_for_theirs(
    office: Flask,
) -> None:
    with office.app_context():
        lous = person("lou", "Lou Reed", agrees=False)
        person("office", "Whoever is in", agrees=False)
        own = Mailbox(account_sub="lou", email="lou@home.example", owner_id=lous.id)
        own.addresses = [Address(email=own.email, verification="accepted", is_primary=True)]
        db.session.add(own)
        db.session.commit()
        may = {
            factories.OFFICE: hands_over(factories.OFFICE, 1),
            "tom": hands_over("Tom@brightspark.example", 1),
            "lou": hands_over("lou@brightspark.example", 1),
            "lou, to try it": hands_over("lou@brightspark.example", 1, dispatch.Purpose.TRIAL),
            "lou@home": hands_over("lou@home.example", own.id),
        }
        assert [who for who, leaves in may.items() if not leaves] == ["lou", "lou@home"]
        agreement.agree(lous)
        assert hands_over("lou@brightspark.example", 1) and hands_over("lou@home.example", own.id)


def hands_over(email: str, box_id: int, purpose: str = dispatch.Purpose.DOCUMENT) -> bool:
    """Whether what bears an address is let go in the commit that hands it over."""
    one = asked(document("quote"))
    leased = {"state": State.SUBMITTING, "attempt": 1, "lease_until": now() + timedelta(minutes=1)}
    db.session.execute(update(Dispatch).where(Dispatch.id == one.id).values(**leased))
    claim = dispatch.Claim(one.id, 1, box_id, from_email=email, purpose=purpose)
    handed_over = dispatch.claiming.hand_over(claim, 60, None)
    db.session.rollback()
    return handed_over
