"""Kind: one sort of document, and the words that tell it from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["customer", "supplier"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What pages, papers and mails need to know of a kind; they never ask which kind it is."""

    slug: str
    label: str
    plural: str
    prefix: str
    party_label: str
    site_label: str
    priced: bool
    due_label: str | None
    recipient: Role
    icon: str
    send_verb: str
    sent_text: str

    @property
    def noun(self) -> str:
        """The label inside a sentence."""
        return self.label.lower()

    def number(self, serial: int) -> str:
        return f"{self.prefix}{serial:04d}"

    def send_text(self, number: str, party: str, total: str | None = None) -> str:
        """The deed, as its button says it: "Send invoice INV-0042 ($1,240.00) to Mary Lee"."""
        amount = f" ({total})" if total and self.priced else ""
        return f"{self.send_verb} {number}{amount} to {party}"


_INVOICE = Kind(
    slug="invoice",
    label="Invoice",
    plural="Invoices",
    prefix="INV-",
    party_label="Bill to",
    site_label="Work done at",
    priced=True,
    due_label="Due",
    recipient="customer",
    icon="receipt",
    send_verb="Send invoice",
    sent_text="Invoice sent",
)

_QUOTE = Kind(
    slug="quote",
    label="Quote",
    plural="Quotes",
    prefix="QU-",
    party_label="Quote for",
    site_label="Work at",
    priced=True,
    due_label="Valid until",
    recipient="customer",
    icon="file-text",
    send_verb="Send quote",
    sent_text="Quote sent",
)

_PURCHASE_ORDER = Kind(
    slug="purchase_order",
    label="Purchase order",
    plural="Purchase orders",
    prefix="PO-",
    party_label="Supplier",
    site_label="Deliver to",
    priced=True,
    due_label="Deliver by",
    recipient="supplier",
    icon="package",
    send_verb="Send purchase order",
    sent_text="Purchase order sent",
)

_JOB = Kind(
    slug="job",
    label="Job",
    plural="Jobs",
    prefix="JOB-",
    party_label="Customer",
    site_label="Work at",
    priced=False,
    due_label="Scheduled for",
    recipient="customer",
    icon="wrench",
    send_verb="Send job",
    sent_text="Job sent",
)

_ENQUIRY = Kind(
    slug="enquiry",
    label="Enquiry",
    plural="Enquiries",
    prefix="ENQ-",
    party_label="Enquiry from",
    site_label="About work at",
    priced=False,
    due_label=None,
    recipient="customer",
    icon="message-question",
    send_verb="Send enquiry",
    sent_text="Enquiry sent",
)

KINDS: dict[str, Kind] = {
    kind.slug: kind for kind in (_INVOICE, _QUOTE, _PURCHASE_ORDER, _JOB, _ENQUIRY)
}
