"""Asks for dispatches the way a request of the portal does, each in a process that may be killed.

python -m tests.faults.asker reads one JSON line for each document: whose it is, from which address
it goes, where to ask at failpoints. Like a person who saw no page, it presses again until one is
there; then it writes the document's number.
"""

import json
import os
import sys
import time
from typing import Any

from portal import create_app, dispatch, failpoints
from portal.accounts import User
from portal.config import Config
from portal.dispatch import Wish
from portal.documents import Document
from portal.envelope import Mailable
from portal.extensions import db
from portal.senders import Choice, Mode

MOST_PRESSES = 60


def main() -> None:
    app = create_app(Config.from_env())
    for line in sys.stdin:
        asked = json.loads(line)
        for _ in range(MOST_PRESSES):
            if _in_a_child(lambda asked=asked: _ask(app, asked)):  # type: ignore[misc]
                print(asked["document"], flush=True)
                break
            time.sleep(0.3)


def _in_a_child(deed: Any) -> bool:
    """Whether a forked process did it, and lived."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    try:
        deed()
    except BaseException as problem:
        print(f"not asked: {problem!r}"[:300], file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def _ask(app: Any, asked: dict[str, Any]) -> None:
    failpoints.STEERED_BY = asked["steered_by"]
    with app.app_context():
        document = db.session.get_one(Document, asked["document"])
        user = db.session.get_one(User, asked["user"])
        sender = Mailable(asked["from"], "Bright Spark Plumbing")
        why = "chosen for this sending"
        choice = Choice(sender, asked["mailbox"], asked["from"], Mode.SPECIFIED, why)
        wish = Wish(1, ("mary.lee@homes.example",), (), "Your invoice", "Attached.")
        dispatch.request(document, user, wish, choice)


if __name__ == "__main__":
    main()
