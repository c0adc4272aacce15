"""The number a new document is offered: the next one, and never one that is taken."""

import datetime as dt

import pytest
from flask import Flask

from portal import documents
from portal.documents import next_number
from portal.extensions import db
from tests import factories


def written(number: str, issued: dt.date) -> None:
    factories.document(number=number).issued = issued
    db.session.commit()


def test_it_follows_the_highest_and_leaves_other_patterns_and_kinds_alone(app: Flask) -> None:
    with app.app_context():
        assert next_number("invoice") == "INV-0001"
        for number in ("INV-0042", "INV-0041", "2026/99", "INV-7b"):
            written(number, dt.date(2026, 11, 23))
        factories.document("quote", number="QU-0900")
        assert next_number("invoice") == "INV-0043"
        assert next_number("quote") == "QU-0901"


def test_one_that_an_older_document_has_is_passed_over(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "LOOKED_AT_FOR_NUMBERS", 1)
    with app.app_context():
        written("INV-0008", dt.date(2020, 1, 1))
        written("INV-0007", dt.date(2026, 11, 23))
        assert next_number("invoice") == "INV-0009"
