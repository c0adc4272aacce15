"""Whatever comes in is read: nothing raises, nothing takes for ever, nothing grows without end."""

import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.incoming import Letter, Sort, Verdict, anatomy, read, read_headers
from portal.incoming.reading import READERS
from tests.incoming.mails import OWN, story
from tests.incoming.mixture import flood, strange
from tests.incoming.torture import MARY_FAILED, MONSTERS, PUMPS, REPORT, TEXT

MARY = "mary.lee@homes.example"
#: Calls that one message may cost, whatever it holds; a common one costs some hundred.
MOST_CALLS = 150_000


def calls_of(work: Callable[[], Letter]) -> tuple[Letter, int]:
    """What it gives, and how many calls it took: a measure that no busy machine bends."""
    count = 0

    def counted(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(counted)
    try:
        letter = work()
    finally:
        sys.setprofile(None)
    return letter, count


def check(letter: Letter) -> None:
    assert letter.how != "unreadable"
    assert len(letter.failed) <= 201
    assert len(letter.subject) <= 300
    for one in letter.failed:
        assert len(one.words) <= 500
        assert one.words.isprintable()
    assert len(letter.clues.message_ids) <= 1_500
    assert letter.at is None or letter.at.tzinfo is not None


@pytest.mark.parametrize("name", MONSTERS)
def test_a_monster_is_read_in_bounded_work(name: str) -> None:
    letter, calls = calls_of(lambda: read(MONSTERS[name], own=OWN))
    check(letter)
    assert calls < MOST_CALLS


@pytest.mark.parametrize("pump", PUMPS)
def test_no_repetition_makes_a_search_endless(pump: str) -> None:
    """Where one did, this test would not end."""
    much = (pump * 20_000)[:60_000].encode()
    check(read(TEXT + much))
    check(read(TEXT.replace(b"plain", b"html") + much))
    check(read(REPORT + MARY_FAILED + b"Diagnostic-Code: smtp; " + much + b"\r\n--b--\r\n"))
    for name in (b"Subject", b"From", b"References", b"Content-Type", b"X-Failed-Recipients"):
        check(read(name + b": " + much + b"\r\n" + TEXT))


def test_a_report_before_thirty_megabytes_is_read() -> None:
    end = b"\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: big\r\n\r\n" + b"x" * 30_000_000
    letter = read(REPORT + MARY_FAILED + end)
    assert [one.email for one in letter.failed] == [MARY]


@given(st.binary(max_size=2_000))
def test_any_bytes_are_read(raw: bytes) -> None:
    check(read(raw))


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.text(max_size=30), st.text(max_size=300)), max_size=20),
    st.text(max_size=300),
)
def test_any_headers_are_read(fields: list[tuple[str, str]], snippet: str) -> None:
    check(read_headers(fields, snippet=snippet))


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.data())
def test_a_damaged_report_is_read(seed: int, data: st.DataObject) -> None:
    """Cut, with a piece left out, doubled, or overwritten."""
    raw = next(flood(1, seed)).raw if seed % 2 else next(strange(1, seed)).raw
    begin = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(begin, len(raw)))
    put = data.draw(
        st.sampled_from([b"", raw[begin:end] * 2, b"\0", b"\r\n", b"--", b"\xff", b":"])
    )
    check(read(raw[:begin] + put + raw[end:], own=OWN))


def test_an_error_of_our_own_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(raw: bytes) -> anatomy.Mail:
        raise RecursionError("too deep")

    monkeypatch.setattr("portal.incoming.reading.dissect", broken)
    letter = read(TEXT, thread_id="t1")
    assert (letter.sort, letter.how, letter.clues.thread_id) == (Sort.OTHER, "unreadable", "t1")
    assert READERS  # the last of them always answers


def test_line_ends_do_not_matter() -> None:
    for ends in (b"\n", b"\r", b"\r\n"):
        letter = read((REPORT + MARY_FAILED).replace(b"\r\n", ends))
        assert [(one.email, one.verdict) for one in letter.failed] == [(MARY, Verdict.HARD)]


def test_a_common_mail_is_cheap() -> None:
    one = story(random.Random(1))
    raw = b"From: a@b.example\r\nSubject: Re: " + one.subject.encode() + b"\r\n\r\nThanks"
    assert calls_of(lambda: read(raw))[1] < 2_000
