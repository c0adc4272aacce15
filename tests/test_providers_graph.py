"""Every answer of Graph's is sorted by what happens next, and its traps are walked round."""

import base64
import itertools
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from portal.envelope import (
    Attachment,
    Gone,
    Mailable,
    NeedsPermission,
    NeedsSignIn,
    NotAllowed,
    OnItsWay,
    OperatorProblem,
    OutcomeUnknown,
    ProviderAnswer,
    Refused,
    TryLater,
    seal,
)
from portal.pace import EXCHANGE
from portal.providers import graph, rewriting
from portal.providers.graph import (
    ATTACH,
    BEGIN,
    CHANGE,
    CREATE,
    DROP,
    FULL_SCOPES,
    LIST_SENT,
    READ,
    READ_WRITE,
    SEND,
    SEND_DRAFT,
    SEND_MAIL,
    WHO,
    Graph,
)
from portal.providers.graph_answers import Call, answer_for
from portal.providers.rewriting import File, repair, rewritten
from portal.providers.wire import IN_BETWEEN
from tests.contract.standins import MARY, OFFICE, letter
from tests.office365 import Microsoft

if TYPE_CHECKING:
    from portal.sandbox.microsoft import MicrosoftServer

CARRYING = [CREATE, CHANGE, ATTACH, BEGIN, SEND_DRAFT, SEND]
ASKING = [WHO, READ, LIST_SENT, DROP]
ALL = CARRYING + ASKING
LIMIT, AN_HOUR = "sending limit", 3600
# status, code, message, where, class, sentence, seconds to keep away
ROWS: list[tuple[int, str, str, list[Call], type[ProviderAnswer], str, float | None]] = [
    (400, "ErrorInvalidRecipients", "At least one recipient isn't valid.", CARRYING, Refused,
     "recipient isn't valid", None),
    (400, "ErrorMimeContentInvalidBase64String", "Invalid base64", CARRYING, Refused, "base64",
     None),
    (400, "InvalidInternetMessageHeaderCollection", "Maximum", CARRYING, Refused, "Maximum", None),
    (400, "BadRequest", "Invalid filter clause", ASKING, TryLater, "did not take", 300),
    (413, "BadRequest", "Maximum request length exceeded.", CARRYING, Refused, "length", None),
    (413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.", CARRYING,
     Refused, "maximum supported size", None),
    (401, "InvalidAuthenticationToken", "Lifetime validation failed.", ALL, NeedsSignIn,
     "no longer accepts", None),
    (403, "ErrorAccessDenied", "Access is denied.", [CREATE, READ], NeedsPermission, "grant", None),
    (403, "ErrorAccessDenied", "Access is denied.", [SEND_DRAFT, SEND], NotAllowed, "as that",
     None),
    (403, "ErrorSendAsDenied", "No right.", ALL, NotAllowed, "as that address", None),
    (403, "ErrorSendAsNotAllowed", "No right.", ALL, NotAllowed, "as that address", None),
    (403, "AccessRestricted", "Blocked by policy.", ALL, OperatorProblem, "registration", None),
    (403, "ErrorExceededMessageLimit", "Too many.", ALL, TryLater, LIMIT, AN_HOUR),
    (429, "ErrorExceededMessageLimit", "Too many.", ALL, TryLater, LIMIT, None),
    (403, "ErrorAccountSuspend", "Suspended.", ALL, TryLater, "has stopped mail", AN_HOUR),
    (404, "MailboxNotEnabledForRESTAPI", "On-premise.", ALL, NeedsSignIn, "no mailbox", None),
    (404, "ErrorItemNotFound", "Not in the store.", ALL, Gone, "no longer has it", None),
    (400, "ErrorInvalidIdMalformed", "Id is malformed.", ALL, Gone, "no longer has it", None),
    (400, "ErrorInvalidPropertyUpdateSentMessage", "Sent.", ALL, Gone, "no longer has it", None),
    (409, "ErrorIrresolvableConflict", "Changed.", [SEND_DRAFT], OutcomeUnknown, "busy", None),
    (409, "ErrorIrresolvableConflict", "Changed.", [CHANGE], TryLater, "busy", 30),
    (429, "ApplicationThrottled", "Over its RequestCount limit.", ALL, TryLater, LIMIT, 30),
]  # fmt: skip


