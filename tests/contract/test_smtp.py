"""Smtp: each raw reply of a mail server is a receipt, refused, not now, not allowed or unclear.

Held against a local mail server over real sockets; it says how often it accepted a message.
"""

import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.envelope import (
    NeedsSignIn,
    NotAllowed,
    OperatorProblem,
    OutcomeUnknown,
    ProviderAnswer,
    Refused,
    TryLater,
)
from portal.hosts import Ip, entries, is_open
from portal.providers import KINDS, smtp
from portal.providers.obstacles import SENTENCES, Problem, harmless
from portal.providers.provider import Cannot
from portal.providers.smtp import Smtp
from portal.providers.submission import Secret, Security, Server, Terms, Unusable, of_url
from portal.sandbox.post import Post

OFFICE, MARY = "office@brightspark.example", "mary.lee@homes.example"
SUE = "sue@homes.example"
PASSWORD = "the office's password"
MAIL = b"From: office@brightspark.example\r\nSubject: Hello\r\n\r\n.a dot\r\n..two\r\nbye\r\n"
#: Seconds; so that a server that says nothing is given up soon.
HASTE = 0.4


def mailbox(
    post: Post,
    *,
    security: Security = Security.TLS,
    password: str = PASSWORD,
    token: str = "",
    timeout: float = 5.0,
    port: int = 0,
    clear: str = "",
) -> Smtp:
    port = port or (post.tls_port if security is Security.TLS else post.port)
    server = Server("127.0.0.1", port, security, OFFICE)
    terms = Terms(entries(f"127.0.0.1:{port}"), entries(clear), post.authority)
    return Smtp(server, lambda: Secret(password, token), terms, timeout)


def answer(provider: Smtp, *recipients: str, mime: bytes = MAIL) -> ProviderAnswer:
    with pytest.raises(ProviderAnswer) as caught:
        provider.send(mime, OFFICE, recipients or (MARY,))
    return caught.value


# What goes well


@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_an_accepted_message_is_the_very_bytes(post: Post, security: Security) -> None:
    receipt = mailbox(post, security=security).send(MAIL, OFFICE, (MARY, SUE))
    (kept,) = post.desk.accepted
    assert kept.raw == MAIL  # the dots are whole again
    assert (kept.sender, kept.recipients, kept.user) == (OFFICE, (MARY, SUE), OFFICE)
    assert receipt.message_id == "" and "queued as 00000001" in receipt.words


def test_one_connection_carries_many_messages(post: Post) -> None:
    provider = mailbox(post)
    for _ in range(3):
        provider.send(MAIL, OFFICE, (MARY,))
    assert (post.desk.log_ins, len(post.desk.accepted)) == (1, 3)


def test_a_connection_the_server_has_closed_is_opened_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = mailbox(post)
    provider.send(MAIL, OFFICE, (MARY,))
    post.desk.spoil("MAIL", "421 4.4.2 idle for too long")
    provider.send(MAIL, OFFICE, (MARY,))
    post.desk.spoil("MAIL")  # cut, without a word
    provider.send(MAIL, OFFICE, (MARY,))
    monkeypatch.setattr(smtp, "ASK_AFTER", 0.0)
    post.desk.spoil("RSET")
    provider.send(MAIL, OFFICE, (MARY,))
    assert (post.desk.log_ins, len(post.desk.accepted)) == (4, 4)


def test_a_new_password_is_a_new_connection(post: Post) -> None:
    mailbox(post).send(MAIL, OFFICE, (MARY,))
    assert isinstance(answer(mailbox(post, password="another")), NeedsSignIn)


def test_the_password_may_have_any_letters(post: Post) -> None:
    post.desk.add(OFFICE, "schlüssel 🔑")
    mailbox(post, password="schlüssel 🔑").send(MAIL, OFFICE, (MARY,))
    assert post.desk.accepted


def test_a_token_logs_in_too_and_a_bad_one_says_why(post: Post) -> None:
    post.desk.add(OFFICE, PASSWORD, token="good")
    mailbox(post, token="good").send(MAIL, OFFICE, (MARY,))
    refused = answer(mailbox(post, token="stale"))
    assert isinstance(refused, NeedsSignIn) and '"status":"401"' in refused.words


