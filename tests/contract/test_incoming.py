"""Every provider tells what came in alike: each message once, whatever was forgotten meanwhile.

A new kind of mailbox that lets itself be read gets its inboxes in tests/contract/inboxes.py.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email import message_from_bytes

import pytest

from portal.envelope import (
    DISPATCH_HEADER,
    Gone,
    NeedsPermission,
    NeedsSignIn,
    ProviderAnswer,
    TryLater,
)
from portal.providers import KINDS, Provider
from portal.providers.provider import (
    ARRIVALS_MOST,
    INCOMING_LARGEST,
    Access,
    Arrivals,
    Cannot,
    Incoming,
)
from tests.contract.inboxes import FETCH, LOOK, Inboxes, inboxes
from tests.contract.standins import MARY, OFFICE, letter

#: What each mishap means, wherever it can happen.
MEANINGS: dict[str, type[ProviderAnswer]] = {
    "signed out": NeedsSignIn,
    "not granted": NeedsPermission,
    "too fast": TryLater,
    "own error": TryLater,
    "garbage": TryLater,
    "cut": TryLater,
    "half an answer": TryLater,
}


@pytest.fixture(params=sorted(KINDS))
def there(request: pytest.FixtureRequest) -> Inboxes:
    """Each kind's inboxes in turn."""
    return inboxes(request.param, request)


@pytest.fixture
def since() -> datetime:
    """Three days ago: what is older is nobody's business."""
    return datetime.now(UTC) - timedelta(days=3)


def from_mary(subject: str, text: str = "Thank you.") -> bytes:
    head = f"From: Mary Lee <{MARY}>\r\nTo: {OFFICE}\r\nSubject: {subject}\r\n"
    return (
        f"{head}Message-ID: <{subject.replace(' ', '.')}@homes.example>\r\n\r\n{text}\r\n".encode()
    )


def subject(one: Incoming) -> str:
    return next(value for name, value in one.headers if name.lower() == "subject")


def read_up(mailbox: Provider, mark: str, since: datetime) -> tuple[list[Arrivals], list[str], str]:
    """All looks that need not wait; the ids they brought; and the mark after them."""
    looks = [mailbox.arrivals(mark, since=since)]
    while looks[-1].more:
        looks.append(mailbox.arrivals(looks[-1].mark, since=since))
    return looks, [one for look in looks for one in look.ids], looks[-1].mark


def subjects(mailbox: Provider, ids: list[str]) -> list[str]:
    return sorted(subject(mailbox.incoming(one, whole=False)) for one in ids)


def test_it_begins_with_the_last_days_and_then_tells_each_message_once(
    there: Inboxes, since: datetime
) -> None:
    mailbox = there.mailbox()
    there.arrive(from_mary("Ancient"), at=since - timedelta(days=6))
    there.arrive(from_mary("A day too old"), at=since - timedelta(minutes=5))
    there.arrive(from_mary("One"), at=since + timedelta(minutes=5))
    there.arrive(from_mary("Two"))
    looks, ids, mark = read_up(mailbox, "", since)
    assert subjects(mailbox, ids) == ["One", "Two"]
    assert not any(look.relisted for look in looks)
    _, ids, mark = read_up(mailbox, mark, since)
    assert ids == []
    there.arrive(from_mary("Three"))
    _, ids, mark = read_up(mailbox, mark, since)
    assert subjects(mailbox, ids) == ["Three"]
    assert read_up(mailbox, mark, since)[1] == []


def test_an_empty_inbox_is_a_beginning_too(there: Inboxes, since: datetime) -> None:
    mailbox = there.mailbox()
    _, ids, mark = read_up(mailbox, "", since)
    assert ids == [] and mark
    there.arrive(from_mary("First of all"))
    assert len(read_up(mailbox, mark, since)[1]) == 1


