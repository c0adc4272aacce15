"""For machines: whether this process answers, whether the portal can serve, and its figures."""

import hmac
import ipaddress
from dataclasses import asdict
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from portal import metrics, readiness
from portal.config import Config

pages = Blueprint("health", __name__)

#: What a proxy adds to a request: whoever asks then is not on this machine, or cannot be known.
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")
#: What this machine calls itself.
LOCAL = ("localhost", "127.0.0.1", "::1")


@pages.get("/healthz")
def alive() -> ResponseReturnValue:
    """This process answers. It asks nobody else, so that no other's failure restarts it."""
    return {"portal": "ok"}


@pages.get("/readyz")
def ready() -> ResponseReturnValue:
    """Whether the portal can serve; 503 with the reason when it cannot."""
    found = readiness.lately()
    told = {"ready": not found.reason, **asdict(found)}
    return {**told, "reason": found.reason} if found.reason else told, 503 if found.reason else 200


@pages.get("/metrics")
def figures() -> ResponseReturnValue:
    """The figures, for Prometheus."""
    if refusal := _refusal():
        return refusal
    return Response(metrics.exposition(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _refusal() -> Response | None:
    config: Config = current_app.config["PORTAL"]
    if config.METRICS_TOKEN:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        right = hmac.compare_digest(given.encode(), config.METRICS_TOKEN.encode())
        if kind.lower() == "bearer" and right:
            return None
        headers = {"WWW-Authenticate": "Bearer"}
        return Response("METRICS_TOKEN is set: give it as a bearer token.\n", 401, headers)
    if not config.is_https and _serves_this_machine(config) and _is_this_machine():
        return None
    told = "Set METRICS_TOKEN, and give it as a bearer token. Without it only this machine may ask"
    return Response(f"{told}, and not through a proxy.\n", 403, content_type="text/plain")


def _serves_this_machine(config: Config) -> bool:
    """Whether PUBLIC_URL is an address of this very machine: else a proxy may stand in between."""
    return (urlsplit(config.PUBLIC_URL).hostname or "") in LOCAL


def _is_this_machine() -> bool:
    """Whether who asks is on this machine: nothing was forwarded, and it says localhost."""
    host = request.host.rpartition(":")[0] if ":" in request.host else request.host
    named = host.strip("[]") in LOCAL
    return named and _is_loopback(request.remote_addr or "") and not _was_forwarded()


def _was_forwarded() -> bool:
    return any(name in request.headers for name in FORWARDED)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
