"""Delta: what has been put into a folder since the last time, page by page.

A round begins with all that lies there and ends in a link; the link later brings what was put there
since. All that was asked for stands in the token of each link, as Microsoft does it. Known here is
changeType=created alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from flask import Response, request

from portal.sandbox import mime
from portal.sandbox.microsoft import errors, items, query, resource
from portal.sandbox.microsoft.errors import GraphError, bad_request
from portal.sandbox.microsoft.graph import Caller, Json, collection, method
from portal.sandbox.microsoft.items import Item

USUAL, MOST = 10, 1_000
TOKENS = ("$skiptoken", "$deltatoken")
NOT_SUPPORTED = (
    "The '$filter' parameter value is not supported for 'Messages' resource; only a value of "
    "'receivedDateTime ge value' is supported."
)
_FILTER = re.compile(r"receivedDateTime\s+(ge|gt)\s+(\S+)", re.IGNORECASE)
_PAGE = re.compile(r"odata\.maxpagesize=(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Round:
    """Where one caller has got to. listed: up to which item of those that lay there (None: all of
    them are listed); after: the last thing put there that it knows of; since: only what was
    received then or later."""

    generation: int
    select: tuple[str, ...]
    since: float
    after: int
    listed: int | None

    @classmethod
    def read(cls, token: str) -> Self:
        try:
            told = json.loads(mime.from_base64url(token))
            return cls(**{**told, "select": tuple(told["select"])})
        except (ValueError, TypeError, KeyError) as problem:
            raise bad_request("Badly formed token.", "ErrorInvalidUrlQuery") from problem

    def token(self) -> str:
        return mime.to_base64url(json.dumps(asdict(self)).encode()).rstrip("=")


@method("messages.delta", "GET", "/mailFolders/<folder>/messages/delta")
def delta(caller: Caller, folder: str) -> Response:
    place = items.folder_named(caller.mailbox, folder)
    if place is None:
        raise errors.malformed_id()
    now = _round(caller, place)
    found, then, further = _page(caller, place, now, _page_size())
    name = "$skiptoken" if further else "$deltatoken"
    link = f"{request.base_url}?{name}={then.token()}"
    answer = [_change(caller, item, now) for item in found]
    kind = "@odata.nextLink" if further else "@odata.deltaLink"
    return collection("Collection(message)", answer, {kind: link})


def forget(store: Any, account_id: int) -> int:
    """Every token so far is too old from now on."""
    generation = _generation(store, account_id) + 1
    store.remember(f"delta:{account_id}", str(generation))
    return generation


def _generation(store: Any, account_id: int) -> int:
    return int(store.remembered(f"delta:{account_id}") or 1)


def _round(caller: Caller, place: str) -> Round:
    store, account_id = caller.microsoft.store, caller.mailbox.id
    token = next((request.args[name] for name in TOKENS if name in request.args), None)
    newest = _generation(store, account_id)
    if token is None:
        after = items.last_placed(store, account_id, place)
        return Round(newest, tuple(_select()), _since(), after, 0)
    found = Round.read(token)
    if found.generation != newest:
        raise _too_old(found.generation, newest)
    return found


def _too_old(generation: int, newest: int) -> GraphError:
    words = f"generation={generation};[highest={newest}]"
    words = f"The sync state generation is not found; {words}."
    return GraphError(410, "SyncStateNotFound", words)


def _page(caller: Caller, place: str, now: Round, limit: int) -> tuple[list[Item], Round, bool]:
    """The items of a page, where the next begins, and whether it belongs to the same round."""
    store, account_id = caller.microsoft.store, caller.mailbox.id
    if now.listed is not None:
        found = items.lying(store, account_id, place, now.listed, now.since, limit + 1)
        further = len(found) > limit
        upto = found[limit - 1].seq if further else None
        return found[:limit], replace(now, listed=upto), further
    numbered = items.placed(store, account_id, place, now.after, limit + 1)
    further = len(numbered) > limit
    shown = numbered[:limit]
    upto = shown[-1][0] if shown else now.after
    fresh = {item.seq: item for _, item in shown if item is not None}
    return list(fresh.values()), replace(now, after=upto), further


def _change(caller: Caller, item: Item, now: Round) -> Json:
    return {
        "@odata.type": "#microsoft.graph.message",
        **resource.whole(caller.view(item), now.select),
    }


def _select() -> list[str]:
    if request.args.get("changeType") != "created":
        raise bad_request("The local Microsoft knows deltas with changeType=created alone.")
    unknown = set(request.args) - {"changeType", "$select", "$filter", "$orderby", "$top"}
    if unknown:
        raise bad_request(f"The query parameter '{min(unknown)}' is not supported.")
    return query.selected()


def _since() -> float:
    told = request.args.get("$filter", "")
    found = _FILTER.fullmatch(told.strip())
    if told and not found:
        raise bad_request(NOT_SUPPORTED, "ErrorInvalidUrlQuery")
    if found is None:
        return 0.0
    moment = query.moment_of(found[2])
    return moment + (1.0 if found[1].lower() == "gt" else 0.0)


def _page_size() -> int:
    found = _PAGE.search(",".join(request.headers.getlist("Prefer")))
    return min(max(int(found[1]), 1), MOST) if found else USUAL
