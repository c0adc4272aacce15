"""Application: the portal's access in its own name, where a mail server takes no passwords.

OAuth 2.0's client credentials (RFC 6749, 4.4) through Authlib: the operator's client id and secret
are enough, and nobody signs in. So Exchange Online takes mail by SMTP (SMTP.SendAsApp), and a mail
server of one's own that has a sign-in service.
"""

import threading
import time
from dataclasses import dataclass, field

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

from portal.envelope import OperatorProblem, TryLater

#: Seconds before its end at which a token is no longer used, and how long one lives that does not
#: say.
EARLY, USUAL_LIFE = 90.0, 600.0
#: What passes by itself, of what a token endpoint answers.
PASSING = ("temporarily_unavailable", "server_error", "slow_down")
REFUSED = (
    "The sign-in service of the portal’s relay does not accept RELAY_CLIENT_ID, "
    "RELAY_CLIENT_SECRET or RELAY_TOKEN_SCOPE."
)
UNREACHABLE = "The sign-in service of the portal’s relay could not be reached."


@dataclass(frozen=True)
class Client:
    """How the portal shows who it is. url: of the token endpoint; timeout: in seconds."""

    url: str
    client_id: str
    secret: str = field(repr=False)
    scope: str = ""
    timeout: float = 30.0


_kept: dict[Client, tuple[str, float]] = {}
_lock = threading.Lock()


def token(client: Client) -> str:
    """An access token, asked for anew when the last one ends. Raises OperatorProblem, TryLater."""
    with _lock:
        found, ends = _kept.get(client, ("", 0.0))
        if found and time.monotonic() < ends:
            return found
        found, lifetime = _asked(client)
        _kept[client] = found, time.monotonic() + lifetime - EARLY
        return found


def forget(client: Client) -> bool:
    """Its token was refused: the next one is asked for anew. Whether there was one."""
    with _lock:
        return _kept.pop(client, None) is not None


def _asked(client: Client) -> tuple[str, float]:
    """A new token, and the seconds that it lives."""
    try:
        with OAuth2Session(client.client_id, client.secret, scope=client.scope or None) as session:
            answer = session.fetch_token(
                client.url,
                grant_type="client_credentials",
                timeout=client.timeout,
                allow_redirects=False,
            )
        return str(answer["access_token"]), float(answer.get("expires_in") or USUAL_LIFE)
    except OAuthError as problem:
        words = f"{problem.error}: {problem.description or ''}"[:300]
        if problem.error in PASSING:
            raise TryLater(UNREACHABLE, words) from problem
        raise OperatorProblem(REFUSED, words) from problem
    except (requests.RequestException, ValueError, TypeError, KeyError) as problem:
        raise TryLater(UNREACHABLE, type(problem).__name__) from problem
