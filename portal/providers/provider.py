"""Provider: what each mailbox can be asked, whoever runs it. The interface and its promises.

Every call ends in what it returns or in one ProviderAnswer (portal.envelope). What a provider
cannot do is not offered by its abilities, and raises Cannot where it is asked for all the same: it
never does nothing in silence. docs/providers.md says how to add one; tests/contract holds each to
the same answers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from portal.envelope import Receipt, SentCopy
from portal.pace import Tariff


class Cannot(Exception):
    """A provider was asked for what it does not offer. A mistake of the portal's own."""


@dataclass(frozen=True)
class Abilities:
    """What a mailbox offers, by its provider and by what its owner granted.

    two_phase: a draft can serve as the commit token. list_addresses: the provider itself says from
    which addresses the mailbox may send. read_sent: the sent copy can be read, and so the From that
    it bears.
    """

    send: bool = False
    two_phase: bool = False
    list_addresses: bool = False
    read_sent: bool = False


@dataclass(frozen=True)
class Permission:
    """One line on the provider's page: what it writes there, and what fails without it."""

    asked: str
    without: str


@dataclass(frozen=True)
class ListedAddress:
    """One send-from address as the provider lists it. verification: accepted or pending."""

    email: str
    name: str
    verification: str
    is_primary: bool
    is_default: bool


class Provider(ABC):
    """One mailbox, ready to be called. No call is made with a transaction open.

    spend: told the name of each call, as in the tariff, right before it is made; what it raises
    keeps it from being made.
    """

    #: What a person calls it.
    label: ClassVar[str]
    #: What it counts for each call.
    tariff: ClassVar[Tariff]

    #: For so many seconds after a hand-over its drafts and lists say nothing certain.
    settles_after: float = 0.0
    abilities: Abilities
    spend: Callable[[str], None]

    @property
    def can_send(self) -> bool:
        return self.abilities.send

    @property
    def two_phase(self) -> bool:
        """Whether a draft can serve as the commit token."""
        return self.abilities.two_phase

    @property
    def can_list_addresses(self) -> bool:
        return self.abilities.list_addresses

    @property
    def can_read_sent(self) -> bool:
        return self.abilities.read_sent

    @property
    def sending_units(self) -> int:
        """What handing over one message costs, all its calls together."""
        return self.tariff.sending(drafts=self.two_phase)

    @property
    def reading_units(self) -> int:
        """What reading one sent copy costs; nothing where none can be read."""
        return self.tariff.reading if self.can_read_sent else 0

    # -- sending in one step -----------------------------------------------------------------------

    @abstractmethod
    def send(self, mime: bytes, sender: str, recipients: Sequence[str]) -> Receipt:
        """Hand a message over at once. sender and recipients: the bare addresses of its envelope.

        Raises OutcomeUnknown unless the answer is certain; NotAllowed where the provider does not
        let this mailbox send as this address.
        """

    # -- sending by way of a draft -----------------------------------------------------------------

    def create_draft(self, mime: bytes) -> str:
        """Leave the message as a draft; nothing is sent by it. Returns the draft's id."""
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    def restore_draft(self, draft_id: str, mime: bytes) -> str:
        """Put the frozen bytes back into a draft that lay open to its owner's hands.

        Returns the draft's id, which may be a new one. Raises Gone where it vanished.
        """
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    def send_draft(self, draft_id: str) -> Receipt:
        """Send a draft. Raises OutcomeUnknown unless the answer is certain; Gone if it vanished."""
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    def delete_draft(self, draft_id: str) -> None:
        """Take a draft away, so that nobody sends by hand what was refused or cancelled."""
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    def has_draft(self, draft_id: str) -> bool:
        """Whether the draft is still there unsent: if so, it had not left."""
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    def find_draft(self, token: str) -> str | None:
        """The id of the draft that bears our dispatch header, if one was left behind."""
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    def drafts(self) -> Iterator[tuple[str, str]]:
        """The drafts, newest first: id, and our dispatch header or nothing."""
        raise Cannot(f"{self.label} keeps no drafts for the portal.")

    # -- what it shows afterwards ------------------------------------------------------------------

    def addresses(self) -> list[ListedAddress]:
        """The send-from addresses the provider lists for this mailbox."""
        raise Cannot(f"{self.label} does not say from which addresses a mailbox may send.")

    def candidates(self) -> list[str]:
        """Further addresses of the account that it may perhaps send from, to be tried out."""
        return []

    def sent_copy(self, message_id: str) -> SentCopy:
        """What the copy in Sent says. Raises Gone when there is none, OnItsWay while there is none
        yet."""
        raise Cannot(f"{self.label} shows the portal no sent copies.")

    def find_sent(self, token: str, about: datetime) -> SentCopy | None:
        """The sent copy that bears our dispatch header, taken about a moment by its clock."""
        raise Cannot(f"{self.label} shows the portal no sent copies.")

    def find_sent_since(self, token: str, moment: datetime, looks: int) -> SentCopy | None:
        """The sent copy that bears our dispatch header, whenever it left since a moment.

        looks: how many have been before; each goes on, further back, where the one before ended.
        """
        raise Cannot(f"{self.label} shows the portal no sent copies.")

    def sent_since(self, moment: datetime) -> list[str]:
        """The ids of all that was sent since a moment, newest first."""
        raise Cannot(f"{self.label} shows the portal no sent copies.")
