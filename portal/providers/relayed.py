"""Relayed: mail through the operator's own server, whose log-in is the operator's to mend."""

from collections.abc import Callable, Sequence

from portal.envelope import NeedsSignIn, OperatorProblem, Receipt
from portal.providers.smtp import Smtp
from portal.providers.submission import Secret, Server, Terms

WRONG_LOG_IN = "The portal’s relay does not accept its log-in: look at RELAY_URL."


class Relayed(Smtp):
    """One server that the operator named.

    renew: told when a log-in was refused; whether another secret can be asked for now.
    """

    label = "the portal’s relay"

    def __init__(
        self,
        server: Server,
        secret: Callable[[], Secret],
        terms: Terms,
        timeout: float,
        renew: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(server, secret, terms, timeout)
        self._renew = renew

    def send(self, mime: bytes, sender: str, recipients: Sequence[str]) -> Receipt:
        try:
            return super().send(mime, sender, recipients)
        except NeedsSignIn as refusal:  # certain: nothing was accepted
            if not self._renew():
                raise OperatorProblem(WRONG_LOG_IN, refusal.words) from refusal
        try:
            return super().send(mime, sender, recipients)
        except NeedsSignIn as refusal:
            raise OperatorProblem(WRONG_LOG_IN, refusal.words) from refusal
