"""Steering: what tests and operators tell a local mail server, and ask it, beside SMTP."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, request

from portal.sandbox import mime
from portal.sandbox.mime import Head
from portal.sandbox.post.desk import Accepted
from portal.sandbox.post.office import current
from portal.sandbox.telling import Json, faults_blueprint, told

blueprint = faults_blueprint(current)


@blueprint.get("/accepted")
def accepted() -> Response:
    """Every mail accepted, oldest first; `after` names the last one already known, `mailbox` who
    had logged in, `raw=1` brings the bytes along."""
    after = request.args.get("after", 0, type=int)
    user, with_raw = request.args.get("mailbox"), request.args.get("raw") == "1"
    found = [one for one in current().desk.accepted if one.number > after]
    theirs = [one for one in found if user is None or one.user.lower() == user.lower()]
    return jsonify([_accepted(one, with_raw=with_raw) for one in theirs])


@blueprint.delete("/accepted")
@told
def forget_accepted(given: Json) -> Json:
    """Forgets what was accepted, and its files."""
    return {"forgotten": current().desk.forget()}


@blueprint.post("/accounts")
@told
def put_account(given: Json) -> Json:
    """Gives `email` an account of its own (`password`, `aliases` it may send as), or changes it."""
    desk, email = current().desk, str(given["email"])
    known = desk.account(email)
    password = str(given.get("password") or (known.password if known else ""))
    if not password:
        raise ValueError("an account needs a password")
    aliases = given.get("aliases", known.senders if known else ())
    desk.add(email, password, tuple(str(one) for one in aliases))
    return {"email": email, "password": password, "aliases": list(aliases)}


@blueprint.post("/revoke")
@told
def revoke(given: Json) -> Json:
    """Changes the password of `email`, as its owner would elsewhere: the answer names the new one.
    Whoever is logged in with the old one is cut off."""
    return {"email": given["email"], "password": current().desk.change_password(given["email"])}


@blueprint.post("/cut")
@told
def cut(given: Json) -> Json:
    """Cuts every open connection of `email`, or of everybody."""
    return {"cut": current().desk.cut_off(str(given.get("email") or ""))}


@blueprint.post("/reset")
@told
def reset(given: Json) -> Json:
    """Everything as at the first start."""
    current().desk.clear()
    return {"reset": "all"}


@blueprint.get("/state")
def state() -> Response:
    """Accounts, everybody's password, how many messages, connections and log-ins there were."""
    desk = current().desk
    accounts = [
        {"email": one.user, "password": one.password, "aliases": list(one.senders)}
        for one in desk.accounts
    ]
    counted = {"accepted": len(desk.accepted), "connections": desk.connections}
    counted["log_ins"] = desk.log_ins
    return jsonify({"accounts": accounts, "password": desk.everybodys, **counted})


def _accepted(one: Accepted, *, with_raw: bool) -> Json:
    head = Head.parse(mime.split(one.raw)[0])
    entry: Json = {"number": one.number, "mailbox": one.user, "accepted_at": one.at}
    entry |= {"envelope": {"from": one.sender, "to": list(one.recipients)}}
    entry |= {name: head.text(name) for name in ("from", "to", "cc", "bcc", "subject")}
    entry |= {"message_id": head.raw("Message-ID"), "headers": dict(head.pairs())}
    raw: dict[str, Any] = {"raw": mime.to_base64url(one.raw)} if with_raw else {}
    return entry | raw
