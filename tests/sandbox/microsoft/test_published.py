"""Every answer of the local Microsoft has the names and kinds that Microsoft publishes."""

from typing import Any

import requests

from tests.sandbox.microsoft import published
from tests.sandbox.microsoft.client import MARY, OLIVE, Graph, Microsoft, SignIn
from tests.sandbox.visitor import letter, letter_with_pdf


def as_published(answer: requests.Response, status: int, shape: Any) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"].startswith("application/json")
    told = answer.json()
    assert not published.differences(told, shape)
    return told


def test_what_differs_is_found() -> None:
    shape = {"a": [str], "b": {"c": int}}
    assert published.differences({"a": ["x"], "b": {"c": 1}}, shape) == []
    wrong = published.differences({"a": [1], "b": {"c": True, "d": 1}}, shape)
    assert len(wrong) == 3
    assert published.differences({}, shape) and published.differences(None, shape)


def test_messages(graph: Graph) -> None:
    told = {"subject": "Hi", "toRecipients": [{"emailAddress": {"address": MARY}}]}
    made = as_published(graph.call("POST", "/messages", json=told), 201, published.DRAFT_OF_JSON)
    draft = as_published(graph.mime("/messages", letter_with_pdf()), 201, published.MESSAGE)
    as_published(graph.call("GET", f"/messages/{draft['id']}"), 200, published.MESSAGE)
    one = {"$select": "internetMessageHeaders"}
    answer = graph.call("GET", f"/messages/{draft['id']}", params=one)
    as_published(answer, 200, published.WITH_HEADERS)
    assert graph.send(draft["id"]).content == b""
    as_published(graph.call("GET", f"/messages/{draft['id']}"), 200, published.MESSAGE)
    assert graph.call("DELETE", f"/messages/{made['id']}").status_code == 204
    listed = graph.call(
        "GET", "/mailFolders/sentitems/messages", params={"$select": "sender,subject"}
    )
    as_published(listed, 200, published.LISTED)


def test_files(graph: Graph) -> None:
    draft = graph.draft(letter_with_pdf())["id"]
    path = f"/messages/{draft}/attachments"
    listed = {"@odata.context": str, "value": [published.FILE]}
    as_published(graph.call("GET", path), 200, listed)
    item = {"attachmentType": "file", "name": "plan.pdf", "size": 3_145_728}
    answer = graph.call("POST", f"{path}/createUploadSession", json={"AttachmentItem": item})
    session = as_published(answer, 201, published.UPLOAD_SESSION)
    piece = requests.put(
        session["uploadUrl"],
        data=b"x",
        headers={"Content-Range": "bytes 0-0/3145728"},
        timeout=5,
    )
    as_published(piece, 200, published.UPLOADED_PIECE)


def test_people_folders_and_refusals(microsoft: Microsoft) -> None:
    olive = microsoft.graph(OLIVE)
    as_published(olive.call("GET", ""), 200, published.USER)
    as_published(olive.call("GET", "/mailFolders/drafts"), 200, published.FOLDER)
    as_published(olive.call("GET", "/messages/x"), 400, published.ERROR)
    draft = olive.draft(letter(sender=MARY))["id"]
    as_published(olive.send(draft), 403, published.ERROR)


def test_the_sign_in(microsoft: Microsoft, sign_in: SignIn) -> None:
    for tenant in ("common", "organizations", "brightspark.example"):
        path = f"{microsoft.origin}/{tenant}/v2.0/.well-known/openid-configuration"
        as_published(requests.get(path, timeout=5), 200, published.DISCOVERY)
    answer = sign_in.redeem(sign_in.consented()["code"])
    tokens = as_published(answer, 200, published.TOKENS)
    as_published(sign_in.refresh(tokens["refresh_token"]), 200, published.TOKENS)
    as_published(sign_in.refresh("made up"), 400, published.STS_ERROR)
