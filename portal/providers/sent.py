"""Sent: a mailbox's sent copies, newest first, read only where they are needed.

Gmail lists bare ids by the page, cheaply, and tells a copy's time only to who reads it. So a
stretch of time is found by halving the list, and no more copies are read than that takes.
"""

import bisect
import itertools
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from portal.envelope import SentCopy


class SentList:
    """The list of one look. pages: ids, newest first; read: a copy, None where it is gone."""

    def __init__(
        self, pages: Iterator[list[str]], read: Callable[[str], SentCopy | None], most_pages: int
    ) -> None:
        self._pages = itertools.islice(pages, most_pages)
        self._read = read
        self._ids: list[str] = []
        self._copies: dict[str, SentCopy | None] = {}

    def since(self, moment: datetime) -> list[str]:
        """The ids of the copies that are no older than a moment, newest first."""
        self._reach(moment)
        return self._ids[: self._first_before(moment)]

    def part_since(self, moment: datetime, most: int, turn: int) -> Iterator[SentCopy]:
        """So many of the copies that are no older than a moment, newest first.

        turn: 0 for the newest part, then each further back; after the oldest, the newest again.
        """
        ids = self.since(moment)
        start = turn * most % max(1, -(-len(ids) // most) * most)
        for message_id in ids[start : start + most]:
            copy = self.copy(message_id)
            if copy is not None:
                yield copy

    def around(self, moment: datetime, back: timedelta, ahead: timedelta) -> Iterator[SentCopy]:
        """The copies of a stretch of time, those nearest to the moment first."""
        self._reach(moment - back)
        newest, oldest = self._first_before(moment + ahead), self._first_before(moment - back)
        middle = self._first_before(moment)
        for place in sorted(range(newest, oldest), key=lambda one: abs(one + 0.5 - middle)):
            copy = self.copy(self._ids[place])
            if copy is not None:
                yield copy

    def copy(self, message_id: str) -> SentCopy | None:
        """One copy, read once."""
        if message_id not in self._copies:
            self._copies[message_id] = self._read(message_id)
        return self._copies[message_id]

    def _reach(self, moment: datetime) -> None:
        """List as far back as the moment, or as the pages go."""
        for ids in self._pages:
            self._ids += ids
            oldest = next(filter(None, map(self._taken_at, reversed(ids))), None)
            if oldest is not None and oldest < moment:
                return

    def _first_before(self, moment: datetime) -> int:
        places = range(len(self._ids))
        return bisect.bisect_left(places, True, key=lambda one: self._is_before(one, moment))

    def _is_before(self, place: int, moment: datetime) -> bool:
        """Whether the copy there, or where it is gone the next older, is older than the moment."""
        taken_at = next(filter(None, map(self._taken_at, self._ids[place:])), None)
        return taken_at is None or taken_at < moment

    def _taken_at(self, message_id: str) -> datetime | None:
        copy = self.copy(message_id)
        return copy.at if copy else None