def test_who_was_turned_away_is_said_and_the_others_have_it(post: Post) -> None:
    post.desk.spoil("RCPT", "550 5.1.1 no such user", about="sue@")
    receipt = mailbox(post).send(MAIL, OFFICE, (MARY, SUE))
    assert post.desk.accepted[0].recipients == (MARY,)
    assert [(one.email, one.words) for one in receipt.turned_away] == [
        (SUE, "550 5.1.1 no such user")
    ]


# What each refusal means, at each moment; nothing of it is accepted

REPLIES: list[tuple[str, str, type[ProviderAnswer]]] = [
    ("MAIL", "451 4.3.0 later", TryLater),
    ("MAIL", "553 5.7.1 sender not yours", NotAllowed),
    ("MAIL", "550 5.7.1 no", NotAllowed),
    ("MAIL", "552 5.3.4 too large", Refused),
    ("MAIL", "530 5.7.0 log in", NeedsSignIn),
    ("MAIL", "550 5.4.5 daily sending quota exceeded", TryLater),
    ("RCPT", "450 4.2.1 greylisted", TryLater),
    ("RCPT", "550 5.1.1 no such user", Refused),
    ("RCPT", "553 5.7.1 Sender address rejected: not owned by user x", NotAllowed),
    ("RCPT", "550 you have exceeded the max emails per hour (50/50)", TryLater),
    ("DATA", "451 4.3.0 later", TryLater),
    ("DATA", "554 5.5.1 no", Refused),
    (".", "451 4.3.0 later", TryLater),
    (".", "421 4.3.2 closing", TryLater),
    (".", "452 4.5.3 too many messages, slow down", TryLater),
    (".", "554 5.7.1 looks like spam", Refused),
    (".", "554 5.2.252 SendAsDenied; not allowed to send as tom", NotAllowed),
]


@pytest.mark.parametrize(("moment", "reply", "meaning"), REPLIES)
def test_a_refusal_is_certain_wherever_it_comes(
    post: Post, moment: str, reply: str, meaning: type[ProviderAnswer]
) -> None:
    post.desk.spoil(moment, reply)
    found = answer(mailbox(post))
    assert type(found) is meaning, found.words
    assert found.words == reply
    assert not post.desk.accepted


def test_a_server_that_is_too_busy_slows_the_mailbox_down(post: Post) -> None:
    post.desk.spoil("MAIL", "451 4.7.1 rate limit, slow down")
    found = answer(mailbox(post))
    assert isinstance(found, TryLater) and found.too_fast


def test_a_passing_refusal_of_one_of_none_is_tried_again(post: Post) -> None:
    post.desk.spoil("RCPT", "550 5.1.1 no such user", about="sue@")
    post.desk.spoil("RCPT", "451 4.2.1 later", about="mary")
    assert isinstance(answer(mailbox(post), MARY, SUE), TryLater)


@pytest.mark.parametrize("moment", ["CONNECT", "EHLO", "AUTH", "MAIL", "RCPT", "DATA"])
def test_a_cut_before_the_dot_is_certain(post: Post, moment: str) -> None:
    post.desk.spoil(moment, times=2)
    assert isinstance(answer(mailbox(post)), TryLater)
    assert not post.desk.accepted


@pytest.mark.parametrize("moment", ["EHLO", "MAIL", "DATA"])
def test_silence_before_the_dot_is_certain(post: Post, moment: str) -> None:
    post.desk.spoil(moment, delay=60, times=2)
    found = answer(mailbox(post, timeout=HASTE))
    assert isinstance(found, TryLater) and "in time" in found.words


# After the dot only a reply is certain


@pytest.mark.parametrize("accepts", [True, False])
@pytest.mark.parametrize("how", ["cut", "silence", "garbage"])
def test_without_a_reply_to_the_dot_it_is_unclear(post: Post, how: str, accepts: bool) -> None:
    reply, delay = ("what is this" if how == "garbage" else ""), (60 if how == "silence" else 0)
    post.desk.spoil(".", reply, accepts=accepts, delay=delay)
    found = answer(mailbox(post, timeout=HASTE))
    assert isinstance(found, OutcomeUnknown), found.words
    assert len(post.desk.accepted) <= 1


