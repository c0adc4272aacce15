"""Single oddities of the field, each seen somewhere, each read as a person would."""

import random

import pytest

from portal.incoming import Reason, Sort, Verdict, read
from portal.incoming.anatomy import LARGEST_READ, dissect
from portal.incoming.headers import address_in
from tests.incoming.mails import (
    OFFICE,
    OWN,
    Fields,
    Story,
    block,
    from_machine,
    multipart,
    part,
    recipient_block,
    report,
    story,
)

MARY = "mary.lee@homes.example"
PLAIN = ("Content-Type", "text/plain; charset=utf-8")


@pytest.fixture
def invoice() -> Story:
    made = story(random.Random(6))
    return Story(made.chance, "Mary Lee", MARY, "grant@wu-builders.example", 42, made.at)


@pytest.fixture
def head(invoice: Story) -> Fields:
    return [*from_machine(invoice, "MAILER-DAEMON@mx.homes.example", "failure notice"), PLAIN]


def failed_in(raw: bytes) -> list[str]:
    return [one.email for one in read(raw, own=OWN).failed]


def test_the_text_tells_why_where_the_report_does_not(invoice: Story) -> None:
    """Some servers give each recipient 5.0.0 and say the rest to people alone."""
    rows = [recipient_block(MARY, "failed", "5.0.0", "")]
    sender = from_machine(invoice, "MAILER-DAEMON@mx.homes.example", "failure notice")
    (one,) = read(report(invoice, sender, f"{MARY}: 550 5.2.2 mailbox full", rows)).failed
    assert (one.reason, one.status) == (Reason.MAILBOX_FULL, "5.2.2")
    (one,) = read(report(invoice, sender, "The user is not known here.", rows)).failed
    assert one.reason is Reason.NO_SUCH_ADDRESS


@pytest.mark.parametrize(
    "said",
    [
        f"  tap@elsewhere.example\n    (generated from {MARY})\n    550 5.1.1 user unknown",
        f"<tap@elsewhere.example> (expanded from <{MARY}>): 550 5.1.1 user unknown",
    ],
)
def test_a_text_names_whom_we_wrote_to_beside_whom_it_was_passed_on_to(
    head: Fields, said: str
) -> None:
    assert failed_in(block(head, f"Could not be delivered:\n\n{said}\n")) == [MARY]


def test_those_to_ask_for_help_did_not_fail(head: Fields) -> None:
    body = f"Tell abuse@homes.example of it.\n\n<{MARY}>: 550 5.1.1 user unknown\n"
    assert failed_in(block(head, body)) == [MARY]


def test_only_those_to_whom_it_went_failed(invoice: Story, head: Fields) -> None:
    body = f"jo@homes.example passed it on.\n\n<{MARY}>: 550 5.1.1 user unknown\n"
    original = part("message/rfc822", invoice.original())
    raw = multipart(head[:-1], "multipart/mixed", [part("text/plain", body), original])
    assert failed_in(raw) == [MARY]


def test_an_address_may_stand_behind_a_label() -> None:
    assert address_in(f"SMTP={MARY}") == MARY
    assert address_in(f"Mary <'{MARY}'>") == MARY


def test_a_machine_of_unknown_kind_is_heard_through_our_own_group(invoice: Story) -> None:
    head = from_machine(
        invoice,
        "Mail gate <robot@homes.example>",
        "Undeliverable message",
        ("List-ID", "<office.brightspark.example>"),
        ("List-Unsubscribe", "<mailto:office+leave@brightspark.example>"),
        PLAIN,
    )
    raw = block(head, f"Your message could not be delivered to {MARY}: 550 5.1.1 user unknown\n")
    assert failed_in(raw) == [MARY]
    assert read(raw.replace(b"office.brightspark", b"offers.taps"), own=OWN).sort is Sort.OTHER


def test_an_answering_machine_needs_no_subject_of_its_own() -> None:
    head = [("From", f"<{MARY}>"), ("To", OFFICE), ("Subject", "Your invoice")]
    raw = block([*head, ("Auto-Submitted", "auto-replied"), PLAIN], "Back on Monday.")
    assert read(raw, own=OWN).sort is Sort.AUTO_REPLY


def test_boundaries_that_begin_alike_are_told_apart(invoice: Story) -> None:
    inner = multipart([], "multipart/alternative", [part("text/plain", "Sorry.")], "b-inner")
    status = part("message/delivery-status", recipient_block(MARY, "failed", "5.1.1", ""))
    sender = from_machine(invoice, "MAILER-DAEMON@mx.homes.example", "failure notice")
    raw = multipart(sender, "multipart/report; report-type=delivery-status", [inner, status], "b")
    assert failed_in(raw) == [MARY]
    assert dissect(raw).text.strip() == "Sorry."


def test_a_boundary_that_nobody_named_is_found(invoice: Story) -> None:
    rows = [recipient_block(MARY, "failed", "5.1.1", "")]
    sender = from_machine(invoice, "MAILER-DAEMON@mx.homes.example", "failure notice")
    raw = report(invoice, sender, "", rows).replace(b'; boundary="=_b0undary/7"', b"", 1)
    assert len(dissect(raw).parts) == 3
    (one,) = read(raw).failed
    assert (one.email, one.verdict) == (MARY, Verdict.HARD)


def test_a_charset_is_a_charset(head: Fields) -> None:
    """Python decodes more by name than texts: what runs escapes, or takes for ever."""
    for name in ("unicode_escape", "punycode", "idna", "raw_unicode_escape"):
        kind = ("Content-Type", f"text/plain; charset={name}")
        assert dissect(block([*head[:-1], kind], "\\u0041-b")).text.strip() == "\\u0041-b"


def test_of_thirty_megabytes_the_first_is_looked_at(head: Fields) -> None:
    mail = dissect(block(head, "") + b"x" * 30_000_000)
    assert sum(len(one.body) for one in mail.parts) <= LARGEST_READ
