"""Roads: the way to each provider's page where people sign in, and where it brings them back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import Response, current_app, url_for

from portal.config import Config
from portal.mailboxes import SIGN_INS, Health, Mailbox
from portal.providers import KINDS, gmail, microsoft
from portal.providers.provider import Access
from portal.providers.signing import Account, Grant
from portal.web.journey import Level


@dataclass(frozen=True)
class Road:
    """One kind of mailbox that one signs in to.

    back: the endpoint that people are brought back to. setting: what the operator sets once this
    provider knows the portal. levels: how much can be asked for, and by which permissions.
    """

    kind: str
    back: str
    setting: str
    levels: Mapping[str, Callable[[Config], tuple[str, ...]]]

    @property
    def who(self) -> str:
        """With whom one signs in."""
        return KINDS[self.kind].account

    @property
    def is_open(self) -> bool:
        """Whether the provider knows this portal."""
        return bool(getattr(config(), self.setting))

    @property
    def is_local(self) -> bool:
        """Whether the provider is a local stand-in."""
        found = config()
        return found.is_local_google if self.kind == "gmail" else found.is_local_microsoft

    @property
    def callback(self) -> str:
        """Where people are brought back to: by configuration alone, never by the Host header."""
        return config().PUBLIC_URL + url_for(self.back)

    def begin(self, level: str, login_hint: str) -> tuple[Response, str]:
        """Send the browser there. Returns the redirect and its state.

        level: how much is asked for; all of it where this provider knows no such level.
        """
        scopes = self.levels.get(level, self.levels[Level.FULL])(config())
        return SIGN_INS[self.kind].begin(self.callback, scopes, login_hint)

    def finish(self) -> tuple[Account, Grant]:
        """Take the browser's return. Raises SignInProblem."""
        return SIGN_INS[self.kind].finish()


ROADS = {
    "gmail": Road(
        "gmail",
        "connections.callback",
        "GOOGLE_CLIENT_ID",
        {
            Level.FULL: lambda _: gmail.FULL_SCOPES,
            Level.WHOLE: lambda _: gmail.WHOLE_SCOPES,
            Level.SEND_ONLY: lambda _: gmail.SEND_ONLY_SCOPES,
        },
    ),
    "microsoft": Road(
        "microsoft",
        "connections.microsoft_callback",
        "MICROSOFT_CLIENT_ID",
        {Level.FULL: microsoft.scopes_of},
    ),
}


def level_for(box: Mailbox | None, level: str) -> str:
    """How much to ask for: who let whole messages be read does not take that back by signing in
    again."""
    if box is None or box.health == Health.DISCONNECTED or level != Level.FULL:
        return level
    return Level.WHOLE if box.abilities.incoming is Access.WHOLE else level


def usual() -> Road:
    """The road that is taken where none was chosen: the first whose provider knows the portal."""
    return next((one for one in ROADS.values() if one.is_open), ROADS["gmail"])


def config() -> Config:
    found: Config = current_app.config["PORTAL"]
    return found