# What is found out before anything is sent


def test_too_large_or_not_plain_is_refused_before_it_travels(post: Post) -> None:
    large = MAIL + b"x" * 37_000_000 + b"\r\n"
    assert "too large" in answer(mailbox(post), mime=large).message
    assert isinstance(answer(mailbox(post), "mary@höuse.example"), Refused)
    assert isinstance(answer(mailbox(post), mime=MAIL + b"bare\n"), Refused)
    assert post.desk.connections <= 1 and not post.desk.accepted


def test_letters_beyond_ascii_travel_as_they_are(post: Post) -> None:
    mime = MAIL + "Grüße\r\n".encode()
    mailbox(post).send(mime, OFFICE, (MARY,))
    assert post.desk.accepted[0].raw == mime


# Connecting: each problem is itself


def unusable(provider: Smtp) -> Problem:
    with pytest.raises(Unusable) as caught:
        provider.check(OFFICE, HASTE * 4)
    return caught.value.problem


def test_a_check_sends_nothing(post: Post) -> None:
    mailbox(post).check(OFFICE, 5)
    assert post.desk.log_ins == 1 and not post.desk.accepted


@pytest.mark.parametrize(
    ("shown", "problem"),
    [
        ("expired", Problem.EXPIRED),
        ("self-signed", Problem.SELF_SIGNED),
        ("other-name", Problem.WRONG_NAME),
    ],
)
@pytest.mark.parametrize("security", [Security.TLS, Security.STARTTLS])
def test_a_bad_certificate_ends_it_before_the_password(
    post: Post, security: Security, shown: str, problem: Problem
) -> None:
    post.show(shown)
    assert unusable(mailbox(post, security=security)) is problem
    assert isinstance(answer(mailbox(post, security=security)), OperatorProblem)
    assert post.desk.log_ins == 0


SPOILT: list[tuple[str, Callable[[Post], object], Problem]] = [
    ("greeting", lambda post: post.desk.spoil("CONNECT", "554 5.7.1 no"), Problem.TURNED_AWAY),
    ("busy", lambda post: post.desk.spoil("CONNECT", "421 4.3.2 busy"), Problem.BUSY),
    ("silent", lambda post: post.desk.spoil("CONNECT", delay=60), Problem.SILENT),
    ("other", lambda post: post.desk.spoil("CONNECT", "SSH-2.0-x"), Problem.NOT_MAIL),
    ("later", lambda post: post.desk.spoil("AUTH", "454 4.7.0 later"), Problem.BUSY),
    ("wrong", lambda post: post.desk.spoil("AUTH", "535 5.7.8 no"), Problem.WRONG_PASSWORD),
    (
        "app",
        lambda post: post.desk.spoil("AUTH", "534 5.7.9 Application-specific password required"),
        Problem.APP_PASSWORD,
    ),
    (
        "off",
        lambda post: post.desk.spoil("AUTH", "535 5.7.139 Authentication unsuccessful, disabled"),
        Problem.PASSWORDS_OFF,
    ),
    ("sender", lambda post: post.desk.spoil("MAIL", "553 5.7.1 not yours"), Problem.SENDER),
]


@pytest.mark.parametrize(("spoil", "problem"), [one[1:] for one in SPOILT], ids=lambda _: "")
def test_each_way_to_fail_is_told_apart(
    post: Post, spoil: Callable[[Post], object], problem: Problem
) -> None:
    spoil(post)
    assert unusable(mailbox(post)) is problem


def test_nothing_goes_in_the_clear_unless_the_operator_allowed_it() -> None:
    with Post(secure=False) as bare:
        bare.desk.add(OFFICE, PASSWORD)
        assert unusable(mailbox(bare, security=Security.STARTTLS)) is Problem.NO_TLS
        assert unusable(mailbox(bare, security=Security.CLEAR)) is Problem.NO_TLS
        assert bare.desk.log_ins == 0
        clear = f"127.0.0.0/8:{bare.port}"
        mailbox(bare, security=Security.CLEAR, clear=clear).send(MAIL, OFFICE, (MARY,))
        assert bare.desk.accepted