@pytest.mark.parametrize("begun", [False, True])
def test_a_flood_comes_page_by_page(there: Inboxes, since: datetime, begun: bool) -> None:
    mailbox, mark = there.mailbox(), ""
    there.arrive(from_mary("Too old"), at=since - timedelta(days=2))
    if begun:
        mark = read_up(mailbox, "", since)[2]
    there.arrive(*(from_mary(f"Letter {number}") for number in range(230)))
    looks, ids, _ = read_up(mailbox, mark, since)
    assert len(ids) == len(set(ids)) == 230
    assert all(len(look.ids) <= ARRIVALS_MOST for look in looks) and len(looks) >= 3


def test_what_comes_in_while_the_list_is_read_is_not_missed(
    there: Inboxes, since: datetime
) -> None:
    mailbox = there.mailbox()
    there.arrive(*(from_mary(f"Letter {number}") for number in range(120)))
    first = mailbox.arrivals("", since=since)
    there.arrive(from_mary("In between"))
    _, ids, _ = read_up(mailbox, first.mark, since)
    assert len({*first.ids, *ids}) == 121


@pytest.mark.parametrize("how", ["forgotten", "not ours"])
def test_a_mark_that_means_nothing_any_more_lists_the_last_days_again(
    there: Inboxes, since: datetime, how: str
) -> None:
    mailbox = there.mailbox()
    there.arrive(from_mary("Too old"), at=since - timedelta(days=2))
    there.arrive(*(from_mary(f"Letter {number}") for number in range(120)))
    mark = "a mark of another kind"
    if how == "forgotten":
        mark = read_up(mailbox, "", since)[2]
        there.forget()
    looks, ids, mark = read_up(mailbox, mark, since)
    assert len(set(ids)) == 120 + (how == "forgotten")
    assert all(look.relisted for look in looks if look.ids)
    there.arrive(from_mary("New"))
    looks, ids, _ = read_up(mailbox, mark, since)
    assert subjects(mailbox, ids) == ["New"]
    assert not any(look.relisted for look in looks)


def test_a_message_is_told_whole(there: Inboxes, since: datetime) -> None:
    mailbox = there.mailbox()
    there.arrive(from_mary("Re: Invoice INV-0042", "When will you come?"))
    (message_id,) = read_up(mailbox, "", since)[1]
    one = mailbox.incoming(message_id)
    assert one.id == message_id and one.raw is not None
    mail = message_from_bytes(one.raw)
    assert mail["Subject"] == subject(one) == "Re: Invoice INV-0042"
    assert "When will you come?" in mail.get_payload()
    assert one.at is not None and abs(datetime.now(UTC) - one.at) < timedelta(minutes=1)
    assert one.size >= len("When will you come?")
    assert dict(one.headers)["From"] == f"Mary Lee <{MARY}>"


def test_a_reply_is_in_the_thread_of_what_it_answers(there: Inboxes, since: datetime) -> None:
    mailbox = there.mailbox()
    if not mailbox.can_read_sent:
        return  # nobody tells threads there
    receipt = mailbox.send_draft(mailbox.create_draft(letter()))
    sent = mailbox.sent_copy(receipt.message_id)
    answered = f"In-Reply-To: {sent.internet_message_id}\r\n".encode()
    there.arrive(answered + from_mary("Re: Invoice"))
    _, ids, _ = read_up(mailbox, "", since)
    (one,) = (mailbox.incoming(message_id) for message_id in ids)  # not what was sent, nor drafts
    assert one.thread_id and one.thread_id == sent.thread_id


def test_what_came_back_is_told_with_the_message_that_it_is_about(
    there: Inboxes, since: datetime
) -> None:
    mailbox = there.mailbox()
    if not mailbox.two_phase:
        return
    there.turn_away(MARY)
    mailbox.send_draft(mailbox.create_draft(letter("token42")))
    (message_id,) = read_up(mailbox, "", since)[1]
    report = mailbox.incoming(message_id)
    assert report.raw is not None and MARY.encode() in report.raw
    assert b"5.1.1" in report.raw and f"{DISPATCH_HEADER}: token42".encode() in report.raw


