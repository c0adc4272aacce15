"""Starts a local Google: `python -m portal.sandbox --port 8025 --store var/google.sqlite3`."""

from __future__ import annotations

import argparse
import os

from portal.sandbox.server import serve
from portal.sandbox.settings import SandboxSettings


def main() -> None:
    told = _arguments()
    settings = SandboxSettings(
        client_id=told.client_id,
        client_secret=told.client_secret,
        redirect_uris=tuple(told.portal_redirect),
        units_per_minute=told.units_per_minute,
        workspace_daily=told.workspace_daily,
        consumer_daily=told.consumer_daily,
    )
    serve(told.host, told.port, told.store, settings=settings, ready=_say)


def _say(url: str) -> None:
    print(f"Local Google on {url}", flush=True)


def _arguments() -> argparse.Namespace:
    known = SandboxSettings()
    parser = argparse.ArgumentParser(prog="python -m portal.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=int(os.environ.get("SANDBOX_PORT", "8025")))
    parser.add_argument("--store", help="keep everything in this SQLite file over restarts")
    parser.add_argument(
        "--portal-redirect",
        action="append",
        default=[],
        help="a redirect address to allow beside those of this machine; may be repeated",
    )
    parser.add_argument("--client-id", default=known.client_id)
    parser.add_argument("--client-secret", default=known.client_secret)
    for name in ("units_per_minute", "workspace_daily", "consumer_daily"):
        words = f"default {getattr(known, name)}; 0 for no limit"
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=getattr(known, name), help=words)
    return parser.parse_args()


if __name__ == "__main__":
    main()
