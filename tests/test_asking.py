"""Name servers are asked all at once; what they do instead of answering keeps nobody waiting."""

from collections.abc import Iterator

import pytest

from portal.published import asking, judging
from portal.published.answers import LONGEST_VALUE, Answer, Kind, Question
from portal.published.asking import Resolver, find_out
from portal.published.ways import way_of
from portal.sandbox.nameserver import GARBAGE, REFUSED, SERVFAIL, SILENT, NameServer
from tests.servers import config_of

OURS = "brightspark.example"


@pytest.fixture(scope="module")
def server() -> Iterator[NameServer]:
    with NameServer() as running:
        running.zone |= {
            "split.example TXT": ['"v=spf1 include:_spf.goo" "gle.com ~all"'],
            "letters.example TXT": ['"v=spf1 include:x \\226\\128\\147all"'],
            "huge.example TXT": [" ".join(['"' + "x" * 250 + '"'] * 60)],
            "many.example TXT": [f'"record {n}"' for n in range(90)],
            "a.example CNAME": ["b.example."],
            "b.example CNAME": ["c.example."],
            "c.example TXT": ['"v=DKIM1; p=AA"'],
            "dangling.example CNAME": ["gone.example."],
            "circle.example CNAME": ["circle.example."],
            "quiet.example TXT": [SILENT],
            "broken.example TXT": [SERVFAIL],
            "lame.example TXT": [REFUSED],
            "noise.example TXT": [GARBAGE],
            "here.example MX": ["10 mail.here.example.", "0 ."],
            "here.example AAAA": ["2001:db8::1"],
        }
        yield running


@pytest.fixture
def ask(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> asking.Ask:
    monkeypatch.setattr(asking, "PATIENCE_FOR_ONE", 0.3)
    return Resolver(config_of(DNS_RESOLVER=server.address).dns_servers)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        (("brightspark.example", "TXT"), Kind.FOUND),
        (("brightspark.example", "A"), Kind.NOTHING),
        (("nobody.example", "TXT"), Kind.NO_NAME),
        (("dangling.example", "TXT"), Kind.NO_NAME),
        (("quiet.example", "TXT"), Kind.SILENT),
        (("broken.example", "TXT"), Kind.FAILED),
        (("lame.example", "TXT"), Kind.FAILED),
        (("x" * 70 + ".example", "TXT"), Kind.FAILED),
    ],
)
def test_what_became_of_a_question_is_told_apart(
    ask: asking.Ask, question: Question, kind: Kind
) -> None:
    assert ask(question, 1).kind is kind


def test_what_is_no_answer_at_all_is_none(ask: asking.Ask) -> None:
    assert not ask(("noise.example", "TXT"), 1).is_certain
    assert not ask(("circle.example", "TXT"), 1).values


def test_records_come_as_text_that_any_store_takes(ask: asking.Ask) -> None:
    def values(name: str, kind: str = "TXT") -> tuple[str, ...]:
        return ask((name, kind), 1).values

    assert values("split.example") == ("v=spf1 include:_spf.google.com ~all",)
    assert values("letters.example") == ("v=spf1 include:x \ufffdall",)
    (huge,) = values("huge.example")  # too large for UDP: it is asked for again over TCP
    assert len(huge) == LONGEST_VALUE
    assert len(values("many.example")) == 60
    assert set(values("here.example", "MX")) == {"mail.here.example", ""}
    assert values("here.example", "AAAA") == ("2001:db8::1",)


def test_a_chain_of_forwardings_is_followed_and_told(ask: asking.Ask) -> None:
    found = ask(("a.example", "TXT"), 1)
    assert found.values == ("v=DKIM1; p=AA",)
    assert found.through == ("b.example", "c.example")
    assert ask(("dangling.example", "TXT"), 1).through == ("gone.example",)


def test_a_whole_domain_is_asked_for_round_by_round_and_no_name_twice(
    server: NameServer, ask: asking.Ask
) -> None:
    server.asked.clear()
    ways = [way_of("gmail", OURS)]
    known = find_out(lambda sofar: judging.judge(OURS, ways, sofar).wanted, ask)
    assert len(server.asked) == len(set(server.asked)) == len(known)
    assert judging.judge(OURS, ways, known).ways[0].lights[0].tone == "good"


def test_a_server_that_never_answers_is_waited_for_so_long_and_no_longer() -> None:
    with NameServer({}) as server:
        server.zone = {f"{name} TXT": [SILENT] for name in (OURS, f"_dmarc.{OURS}")}
        ask = Resolver(config_of(DNS_RESOLVER=server.address).dns_servers)
        ways = [way_of("gmail", OURS)]
        known = find_out(lambda sofar: judging.judge(OURS, ways, sofar).wanted, ask, 0.3)
    report = judging.judge(OURS, ways, known)
    assert report.tone == "open" and not report.wanted
    assert known[OURS, "TXT"] == Answer(Kind.SILENT)


def test_records_that_lead_ever_further_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "MOST_QUESTIONS", 20)
    asked: list[Question] = []

    def endless(question: Question, _seconds: float) -> Answer:
        asked.append(question)
        return Answer(Kind.FOUND, ("x",))

    wanted = find_out(lambda sofar: [(f"n{len(sofar)}.example", "TXT")], endless)
    assert len(asked) == 20
    assert [one.kind for one in wanted.values()].count(Kind.SILENT) == 1


def test_where_this_machine_knows_no_name_server_nothing_is_claimed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import dns.resolver

    def nothing(*_: object, **__: object) -> None:
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(dns.resolver.Resolver, "read_resolv_conf", nothing)
    assert not Resolver()(("brightspark.example", "TXT"), 1).is_certain
