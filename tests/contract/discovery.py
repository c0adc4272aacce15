"""Google's own description of Gmail, turned into checks for every answer of the local Google."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from flask import Request, Response
from jsonschema import Draft202012Validator

WATCHED = ("/gmail/", "/upload/", "/resumable/")
FORMATS: dict[str, dict[str, Any]] = {
    "byte": {"pattern": "^[A-Za-z0-9_-]*={0,2}$"},
    "int64": {"pattern": "^-?[0-9]+$"},
    "uint64": {"pattern": "^[0-9]+$"},
    "int32": {"minimum": -(2**31), "maximum": 2**31 - 1},
    "uint32": {"minimum": 0, "maximum": 2**32 - 1},
}
#: Google publishes no schema of its errors: these are drawn from its error guides.
ERROR_ITEM = {
    "type": "object",
    "properties": {
        "domain": {"enum": ["global", "usageLimits"]},
        "reason": {"type": "string", "pattern": "^[a-z][A-Za-z]+$"},
        "message": {"type": "string", "minLength": 1},
        "location": {"const": "Authorization"},
        "locationType": {"const": "header"},
    },
    "required": ["domain", "reason", "message"],
    "additionalProperties": False,
}
ERROR_INFO = {
    "type": "object",
    "properties": {
        "@type": {"const": "type.googleapis.com/google.rpc.ErrorInfo"},
        "reason": {"type": "string", "pattern": "^[A-Z_]+$"},
        "domain": {"const": "googleapis.com"},
        "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["@type", "reason", "domain", "metadata"],
    "additionalProperties": False,
}
ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "integer", "minimum": 400, "maximum": 599},
                "message": {"type": "string", "minLength": 1},
                "errors": {"type": "array", "minItems": 1, "items": ERROR_ITEM},
                "status": {"type": "string"},
                "details": {"type": "array", "items": ERROR_INFO},
            },
            "required": ["code", "message", "errors"],
            "additionalProperties": False,
        }
    },
    "required": ["error"],
    "additionalProperties": False,
}
CANONICAL = {
    400: {"INVALID_ARGUMENT", "FAILED_PRECONDITION"},
    401: {"UNAUTHENTICATED"},
    403: {"PERMISSION_DENIED"},
    404: {"NOT_FOUND"},
    413: {"OUT_OF_RANGE"},
    429: {"RESOURCE_EXHAUSTED"},
    500: {"INTERNAL"},
    503: {"UNAVAILABLE"},
}


@cache
def document() -> dict[str, Any]:
    folder = resources.files("googleapiclient.discovery_cache") / "documents"
    found: dict[str, Any] = json.loads((folder / "gmail.v1.json").read_text())
    return found


@cache
def methods() -> dict[str, dict[str, Any]]:
    """Every method by its short name, such as `drafts.send`."""
    return dict(_methods(document()["resources"]["users"], ""))


def _methods(resource: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, described in resource.get("methods", {}).items():
        yield prefix + name, described
    for name, inner in resource.get("resources", {}).items():
        yield from _methods(inner, f"{prefix}{name}.")


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """A discovery schema as JSON Schema that allows no name Google does not know."""
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    kept = {name: schema[name] for name in ("type", "enum") if name in schema}
    kept |= FORMATS.get(schema.get("format", ""), {})
    if schema.get("type") == "array":
        kept["items"] = strict(schema["items"])
    if schema.get("type") == "object":
        kept["properties"] = {n: strict(one) for n, one in schema.get("properties", {}).items()}
        kept["additionalProperties"] = False
    return kept


@cache
def validator(name: str) -> Draft202012Validator:
    shapes = {one: strict(schema) for one, schema in document()["schemas"].items()}
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": shapes})


def method_of(verb: str, path: str) -> str | None:
    """Which of Google's methods this call is; upload addresses belong to their method."""
    for name, described in methods().items():
        places = [described["path"], _upload_path(described)]
        if described["httpMethod"] == verb and any(_fits(place, path) for place in places if place):
            return name
    return None


def _upload_path(described: dict[str, Any]) -> str:
    simple = described.get("mediaUpload", {}).get("protocols", {}).get("simple", {})
    return str(simple.get("path", "")).lstrip("/")


def _fits(place: str, path: str) -> bool:
    return bool(re.fullmatch(re.sub(r"\{\+?\w+\}", "[^/]+", place), path.lstrip("/")))


def complaints(name: str, code: int, answer: Any) -> list[str]:
    """What Google's own description says against this answer."""
    if code >= 400:
        return _found(Draft202012Validator(ERROR), answer) or _mismatch(code, answer)
    response = methods()[name].get("response")
    if response is None:
        return [] if answer is None else [f"an answer where Google gives none: {answer}"]
    return _found(validator(response["$ref"]), answer)


def _found(against: Draft202012Validator, answer: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in against.iter_errors(answer)]


def _mismatch(code: int, answer: Any) -> list[str]:
    error = answer["error"]
    if error["code"] != code:
        return [f"code {error['code']} under HTTP {code}"]
    if error.get("status") not in CANONICAL[code]:
        return [f"status {error.get('status')} under HTTP {code}"]
    return []


@dataclass
class Notary:
    """Sees every exchange with Gmail's addresses and writes down what is not as Google's."""

    seen: list[tuple[str, int]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def witness(self, request: Request, answer: Response) -> None:
        if not request.path.startswith(WATCHED):
            return
        name = method_of(request.method, request.path)
        if name is None:
            self.wrong.append(f"Google knows no {request.method} {request.path}")
            return
        self.seen.append((name, answer.status_code))
        self.wrong += [f"{name}: {one}" for one in self._against(name, request, answer)]

    def _against(self, name: str, request: Request, answer: Response) -> list[str]:
        known = {*document()["parameters"], *methods()[name].get("parameters", {})}
        found = [f"unknown parameter {one}" for one in request.args if one not in known]
        data = answer.get_data()
        if data and answer.content_type != "application/json; charset=UTF-8":
            found.append(f"content type {answer.content_type}")
        return found + complaints(name, answer.status_code, json.loads(data) if data else None)
