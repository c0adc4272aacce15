"""Telling: how tests and operators speak with a stand-in beside the API it stands in for.

What every stand-in can be told is here: faults, the clock, its settings.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, Protocol

from flask import Blueprint, Response, current_app, jsonify, request

from portal.sandbox.clock import Clock
from portal.sandbox.faults import Faults

Json = dict[str, Any]


class Steerable(Protocol):
    def steer(self, changes: dict[str, object]) -> None: ...

    def steerable(self) -> dict[str, object]: ...


class Fallible(Protocol):
    @property
    def faults(self) -> Faults: ...


class StandIn(Fallible, Protocol):
    @property
    def clock(self) -> Clock: ...

    @property
    def settings(self) -> Steerable: ...

    def reset(self, *, mail_only: bool = False) -> None: ...


class Misunderstood(Exception):
    """What was told makes no sense; the words say why."""


def told(act: Callable[[Json], Any]) -> Callable[..., Response]:
    """Hands the JSON (or the query) to the act, and its result back as JSON."""

    @wraps(act)
    def view(**values: str) -> Response:
        given = request.get_json(force=True, silent=True) if request.get_data() else {}
        if not isinstance(given, dict):
            raise Misunderstood("Send a JSON object.")
        try:
            return jsonify(act({**request.args.to_dict(), **given, **values}))
        except (ValueError, TypeError, KeyError) as problem:
            raise Misunderstood(f"{type(problem).__name__}: {problem}") from problem

    return view


def steering_blueprint(current: Callable[[], StandIn]) -> Blueprint:
    blueprint = faults_blueprint(current)
    _add_rest(blueprint, current)
    return blueprint


def faults_blueprint(current: Callable[[], Fallible]) -> Blueprint:
    """What can be told even to a stand-in that has neither a clock nor settings."""
    blueprint = Blueprint("steering", __name__, url_prefix="/_sandbox")
    blueprint.register_error_handler(Misunderstood, _misunderstood)
    blueprint.get("/")(index)
    _add_faults(blueprint, current)
    return blueprint


def _misunderstood(problem: Misunderstood) -> tuple[Json, int]:
    return {"error": str(problem)}, 400


def index() -> Response:
    """What can be steered and asked."""
    listed = {}
    for rule in current_app.url_map.iter_rules():
        if rule.endpoint.startswith("steering."):
            view = current_app.view_functions[rule.endpoint]
            verb = next(iter((rule.methods or set()) - {"HEAD", "OPTIONS"}))
            listed[f"{verb} {rule.rule}"] = inspect.getdoc(view) or ""
    return jsonify(listed)


def _add_faults(blueprint: Blueprint, current: Callable[[], Fallible]) -> None:
    @blueprint.get("/faults")
    def list_faults() -> Response:
        """The faults set, every kind with its meaning, and what struck which call."""
        faults = current().faults
        kinds = {
            name: {"acts": kind.acts, "meaning": kind.meaning}
            for name, kind in faults.kinds.items()
        }
        return jsonify({"faults": faults.listed(), "log": list(faults.log), "kinds": kinds})

    @blueprint.post("/faults")
    @told
    def add_fault(given: Json) -> Json:
        """`kind`, `method` (a pattern), `times` (null: always), `after`, `probability` with `seed`,
        `delay`, `hang`, `account`; for `refuse` also `code`, `reason`, `message`."""
        return current().faults.add(given).listed()

    @blueprint.delete("/faults")
    @told
    def clear_faults(given: Json) -> Json:
        """Everything works again."""
        current().faults.clear()
        return {"faults": []}


def _add_rest(blueprint: Blueprint, current: Callable[[], StandIn]) -> None:
    @blueprint.post("/reset")
    @told
    def reset(given: Json) -> Json:
        """Everything as at the first start; `mail_only` keeps accounts, addresses and tokens."""
        current().reset(mail_only=bool(given.get("mail_only")))
        return {"reset": "mail" if given.get("mail_only") else "all"}

    @blueprint.post("/clock")
    @told
    def clock(given: Json) -> Json:
        """Winds the clock forward by `advance` seconds: tokens expire, limits free themselves."""
        current().clock.advance(float(given["advance"]))
        return {"offset": current().clock.offset, "now": current().clock.now()}

    @blueprint.post("/settings")
    @told
    def settings(given: Json) -> Json:
        """What can be steered stands under `settings` in `state`; a limit of 0 means none."""
        current().settings.steer(given)
        return current().settings.steerable()
