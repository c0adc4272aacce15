"""Asking: putting questions to the DNS, all of a round at once, and never waiting for long.

This module alone speaks to name servers. Whatever goes wrong is an answer of its own kind, so that
"nobody answered" is never taken for "there is no record".
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.rdtypes.txtbase
import dns.resolver

from portal.published.answers import (
    LONGEST_VALUE,
    MOST_VALUES,
    Answer,
    Kind,
    Question,
    clean_text,
    plain_name,
)

#: Seconds a whole domain may take, and one question of it.
PATIENCE, PATIENCE_FOR_ONE = 6.0, 3.0
#: So many questions are asked at the same time, and in all for one domain.
SIDE_BY_SIDE, MOST_QUESTIONS = 12, 160

Ask = Callable[[Question, float], Answer]
SILENT, FAILED = Answer(Kind.SILENT), Answer(Kind.FAILED)


class Resolver:
    """Asks the name servers given (address and port), or those that this machine uses."""

    def __init__(self, servers: Sequence[tuple[str, int]] = ()) -> None:
        self._servers = servers
        self._inner: dns.resolver.Resolver | None = None

    def __call__(self, question: Question, seconds: float) -> Answer:
        """One answer, within so many seconds."""
        name, kind = question
        try:
            found = self._resolver().resolve(
                dns.name.from_text(f"{name}."),
                kind,
                lifetime=min(seconds, PATIENCE_FOR_ONE),
                raise_on_no_answer=False,
                search=False,
            )
        except dns.resolver.NXDOMAIN as problem:
            return Answer(Kind.NO_NAME, through=_through(problem.kwargs["responses"].values()))
        except (dns.exception.Timeout, OSError):
            return SILENT
        except dns.exception.DNSException:  # refused, lame, malformed, a name that cannot be asked
            return FAILED
        values = tuple(_value(one) for one in list(found.rrset or ())[:MOST_VALUES])
        through = _through([found.response])
        return Answer(Kind.FOUND if values else Kind.NOTHING, values, through)

    def _resolver(self) -> dns.resolver.Resolver:
        if self._inner is None:
            made = dns.resolver.Resolver(configure=not self._servers)
            if self._servers:
                made.nameservers = [
                    dns.nameserver.Do53Nameserver(host, port) for host, port in self._servers
                ]
            made.timeout = 1.0  # for one try; a packet that gets lost is sent again
            self._inner = made
        return self._inner


def find_out(
    judge: Callable[[dict[Question, Answer]], Iterable[Question]],
    ask: Ask,
    patience: float = PATIENCE,
) -> dict[Question, Answer]:
    """Every answer that the judging wants.

    judge: from the answers so far to the questions it still has. Ends when there are none, when
    `patience` (seconds) is over, or after so many questions that something must be wrong; what was
    not asked by then counts as silent.
    """
    answers: dict[Question, Answer] = {}
    ends = time.monotonic() + patience
    with _pool() as pool:
        while wanted := [one for one in judge(answers) if one not in answers]:
            left, room = ends - time.monotonic(), MOST_QUESTIONS - len(answers)
            if left <= 0 or room <= 0:
                return answers | dict.fromkeys(wanted, SILENT)
            answers |= _round(pool, ask, sorted(wanted)[:room], left)
    return answers


@contextlib.contextmanager
def _pool() -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(SIDE_BY_SIDE, thread_name_prefix="ask")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _round(
    pool: ThreadPoolExecutor, ask: Ask, wanted: list[Question], seconds: float
) -> dict[Question, Answer]:
    asked: dict[Future[Answer], Question] = {pool.submit(ask, one, seconds): one for one in wanted}
    done, _ = wait(asked, timeout=seconds)
    return {one: future.result() if future in done else SILENT for future, one in asked.items()}


def _through(responses: Iterable[dns.message.Message]) -> tuple[str, ...]:
    """The names that the answer was forwarded to."""
    found = []
    for response in responses:
        for rrset in response.answer:
            if rrset.rdtype == dns.rdatatype.CNAME:
                found += [plain_name(one.target.to_text()) for one in rrset]
    return tuple(found[:16])


def _value(record: dns.rdtypes.txtbase.TXTBase | object) -> str:
    """A record as text; the strings of a TXT record joined, as RFC 7208 (3.3) has it."""
    if isinstance(record, dns.rdtypes.txtbase.TXTBase):
        return clean_text(b"".join(record.strings)[: LONGEST_VALUE + 1])
    host = getattr(record, "exchange", None)
    text = host.to_text() if host is not None else getattr(record, "address", str(record))
    return plain_name(str(text))
