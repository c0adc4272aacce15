"""Starts a local mail server: `python -m portal.sandbox.post --port 8027 --web-port 8029`.

Every address may log in with one password and send as itself. What was accepted lies as .eml files
in the folder, and is shown on pages at the web port.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from pathlib import Path

from portal.sandbox.doors import HOST
from portal.sandbox.post.app import PostOffice
from portal.sandbox.post.desk import Desk
from portal.sandbox.post.server import Post

PASSWORD = "bright-spark-mail"


def main() -> None:
    told = _arguments()
    kept_in = told.folder / "accepted"
    kept_in.mkdir(parents=True, exist_ok=True)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    desk = Desk(told.password, kept_in)
    with Post(tls_port=told.port, folder=told.folder, desk=desk) as post:
        where = f"{HOST}, port {post.tls_port}"
        with PostOffice(desk, where=where, port=told.web_port) as office:
            print(f"Local mail server on {HOST}:{post.tls_port}, TLS; {office.url}", flush=True)
            ended.wait()


def _arguments() -> argparse.Namespace:
    port = int(os.environ.get("POST_SANDBOX_PORT") or 8027)
    web_port = int(os.environ.get("POST_SANDBOX_WEB_PORT") or 8029)
    parser = argparse.ArgumentParser(prog="python -m portal.sandbox.post", description=__doc__)
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--web-port", type=int, default=web_port, help="for its pages")
    parser.add_argument("--folder", type=Path, default=Path("var/local-mail"))
    parser.add_argument("--password", default=PASSWORD, help="of every address")
    return parser.parse_args()


if __name__ == "__main__":
    main()
