"""The worker: serves the doorbell, and rings for itself so that nothing depends on it.

Start as many as you like, on as many machines as share the database and Redis.
"""

import gc
import os
import sys

# RQ forks a work-horse per drain. On macOS the Objective-C runtime stops a forked child unless told
# otherwise before the process starts to use it.
os.environ.setdefault("OBJC_DISABLE_INITIALIZE_FORK_SAFETY", "YES")

from sqlalchemy.exc import OperationalError

from portal import create_app, delivery, logs, mailboxes, queueing, relay, workers
from portal.config import Config, ConfigProblem
from portal.extensions import db
from portal.providers import imap, smtp, wire
from portal.vault import CannotOpen


def main() -> int:
    """Work until told to stop. Returns the exit status."""
    try:
        config = Config.from_env()
        logs.begin(config.LOG_FORMAT)
        app = create_app(config)
    except ConfigProblem as problem:
        print(f"The worker cannot start: {problem}", file=sys.stderr)
        return 2
    if not config.REDIS_URL:
        print("The worker cannot start: REDIS_URL is not set.", file=sys.stderr)
        return 2
    with app.app_context():
        if status := _refusal():
            return status
        relay.keep()
        workers.begin()
        # What the start made lives as long as the process: a work-horse need not search it again
        # for what could be thrown away, nor copy it to do so.
        gc.collect()
        gc.freeze()
        try:
            queueing.serve(config, before_fork=_forget_shared, tell=workers.beat)
        finally:
            workers.gone()
    return 0


#: Imported here once, so that a work-horse finds its job without importing anything.
JOB = delivery.drain


def _refusal() -> int:
    """0, or the exit status where the store stays away or does not fit; says so on stderr."""
    try:
        workers.wait_for_store(mailboxes.refuse_unreadable)
    except CannotOpen as problem:
        print(f"The worker cannot start: TOKEN_KEYS does not fit: {problem}.", file=sys.stderr)
        return 2
    except OperationalError as problem:
        told = f"The worker cannot start: the database does not answer: {workers.why(problem)}."
        print(told, file=sys.stderr)
        return 1
    return 0


def _forget_shared() -> None:
    """Nothing that the parent opened may be used on both sides of a fork."""
    db.session.remove()
    db.engine.dispose()
    wire.forget_connections()
    smtp.forget_connections()
    imap.forget_connections()


if __name__ == "__main__":
    sys.exit(main())
