"""Office: a local mail server as its pages and its steering know it, over HTTP beside SMTP."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from portal.sandbox.faults import Faults
from portal.sandbox.post.desk import Desk


@dataclass(frozen=True)
class Office:
    """where: how a mailbox is connected to it, for people."""

    desk: Desk
    where: str = ""

    @property
    def faults(self) -> Faults:
        return self.desk.faults


def current() -> Office:
    office: Office = current_app.extensions["local_post"]
    return office