def error(code: str, message: str) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "innerError": {}}}).encode()


@pytest.mark.parametrize(("status", "code", "message", "calls", "kind", "said", "after"), ROWS)
def test_every_refusal_is_sorted_by_what_happens_next(
    status: int, code: str, message: str, calls: list[Call], kind: type[ProviderAnswer],
    said: str, after: float | None,
) -> None:  # fmt: skip
    for call in calls:
        answer = answer_for(status, {}, error(code, message), call)
        assert type(answer) is kind, call
        assert said in answer.message and code in answer.words and str(status) in answer.words
        if isinstance(answer, TryLater) and after is not None:
            assert answer.after == after


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
@pytest.mark.parametrize("body", [error("UnknownError", ""), b"<html>", b""])
def test_an_error_of_microsofts_own_leaves_a_sending_unclear(status: int, body: bytes) -> None:
    unclear = answer_for(status, {"Retry-After": "20"}, body, SEND_DRAFT)
    assert isinstance(unclear, OutcomeUnknown) and 20 <= unclear.rests < 22
    later = answer_for(status, {"Retry-After": "20"}, body, CREATE)
    assert isinstance(later, TryLater) and later.exact and 20 <= later.after < 22
    assert type(answer_for(status, {}, body, CREATE)) is TryLater


@pytest.mark.parametrize("body", [b"", b"<html>Sign in</html>", b"[]", b"{}", b'{"error":"x"}'])
def test_whatever_stands_between_says_nothing_of_a_message_or_a_mailbox(body: bytes) -> None:
    for status in (400, 401, 403, 404, 413):
        unclear = answer_for(status, {}, body, SEND_DRAFT)
        assert isinstance(unclear, OutcomeUnknown) and unclear.rests == 300
        later = answer_for(status, {}, body, CREATE)
        assert isinstance(later, TryLater) and later.message == IN_BETWEEN
    for status in (302, 429):  # by their meaning, what was asked was not done
        assert type(answer_for(status, {}, body, SEND_DRAFT)) is TryLater


def test_the_wait_that_is_named_is_kept_to() -> None:
    body = error("ApplicationThrottled", "Application is over its MailboxConcurrency limit.")
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60))
    named = {"7": (7, 8), "0": (0, 1), soon: (57, 62), "999999": (86400, 86400)}
    for told, (least, most) in named.items():
        answer = answer_for(429, {"Retry-After": told}, body, SEND_DRAFT)
        assert isinstance(answer, TryLater) and answer.exact and not answer.too_fast
        assert least <= answer.after <= most, told
    for unreadable in ("soon", "", "-5x"):
        answer = answer_for(429, {"Retry-After": unreadable}, body, SEND_DRAFT)
        assert isinstance(answer, TryLater) and (answer.after, answer.exact) == (30, False)


def test_every_call_says_what_it_costs_and_what_it_may_do() -> None:
    calls = [one for one in vars(graph).values() if isinstance(one, Call)]
    assert {one.name for one in calls} == EXCHANGE.keys()
    assert [one.path for one in calls if one.sends] == ["/me/messages/{}/send", "/me/sendMail"]


def test_what_each_permission_is_good_for() -> None:
    assert graph.abilities(set(FULL_SCOPES)).two_phase
    alone = graph.abilities({SEND_MAIL})
    assert (alone.send, alone.two_phase, alone.read_sent) == (True, False, False)
    assert not graph.abilities({READ_WRITE}).send


# -- against the local Microsoft -----


@pytest.fixture
def microsoft(local_microsoft: "MicrosoftServer") -> Microsoft:
    found = Microsoft(local_microsoft.url)
    found.steer(send_delay=0.0)
    return found


