"""Verification: the mail, code and link by which an address proves that its owner agrees."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from portal.sandbox import accounts, addresses, sending
from portal.sandbox.accounts import Account
from portal.sandbox.addresses import Address
from portal.sandbox.google import LocalGoogle
from portal.sandbox.mailbox import new_message_id

SENDER = "Gmail Team <gmail-noreply@google.com>"


def request_proof(google: LocalGoogle, account: Account, address: Address, origin: str) -> bool:
    """Mails code and link to the address; False where no inbox of ours can receive them."""
    owner = accounts.receiving(google.store, address.email)
    if owner is None or address.code is None:
        return False
    sending.receive(google, owner, _mail(google, account, address, origin))
    return True


def confirm_by_code(google: LocalGoogle, address: Address, code: str) -> bool:
    if address.code is None or "".join(code.split()) != address.code:
        return False
    addresses.confirm(google.store, address)
    return True


def _mail(google: LocalGoogle, account: Account, address: Address, origin: str) -> bytes:
    mail = EmailMessage(policy=SMTP)
    whose = account.domain if account.workspace else "Gmail"
    mail["From"] = SENDER
    mail["To"] = address.email
    mail["Subject"] = f"{whose} Confirmation - Send Mail as {address.email}"
    mail["Message-ID"] = new_message_id()
    mail["Date"] = format_datetime(google.clock.on_the_wall(google.clock.now()))
    mail.set_content(
        f"{account.email} would like to send mail as {address.email}.\n\n"
        f"Confirmation code: {address.code}\n\n"
        f"If you agree, open this link and press Confirm:\n\n"
        f"{origin}/mail/confirm/{address.link}\n\n"
        "Or give the code to the person who asked, to be typed into the Gmail settings.\n"
        "If you do not agree, do nothing: no mail will be sent in your name.\n"
    )
    return mail.as_bytes()