def test_headers_alone_are_all_that_is_read_where_no_more_is_wanted(
    there: Inboxes, since: datetime
) -> None:
    there.arrive(from_mary("Private", "My number is 0400 000 000"))
    for access in (one for one in there.grants if one is not Access.NONE):
        mailbox = there.mailbox(access)
        assert mailbox.incoming_access is access
        (message_id,) = read_up(mailbox, "", since)[1]
        one = mailbox.incoming(message_id, whole=access is Access.HEADERS)
        assert one.raw is None and subject(one) == "Private"
        if access is Access.HEADERS:
            assert "0400" not in repr(one)


def test_what_was_not_granted_is_not_asked(there: Inboxes, since: datetime) -> None:
    mailbox, spent = there.mailbox(Access.NONE), list[str]()
    mailbox.spend = spent.append
    asked: list[Callable[[], object]] = [
        lambda: mailbox.arrivals("", since=since),
        lambda: mailbox.incoming("message"),
    ]
    for call in asked:
        with pytest.raises(Cannot):
            call()
    assert not spent and mailbox.looking_units == mailbox.fetching_units == 0


def test_what_its_owner_has_deleted_is_gone(there: Inboxes, since: datetime) -> None:
    mailbox = there.mailbox()
    there.arrive(from_mary("Deleted at once"), from_mary("Kept"))
    _, ids, _ = read_up(mailbox, "", since)
    there.delete(ids[0])
    for whole in (True, False):
        with pytest.raises(Gone):
            mailbox.incoming(ids[0], whole=whole)
    assert mailbox.incoming(ids[1]).id == ids[1]


@pytest.mark.parametrize("call", [LOOK, FETCH])
@pytest.mark.parametrize("what", MEANINGS)
def test_each_mishap_means_the_same_everywhere(
    there: Inboxes, since: datetime, what: str, call: str
) -> None:
    if what not in there.happens:
        return  # it cannot happen there
    there.arrive(from_mary("One"))
    _, ids, mark = read_up(there.mailbox(), "", since)
    mailbox = there.mailbox()
    there.let(what, call)
    with pytest.raises(ProviderAnswer) as caught:
        mailbox.arrivals(mark, since=since) if call == LOOK else mailbox.incoming(ids[0])
    assert type(caught.value) is MEANINGS[what], caught.value.words
    assert caught.value.message.endswith(".")


def test_of_a_huge_message_no_more_is_fetched_than_is_wanted(
    there: Inboxes, since: datetime
) -> None:
    mailbox = there.mailbox()
    there.arrive(huge())
    (message_id,) = read_up(mailbox, "", since)[1]
    one = mailbox.incoming(message_id)
    assert one.raw is not None and len(one.raw) <= INCOMING_LARGEST
    mail = message_from_bytes(one.raw)
    assert mail["Subject"] == subject(one) == "Photos of the leak"
    text = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
    assert "Here they are" in str(text.get_payload())
    assert one.size > 2 * INCOMING_LARGEST
    assert mailbox.incoming(message_id, whole=False).raw is None


def huge() -> bytes:
    """With a file of three times as much as is wanted of a message."""
    kind = 'Content-Type: multipart/mixed; boundary="x"'
    head = f"From: {MARY}\r\nSubject: Photos of the leak\r\nMIME-Version: 1.0\r\n{kind}\r\n\r\n"
    text = "--x\r\nContent-Type: text/plain\r\n\r\nHere they are\r\n"
    about = "Content-Type: image/jpeg\r\nContent-Transfer-Encoding: base64\r\n"
    file = f"--x\r\n{about}Content-Disposition: attachment; filename=leak.jpg\r\n\r\n"
    line = "QUJD" * 19 + "\r\n"
    return f"{head}{text}{file}{line * (3 * INCOMING_LARGEST // len(line))}--x--\r\n".encode()


def test_each_call_has_its_price(there: Inboxes, since: datetime) -> None:
    mailbox, spent = there.mailbox(), list[str]()
    there.arrive(from_mary("One"))
    _, ids, mark = read_up(mailbox, "", since)
    mailbox.spend = spent.append
    mailbox.arrivals(mark, since=since)
    assert sum(mailbox.tariff.calls[one] for one in spent) == mailbox.looking_units
    spent.clear()
    mailbox.incoming(ids[0], whole=False)
    assert sum(mailbox.tariff.calls[one] for one in spent) == mailbox.fetching_units
