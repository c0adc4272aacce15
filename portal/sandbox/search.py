"""Search: the small part of Gmail's search words that tests and readers of mail need."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from portal.sandbox import mailbox
from portal.sandbox.mailbox import Message
from portal.sandbox.store import Store

PLACES = {"sent": "SENT", "inbox": "INBOX", "drafts": "DRAFT", "draft": "DRAFT", "anywhere": ""}
BATCH = 200
Matches = Callable[[Message], bool]


class Search:
    def __init__(self, store: Store, account_id: int, query: str, labels: list[str]) -> None:
        self._store, self._account_id, self._labels = store, account_id, list(labels)
        self._tests: list[Matches] = []
        for word in _words(query):
            self._add(word)

    def page(self, *, before: int, limit: int) -> list[Message]:
        found: list[Message] = []
        while len(found) < limit:
            batch = mailbox.page(
                self._store, self._account_id, self._labels, before=before, limit=BATCH
            )
            found += [one for one in batch if all(test(one) for test in self._tests)]
            if len(batch) < BATCH:
                break
            before = batch[-1].seq
        return found[:limit]

    def estimate(self, shown: int) -> int:
        if self._tests or len(self._labels) != 1:
            return shown
        return mailbox.count(self._store, self._account_id, self._labels[0])[0]

    def _add(self, word: str) -> None:
        operator, colon, value = word.partition(":")
        if colon and operator.lower() in ("in", "label"):
            label = PLACES.get(value.lower(), value.upper())
            self._labels += [label] if label else []
        elif colon and operator.lower() == "rfc822msgid":
            self._tests.append(lambda one: one.message_id.strip("<>") == value.strip("<>"))
        elif colon and operator.lower() in ("from", "to", "cc", "subject"):
            self._tests.append(lambda one: value.lower() in one.head.text(operator).lower())
        else:
            self._tests.append(self._contains(word))

    def _contains(self, word: str) -> Matches:
        def test(one: Message) -> bool:
            text = one.head.text("Subject").encode() + mailbox.body(self._store, one)
            return word.lower().encode() in text.lower()

        return test


def _words(query: str) -> list[str]:
    try:
        return shlex.split(query)
    except ValueError:
        return query.split()
