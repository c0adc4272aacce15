"""What is measured against the sink holds for the local Google: it answers the portal alike."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from portal.envelope import Gone, NeedsSignIn, ProviderAnswer, TryLater
from portal.providers.gmail import FULL_SCOPES, Call, Gmail
from tests import factories
from tests.bench import caller, sink
from tests.bench.mails import reference_mail

if TYPE_CHECKING:
    from portal.sandbox.server import SandboxServer

TOKEN = "5eed" * 8
BOX = 7


@pytest.fixture(scope="module")
def running_sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sink.Running]:
    with sink.running(tmp_path_factory.mktemp("sink")) as running:
        yield running


class Heard(Gmail):
    """The portal's own Gmail client, which remembers what it was answered."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(url, set(FULL_SCOPES), lambda refused: token, 5)
        self.answers: list[tuple[str, Any]] = []

    def _call(self, call: Call, *rest: Any, **more: Any) -> dict[str, Any]:
        answer = super()._call(call, *rest, **more)
        self.answers.append((call.name, shape(answer)))
        return answer


def shape(answer: Any) -> Any:
    """An answer without what it says: names and kinds alone, of a list its first."""
    if isinstance(answer, dict):
        return {name: shape(one) for name, one in answer.items()}
    if isinstance(answer, list):
        return [shape(one) for one in answer[:1]]
    return type(answer).__name__


def a_mail_and_its_copies(gmail: Gmail) -> None:
    """Everything the portal asks of Gmail about one mail, as it goes and where it goes wrong."""
    mime = reference_mail(BOX, TOKEN)
    gmail.addresses()
    left_over = gmail.create_draft(mime)
    assert gmail.find_draft(TOKEN) == left_over
    assert gmail.has_draft(left_over)
    gmail.restore_draft(left_over, mime)
    gmail.delete_draft(left_over)
    assert not gmail.has_draft(left_over)
    receipt = gmail.send_draft(gmail.create_draft(mime))
    copy = gmail.sent_copy(receipt.message_id)
    assert copy.at is not None
    found = gmail.find_sent(TOKEN, copy.at)
    assert found is not None
    assert found.message_id == copy.message_id
    gmail.send(mime, "", [])


def google_token(url: str) -> str:
    told = {"email": factories.OFFICE, "scopes": " ".join(FULL_SCOPES)}
    answer = requests.post(f"{url}/_sandbox/tokens", json=told, timeout=5)
    return str(answer.json()["access_token"])


def test_each_answer_has_the_shape_that_the_local_google_gives(
    running_sink: sink.Running, local_google: "SandboxServer"
) -> None:
    here = Heard(running_sink.url, caller.access_token_of(BOX))
    there = Heard(local_google.url, google_token(local_google.url))
    a_mail_and_its_copies(here)
    a_mail_and_its_copies(there)
    assert here.answers == there.answers


def test_a_sent_copy_bears_the_address_it_left_from(running_sink: sink.Running) -> None:
    gmail = Gmail(running_sink.url, set(FULL_SCOPES), lambda _: caller.access_token_of(BOX), 5)
    receipt = gmail.send_draft(gmail.create_draft(reference_mail(BOX, TOKEN)))
    assert caller.address_of(BOX) in gmail.sent_copy(receipt.message_id).sender
    assert running_sink.accepted()[-1][1:] == (BOX, TOKEN)


def refusal_of(call: Callable[[], object]) -> ProviderAnswer:
    with pytest.raises(ProviderAnswer) as caught:
        call()
    return caught.value


def test_it_refuses_in_the_words_of_the_local_google(
    running_sink: sink.Running, local_google: "SandboxServer"
) -> None:
    words = []
    for url, token, settings in (
        (running_sink.url, caller.access_token_of(BOX + 1), f"{running_sink.url}/_sink/settings"),
        (
            local_google.url,
            google_token(local_google.url),
            f"{local_google.url}/_sandbox/settings",
        ),
    ):
        gmail, stranger = Heard(url, token), Heard(url, "nobody's")
        gone = refusal_of(lambda gmail=gmail: gmail.send_draft("r1"))
        unknown = refusal_of(stranger.addresses)
        requests.post(settings, json={"units_per_minute": 105}, timeout=5).raise_for_status()
        limited = refusal_of(lambda gmail=gmail: gmail.create_draft(reference_mail(BOX, TOKEN)))
        requests.post(settings, json={"units_per_minute": 0}, timeout=5).raise_for_status()
        assert [type(one) for one in (gone, unknown, limited)] == [Gone, NeedsSignIn, TryLater]
        words.append([one.words for one in (gone, unknown, limited)])
    assert words[0] == words[1]


def test_a_refresh_gives_a_token_that_works(running_sink: sink.Running, tmp_path: Path) -> None:
    asked = {"grant_type": "refresh_token", "refresh_token": caller.refresh_token_of(BOX)}
    found = requests.get(f"{running_sink.url}/.well-known/openid-configuration", timeout=5).json()
    answer = requests.post(found["token_endpoint"], data=asked, timeout=5).json()
    gmail = Gmail(running_sink.url, set(FULL_SCOPES), lambda _: answer["access_token"], 5)
    assert [one.email for one in gmail.addresses()] == [caller.address_of(BOX)]