def test_a_port_that_is_shut_and_one_that_is_forbidden(post: Post) -> None:
    assert unusable(mailbox(post, port=9)) is Problem.CLOSED
    server = Server("127.0.0.1", post.tls_port, Security.TLS, OFFICE)
    strict = Smtp(server, lambda: Secret(PASSWORD), Terms((), (), post.authority), 5)
    assert unusable(strict) is Problem.FORBIDDEN
    assert post.desk.connections == 0


def test_a_server_that_goes_away_before_it_is_encrypted_is_tried_again_soon(post: Post) -> None:
    with socket.create_server(("127.0.0.1", 0)) as going:
        port = going.getsockname()[1]
        away = threading.Thread(target=lambda: _hear_and_close(going), daemon=True)
        away.start()
        problem = answer(mailbox(post, port=port))
        away.join(5)
    assert isinstance(problem, TryLater) and problem.after == smtp.SOON


def _hear_and_close(listener: socket.socket) -> None:
    line, _ = listener.accept()
    with line:
        line.recv(4096)


# What it cannot do raises, and what it shows is harmless


def test_what_a_mail_server_cannot_do_raises(post: Post) -> None:
    provider, token = mailbox(post), "token"
    now = datetime.now(UTC)
    calls: list[Callable[[], object]] = [
        lambda: provider.create_draft(MAIL),
        lambda: provider.restore_draft("1", MAIL),
        lambda: provider.send_draft("1"),
        lambda: provider.delete_draft("1"),
        lambda: provider.has_draft("1"),
        lambda: provider.find_draft(token),
        provider.drafts,
        provider.addresses,
        lambda: provider.sent_copy("1"),
        lambda: provider.find_sent(token, now),
        lambda: provider.find_sent_since(token, now, 0),
        lambda: provider.sent_since(now),
    ]
    for call in calls:
        with pytest.raises(Cannot, match="mail server"):
            call()
    assert provider.abilities == KINDS["smtp"].abilities(set())
    assert provider.can_send and not provider.two_phase and not provider.can_read_sent


def test_words_of_an_inner_network_are_left_out(post: Post) -> None:
    post.desk.spoil("RCPT", "550 5.1.1 mx3.office.lan [10.0.3.7] says no; ::ffff:192.168.1.9")
    words = answer(mailbox(post)).words
    assert words == "550 5.1.1 [inner name] [[inner address]] says no; [inner address]"
    assert "queued" in harmless("250 2.0.0 Ok: queued as 4F at 8.8.8.8 by mx.example.com")


@given(
    st.ip_addresses().filter(lambda one: not is_open(one)),
    st.sampled_from(["", " ", "[", "(", "at "]),
    st.sampled_from(["", " ", "]", ".", ":25", ", "]),
)
def test_no_address_of_an_inner_network_gets_through(address: Ip, before: str, after: str) -> None:
    after = after if address.version == 4 or after != ":25" else "]:25"
    assert str(address) not in harmless(f"550 {before}{address}{after} no")


def test_every_problem_has_its_sentence_and_its_step() -> None:
    assert set(SENTENCES) == set(Problem)
    assert len({one[0] for one in SENTENCES.values()}) == len(SENTENCES)
    server = Server("mail.example", 465, Security.TLS, OFFICE)
    for problem in Problem:
        said = Unusable(problem)
        for text in (said.sentence(server), said.next_step(server)):
            assert text.endswith(".") and "{" not in text


def test_a_relays_address_is_taken_apart() -> None:
    server, password = of_url("smtps://office%40x.example:p%2Fw@mail.x.example")
    assert server == Server("mail.x.example", 465, Security.TLS, "office@x.example")
    assert password == "p/w"
    assert of_url("smtp://10.0.0.5:25")[0] == Server("10.0.0.5", 25, Security.STARTTLS)
    assert of_url("smtp://10.0.0.5:25?clear")[0].security is Security.CLEAR


def test_one_mailbox_in_two_hands_uses_two_connections(post: Post) -> None:
    provider = mailbox(post)
    hands = [
        threading.Thread(target=lambda: provider.send(MAIL, OFFICE, (MARY,))) for _ in range(6)
    ]
    for one in hands:
        one.start()
    for one in hands:
        one.join()
    assert [one.raw for one in post.desk.accepted] == [MAIL] * 6
