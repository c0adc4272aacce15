"""What the two statuses of a document say together: the four rows of the office's table."""

import pytest
from flask import Flask

from portal.dispatch import State
from portal.documents.status import (
    BATCH_STATUSES,
    EMAIL_STATUSES,
    BatchStatus,
    EmailStatus,
    explain,
)


def test_draft_and_na_somebody_has_to_be_named_who_receives_it() -> None:
    facts = explain("draft", "n/a")
    assert facts.label == "N/A"
    assert "still a draft" in facts.meaning and "nobody to send it to" in facts.meaning
    assert "mark on the property who receives it" in facts.what_to_do


def test_draft_and_pending_the_batch_has_to_be_completed() -> None:
    facts = explain("draft", "pending")
    assert facts.label == "Pending"
    assert "somebody to send it to" in facts.meaning and "still a draft" in facts.meaning
    assert facts.what_to_do.startswith("Complete the batch")


def test_completed_and_in_queue_after_an_hour_the_sender_is_looked_at() -> None:
    facts = explain("completed", "queued")
    assert facts.label == "In queue"
    assert "checked once more before it leaves" in facts.meaning
    assert "more than an hour" in facts.what_to_do and "mailbox" in facts.what_to_do


def test_completed_and_sent_is_accepted_and_not_yet_delivered() -> None:
    facts = explain("completed", "accepted")
    assert facts.label == "Sent"
    assert "not yet delivery" in facts.meaning
    assert "spam folder" in facts.what_to_do and "came back" in facts.what_to_do


@pytest.mark.parametrize("batch_status", BatchStatus)
@pytest.mark.parametrize("email_status", EmailStatus)
def test_every_pair_says_what_it_means_and_what_to_do(batch_status: str, email_status: str) -> None:
    facts = explain(batch_status, email_status)
    assert facts.label and facts.meaning.endswith(".") and facts.what_to_do.endswith(".")
    assert "delivered" not in f"{facts.label} {facts.meaning} {facts.what_to_do}"


def test_every_state_of_a_sending_is_a_status_of_its_document() -> None:
    assert set(EMAIL_STATUSES) == {"n/a", "pending", *State}
    assert set(BATCH_STATUSES) == {"", "draft", "completed"}


def test_the_marks_on_pages_say_what_the_statuses_say(app: Flask) -> None:
    marks = app.jinja_env.get_template("macros.html").module.STATES  # type: ignore[attr-defined]
    for status, facts in EMAIL_STATUSES.items():
        tone, _sign, words = marks[status]
        assert (tone.removesuffix(" moving"), words) == (facts.tone, facts.label), status
