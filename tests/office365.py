"""A local Microsoft as the tests speak to it, and mailboxes connected there."""

from typing import Any

import requests

from portal import mailboxes
from portal.accounts import User
from portal.mailboxes import Mailbox
from portal.providers.graph import FULL_SCOPES
from portal.providers.signing import Account, Grant
from tests import servers
from tests.factories import OFFICE


class Microsoft:
    """Steering, and the judge: the list of all that was taken to be sent."""

    def __init__(self, url: str) -> None:
        self.url = url

    @property
    def settings(self) -> dict[str, str]:
        """What points a portal here; it waits for nothing to settle."""
        return {**servers.pointed_at_microsoft(self.url), "MICROSOFT_SETTLES": "0"}

    def tell(self, what: str, **given: Any) -> Any:
        answer = requests.post(f"{self.url}/_sandbox/{what}", json=given, timeout=5)
        assert answer.ok, answer.text
        return answer.json()

    def steer(self, **settings: Any) -> None:
        self.tell("settings", **settings)

    def fault(self, method: str, kind: str, **more: Any) -> None:
        self.tell("faults", method=method, kind=kind, **more)

    def accepted(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("accepted")
        return found

    def ask(self, what: str) -> Any:
        return requests.get(f"{self.url}/_sandbox/{what}", timeout=5).json()

    def grant(self, email: str = OFFICE, scopes: tuple[str, ...] = FULL_SCOPES) -> dict[str, Any]:
        minted: dict[str, Any] = self.tell("tokens", email=email, scopes=" ".join(scopes))
        return minted


def connected(
    microsoft: Microsoft,
    email: str = OFFICE,
    *,
    owner: User | None = None,
    scopes: tuple[str, ...] = FULL_SCOPES,
) -> Mailbox:
    """A mailbox connected to the local Microsoft at this address."""
    minted = microsoft.grant(email, scopes)
    grant = Grant(
        minted["access_token"], minted["refresh_token"], minted["expires_in"], frozenset(scopes)
    )
    account = Account(f"{minted['oid']}@{minted['tid']}", email, "Bright Spark Plumbing", "")
    return mailboxes.connect(account, grant, owner=owner, kind="microsoft")
