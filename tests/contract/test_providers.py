"""Every provider keeps the same promises: what each answer means, and what it cannot do raises.

A new kind of mailbox is added in KINDS below, with a stand-in (docs/providers.md).
"""

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from portal import providers
from portal.envelope import (
    Gone,
    NeedsSignIn,
    NotAllowed,
    OutcomeUnknown,
    ProviderAnswer,
    Receipt,
    Refused,
    TryLater,
)
from portal.providers import Provider
from portal.providers.gmail import address_of
from portal.providers.provider import Cannot
from tests.contract.standins import MARY, OFFICE, StandIn, letter, stand_in

KINDS = ("gmail", "microsoft", "smtp")
#: What each mishap means, wherever it can happen; and whether the message may have left.
MEANINGS: dict[str, tuple[type[ProviderAnswer], int]] = {
    "refused": (Refused, 0),
    "too fast": (TryLater, 0),
    "signed out": (NeedsSignIn, 0),
    "not allowed": (NotAllowed, 0),
    "own error after": (OutcomeUnknown, 1),
    "own error before": (OutcomeUnknown, 0),
    "answer lost": (OutcomeUnknown, 1),
    "garbage": (OutcomeUnknown, 1),
    "cut before": (OutcomeUnknown, 0),
}


@pytest.fixture(params=KINDS)
def there(request: pytest.FixtureRequest) -> StandIn:
    """Each kind's stand-in in turn."""
    return stand_in(request.param, request)


def hand_over(mailbox: Provider, token: str = "token1", sender: str = OFFICE) -> Receipt:
    """As attempts.py does it: by a draft where one can be kept, else at once."""
    mime = letter(token, sender)
    if mailbox.two_phase:
        return mailbox.send_draft(mailbox.create_draft(mime))
    return mailbox.send(mime, sender, [MARY])


def test_every_kind_is_held_to_this() -> None:
    assert set(KINDS) == set(providers.KINDS)


def test_a_kind_is_told_without_asking_anybody(there: StandIn) -> None:
    mailbox = there.mailbox()
    kind = next(one for one in providers.KINDS.values() if one.label == mailbox.label)
    assert kind.abilities(set(kind.full)) == mailbox.abilities
    assert kind.lists == mailbox.can_list_addresses
    assert set(kind.full) <= set(providers.PERMISSIONS)


def test_one_hand_over_is_one_message(there: StandIn) -> None:
    mailbox, spent = there.mailbox(), list[str]()
    mailbox.spend = spent.append
    receipt = hand_over(mailbox)
    assert there.accepted() == 1 and not receipt.turned_away
    assert [mailbox.tariff.calls[one] for one in spent]  # each call has its price
    assert sum(mailbox.tariff.calls[one] for one in spent) == mailbox.sending_units


@pytest.mark.parametrize("what", MEANINGS)
def test_each_mishap_means_the_same_everywhere(there: StandIn, what: str) -> None:
    if what not in there.happens:
        return  # it cannot happen there
    meaning, most = MEANINGS[what]
    there.let(what)
    with pytest.raises(ProviderAnswer) as caught:
        hand_over(there.mailbox())
    assert type(caught.value) is meaning, caught.value.words
    assert there.accepted() == most
    assert caught.value.message.endswith((".", "valid.", "header"))


def test_what_was_too_fast_slows_the_mailbox_down(there: StandIn) -> None:
    there.let("too fast")
    with pytest.raises(TryLater) as caught:
        hand_over(there.mailbox())
    assert caught.value.too_fast


def test_what_it_cannot_do_raises(there: StandIn) -> None:
    mailbox, moment = there.mailbox(), datetime.now(UTC)
    beyond: dict[str, list[Callable[[], object]]] = {
        "two_phase": [
            lambda: mailbox.create_draft(b""),
            lambda: mailbox.restore_draft("draft", b""),
            lambda: mailbox.send_draft("draft"),
            lambda: mailbox.delete_draft("draft"),
            lambda: mailbox.has_draft("draft"),
            lambda: mailbox.find_draft("token"),
            lambda: mailbox.drafts(),
        ],
        "list_addresses": [mailbox.addresses],
        "read_sent": [
            lambda: mailbox.sent_copy("message"),
            lambda: mailbox.find_sent("token", moment),
            lambda: mailbox.find_sent_since("token", moment, 0),
            lambda: mailbox.sent_since(moment),
        ],
    }
    for ability, calls in beyond.items():
        if not getattr(mailbox.abilities, ability):
            for call in calls:
                with pytest.raises(Cannot):
                    call()


def test_a_draft_is_kept_found_put_right_and_taken_away(there: StandIn) -> None:
    mailbox = there.mailbox()
    if not mailbox.two_phase:
        return
    draft = mailbox.create_draft(letter())
    assert mailbox.has_draft(draft) and mailbox.find_draft("token1") == draft
    assert (draft, "token1") in list(itertools.islice(mailbox.drafts(), 5))
    assert mailbox.find_draft("token2") is None
    again = mailbox.restore_draft(draft, letter())
    assert mailbox.has_draft(again) and len(list(mailbox.drafts())) == 1
    mailbox.delete_draft(again)
    mailbox.delete_draft(again)
    assert mailbox.find_draft("token1") is None
    assert there.accepted() == 0


def test_a_draft_is_sent_once_whoever_holds_its_id(there: StandIn) -> None:
    mailbox = there.mailbox()
    if not mailbox.two_phase:
        return
    draft = mailbox.create_draft(letter())
    mailbox.send_draft(draft)
    for act in (mailbox.send_draft, lambda one: mailbox.restore_draft(one, letter())):
        with pytest.raises(Gone):
            act(draft)
    assert not mailbox.has_draft(draft)
    mailbox.delete_draft(draft)  # its sent copy stays
    assert there.accepted() == 1 and mailbox.find_sent("token1", datetime.now(UTC))


def test_the_sent_copy_proves_the_from(there: StandIn) -> None:
    mailbox, began = there.mailbox(), datetime.now(UTC) - timedelta(seconds=5)
    if not mailbox.can_read_sent:
        return
    receipt = hand_over(mailbox)
    hand_over(mailbox, "token2")
    copy = mailbox.sent_copy(receipt.message_id)
    assert (address_of(copy.sender), copy.token) == (OFFICE, "token1")
    assert copy.at is not None and copy.at > began
    assert MARY in copy.to and copy.subject == "Invoice INV-0042" and copy.internet_message_id
    for found in (
        mailbox.find_sent("token1", copy.at),
        mailbox.find_sent_since("token1", began, 0),
    ):
        assert found is not None and found.message_id == receipt.message_id
    assert mailbox.find_sent("nothing", copy.at) is None
    sent = mailbox.sent_since(began)
    assert len(sent) == 2 and sent[-1] == receipt.message_id


def test_a_draft_that_never_was_is_gone(there: StandIn) -> None:
    mailbox = there.mailbox()
    if mailbox.two_phase:
        assert not mailbox.has_draft("r-1234567890")
        with pytest.raises(Gone):
            mailbox.send_draft("r-1234567890")