@pytest.fixture
def office(microsoft: Microsoft) -> Graph:
    return mailbox(microsoft)


def mailbox(microsoft: Microsoft, scopes: tuple[str, ...] = FULL_SCOPES) -> Graph:
    token = microsoft.grant(scopes=scopes)["access_token"]
    return Graph(microsoft.url, set(scopes), lambda refused: token, 5, settles=0)


def with_files(*files: Attachment, token: str = "token1") -> bytes:
    return seal(
        token=token, message_id="<a@b>", sender=Mailable(OFFICE), to=[Mailable(MARY)],
        cc=[Mailable("sue@homes.example", "Söhne, Sue")], subject="Rechnung für Söhne", text="Hi",
        html="<p>Hallo, Söhne</p>", attachments=list(files),
    ).mime  # fmt: skip


def test_a_message_says_in_json_what_it_says_in_its_bytes() -> None:
    pdf = Attachment("Rechnung Söhne.pdf", "application/pdf", b"%PDF\r\n\x00\xff")
    told = rewritten(with_files(pdf))
    assert told.token == "token1" and told.fits
    assert told.fields["subject"] == "Rechnung für Söhne"
    assert told.fields["body"]["contentType"] == "html"
    assert "<p>Hallo, Söhne</p>" in told.fields["body"]["content"]
    assert told.fields["from"] == {"emailAddress": {"address": OFFICE}}
    [sue] = told.fields["ccRecipients"]
    assert sue["emailAddress"] == {"name": "Söhne, Sue", "address": "sue@homes.example"}
    assert told.files == (File(pdf.filename, pdf.content_type, pdf.content),)
    assert "internetMessageHeaders" not in told.changeable


def test_large_files_go_up_in_pieces_and_the_draft_is_whole(
    office: Graph, microsoft: Microsoft
) -> None:
    large = Attachment("plan.pdf", "application/pdf", bytes(range(256)) * 12_300)
    small = Attachment("invoice.pdf", "application/pdf", b"%PDF" * 1000)
    draft = office.create_draft(with_files(large, small))
    office.send_draft(draft)
    [sent] = microsoft.ask("accepted?raw=1")
    kept = rewritten(raw_of(sent)).files
    assert {one.name: one.content for one in kept} == {
        one.filename: one.content for one in (large, small)
    }


def raw_of(entry: dict[str, Any]) -> bytes:
    return base64.urlsafe_b64decode(entry["raw"] + "==")


def test_a_draft_whose_files_did_not_all_arrive_is_made_whole_before_it_is_sent(
    office: Graph, microsoft: Microsoft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewriting, "LARGEST_REQUEST", 5000)
    large = Attachment("plan.pdf", "application/pdf", b"x" * 9000)
    microsoft.fault("attachments.create", "cut-before")
    with pytest.raises(TryLater):
        office.create_draft(with_files(large))
    draft = office.find_draft("token1")
    assert draft is not None
    assert office.restore_draft(draft, with_files(large)) == draft
    office.send_draft(draft)
    [sent] = microsoft.ask("accepted?raw=1")
    assert [one.content for one in rewritten(raw_of(sent)).files] == [large.content]


def test_a_draft_changed_by_hand_is_put_right_in_place(office: Graph, microsoft: Microsoft) -> None:
    pdf = Attachment("invoice.pdf", "application/pdf", b"%PDF 1")
    draft = office.create_draft(with_files(pdf))
    altered = rewritten(letter("token1", subject="You owe us nothing"))
    office._call(CHANGE, draft, body=json.dumps(altered.changeable).encode())
    extra = File("other.pdf", "application/pdf", b"%PDF 2")
    office._call(ATTACH, draft, body=json.dumps(extra.as_json()).encode())
    assert office.restore_draft(draft, with_files(pdf)) == draft
    office.send_draft(draft)
    [sent] = microsoft.ask("accepted?raw=1")
    assert sent["subject"] == "Rechnung für Söhne" and MARY in sent["to"]
    assert [one.content for one in rewritten(raw_of(sent)).files] == [b"%PDF 1"]


