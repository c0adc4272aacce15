"""Starts a local Microsoft: `python -m portal.sandbox.microsoft --port 8026`."""

from __future__ import annotations

import argparse
import os

from portal.sandbox.microsoft.server import serve
from portal.sandbox.microsoft.settings import MicrosoftSettings


def main() -> None:
    told = _arguments()
    settings = MicrosoftSettings(
        client_id=told.client_id,
        client_secret=told.client_secret,
        redirect_uris=tuple(told.portal_redirect),
        messages_per_minute=told.messages_per_minute,
    )
    serve(told.host, told.port, told.store, settings=settings, ready=_say)


def _say(url: str) -> None:
    print(f"Local Microsoft on {url}", flush=True)


def _arguments() -> argparse.Namespace:
    known = MicrosoftSettings()
    port = int(os.environ.get("MICROSOFT_SANDBOX_PORT") or 8026)
    parser = argparse.ArgumentParser(prog="python -m portal.sandbox.microsoft", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=port)
    parser.add_argument("--store", help="keep everything in this SQLite file over restarts")
    parser.add_argument(
        "--portal-redirect",
        action="append",
        default=[],
        help="a redirect address to allow beside those of this machine; may be repeated",
    )
    parser.add_argument("--client-id", default=known.client_id)
    parser.add_argument("--client-secret", default=known.client_secret)
    words = f"default {known.messages_per_minute}; 0 for no limit"
    parser.add_argument(
        "--messages-per-minute", type=int, default=known.messages_per_minute, help=words
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