def test_accepted_with_a_wait_is_accepted_and_the_next_one_waits(
    office: Graph, microsoft: Microsoft
) -> None:
    microsoft.fault("messages.send", "202-retry-after", delay=20)
    receipt = office.send_draft(office.create_draft(letter()))
    assert 20 <= receipt.rests < 23 and "Retry-After" in receipt.words
    assert len(microsoft.accepted()) == 1


def test_what_was_taken_and_has_not_left_is_on_its_way(office: Graph, microsoft: Microsoft) -> None:
    microsoft.steer(send_delay=60.0)
    receipt = office.send_draft(office.create_draft(letter()))
    with pytest.raises(OnItsWay):
        office.sent_copy(receipt.message_id)
    with pytest.raises(TryLater):  # nobody changes it, or sends it again
        office.restore_draft(receipt.message_id, letter())
    microsoft.tell("clock", advance=61)
    assert office.sent_copy(receipt.message_id).token == "token1"


def test_it_is_found_though_its_immutable_id_did_not_hold(
    office: Graph, microsoft: Microsoft
) -> None:
    microsoft.steer(immutable_ids_hold=False)
    receipt = office.send_draft(office.create_draft(letter()))
    with pytest.raises(Gone):
        office.sent_copy(receipt.message_id)
    assert not office.has_draft(receipt.message_id)
    found = office.find_sent("token1", datetime.now(UTC))
    assert found is not None and found.token == "token1"


def test_a_shared_mailbox_shows_who_sent_on_its_behalf(microsoft: Microsoft) -> None:
    token = microsoft.grant("tom@brightspark.example")["access_token"]
    tom = Graph(microsoft.url, set(FULL_SCOPES), lambda refused: token, 5, settles=0)
    shared = "accounts@brightspark.example"
    receipt = tom.send_draft(tom.create_draft(letter(sender=shared)))
    copy = tom.sent_copy(receipt.message_id)
    assert copy.sender == f"Tom Baker on behalf of Bright Spark Accounts <{shared}>"


def test_without_drafts_it_sends_at_once_and_what_is_too_large_is_refused(
    microsoft: Microsoft, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = mailbox(microsoft, ("User.Read", SEND_MAIL))
    assert alone.send(letter(), OFFICE, []).message_id == ""
    monkeypatch.setattr(rewriting, "LARGEST_REQUEST", 5000)
    large = Attachment("plan.pdf", "application/pdf", b"x" * 9000)
    with pytest.raises(Refused, match="3 MB"):
        alone.send(with_files(large), OFFICE, [])
    assert len(microsoft.accepted()) == 1


def test_a_list_that_leads_elsewhere_is_not_followed(office: Graph) -> None:
    for link in ("https://evil.example/v1.0/me", "//evil.example/x", "file:///etc/passwd"):
        with pytest.raises(TryLater):
            office._next(link)
    with pytest.raises(TryLater):
        office._upload("http://evil.example/x", b"x")


def test_sent_mail_is_listed_page_by_page(
    office: Graph, microsoft: Microsoft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "PAGE", 2)
    microsoft.steer(messages_per_minute=0)
    for number in range(5):
        office.send_draft(office.create_draft(letter(f"token{number}")))
    assert len(office.sent_since(datetime.now(UTC) - timedelta(minutes=1))) == 5


def test_equal_files_are_told_apart_by_their_number() -> None:
    one, other = File("a.pdf", "application/pdf", b"1"), File("b.pdf", "application/pdf", b"2")
    listed = [{**file.as_json(), "id": str(n)} for n, file in enumerate([one, one, other])]
    for wanted in itertools.product([one, other], repeat=2):
        needed = repair(wanted, listed)
        left = [file for n, file in enumerate([one, one, other]) if str(n) not in needed.extra]
        assert sorted([*left, *needed.missing], key=repr) == sorted(wanted, key=repr)
