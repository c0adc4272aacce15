"""Published: what Microsoft's own pages show of its answers, kept by hand, each with its source.

No package ships Microsoft's OpenAPI. The pages lie in microsoftgraph/microsoft-graph-docs-contrib
(Graph) and MicrosoftDocs/entra-docs (the sign-in); only names and kinds are taken from them.
"""

from __future__ import annotations

import re
from typing import Any

MOMENT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

# api-reference/v1.0/resources/recipient.md, emailaddress.md
RECIPIENT = {"emailAddress": {"name": str, "address": str}}
# api-reference/v1.0/resources/itembody.md, followupflag.md
BODY = {"contentType": str, "content": str}
FLAG = {"flagStatus": str}
# api-reference/v1.0/api/user-post-messages.md, example 3: a draft made of MIME
MESSAGE = {
    "@odata.context": str,
    "@odata.etag": str,
    "id": str,
    "createdDateTime": MOMENT,
    "lastModifiedDateTime": MOMENT,
    "changeKey": str,
    "categories": [str],
    "receivedDateTime": MOMENT,
    "sentDateTime": MOMENT,
    "hasAttachments": bool,
    "internetMessageId": str,
    "subject": str,
    "bodyPreview": str,
    "importance": str,
    "parentFolderId": str,
    "conversationId": str,
    "conversationIndex": str,
    "isDeliveryReceiptRequested": bool,
    "isReadReceiptRequested": bool,
    "isRead": bool,
    "isDraft": bool,
    "webLink": str,
    "inferenceClassification": str,
    "body": BODY,
    "sender": RECIPIENT,
    "from": RECIPIENT,
    "toRecipients": [RECIPIENT],
    "ccRecipients": [RECIPIENT],
    "bccRecipients": [RECIPIENT],
    "replyTo": [RECIPIENT],
    "flag": FLAG,
}
# the same page, example 1 (a draft made of JSON), which names neither from nor sender
DRAFT_OF_JSON = {name: MESSAGE[name] for name in MESSAGE if name not in ("from", "sender")}
# api-reference/v1.0/api/user-list-messages.md, with $select=sender,subject
LISTED = {
    "@odata.context": str,
    "value": [{"@odata.etag": str, "id": str, "subject": str, "sender": RECIPIENT}],
}
# concepts/delta-query-messages.md, with $select=sender,subject: the first pages, and the last
CHANGED = {
    "@odata.type": str,
    "@odata.etag": str,
    "id": str,
    "subject": str,
    "sender": RECIPIENT,
}
DELTA_GOES_ON = {"@odata.context": str, "@odata.nextLink": str, "value": [CHANGED]}
DELTA_DONE = {"@odata.context": str, "@odata.deltaLink": str, "value": [CHANGED]}
# api-reference/v1.0/api/message-get.md, example 2 ($select=internetMessageHeaders)
WITH_HEADERS = {
    "@odata.context": str,
    "@odata.etag": str,
    "id": str,
    "internetMessageHeaders": [{"name": str, "value": str}],
}
# api-reference/v1.0/api/user-get.md, example 2 (the signed-in user)
USER = {
    "@odata.context": str,
    "businessPhones": [str],
    "displayName": str,
    "givenName": str,
    "jobTitle": None,
    "mail": str,
    "mobilePhone": None,
    "officeLocation": None,
    "preferredLanguage": None,
    "surname": str,
    "userPrincipalName": str,
    "id": str,
}
# api-reference/v1.0/api/mailfolder-get.md
FOLDER = {
    "@odata.context": str,
    "id": str,
    "displayName": str,
    "parentFolderId": str,
    "childFolderCount": int,
    "unreadItemCount": int,
    "totalItemCount": int,
    "isHidden": bool,
}
# api-reference/v1.0/resources/fileattachment.md and api/message-list-attachments.md
FILE = {
    "@odata.type": str,
    "@odata.mediaContentType": str,
    "id": str,
    "lastModifiedDateTime": MOMENT,
    "name": str,
    "contentType": str,
    "size": int,
    "isInline": bool,
    "contentId": None,
    "contentLocation": None,
    "contentBytes": str,
}
# api-reference/v1.0/api/attachment-createuploadsession.md, example 1
UPLOAD_SESSION = {
    "@odata.context": str,
    "uploadUrl": str,
    "expirationDateTime": MOMENT,
    "nextExpectedRanges": [str],
}
# concepts/outlook-large-attachments.md, "First upload to the message"
UPLOADED_PIECE = {"@odata.context": str, "ExpirationDateTime": MOMENT, "nextExpectedRanges": [str]}
# concepts/errors.md, concepts/outlook-send-mail-from-other-user.md, example 2
ERROR = {
    "error": {
        "code": str,
        "message": str,
        "innerError": {"date": str, "request-id": str, "client-request-id": str},
    }
}
# docs/identity-platform/v2-oauth2-auth-code-flow.md: successful response, error response
TOKENS = {
    "access_token": str,
    "token_type": str,
    "expires_in": int,
    "ext_expires_in": int,
    "scope": str,
    "refresh_token": str,
    "id_token": str,
}
STS_ERROR = {
    "error": str,
    "error_description": str,
    "error_codes": [int],
    "timestamp": str,
    "trace_id": str,
    "correlation_id": str,
    "error_uri": str,
}
# docs/identity-platform/v2-protocols-oidc.md: the configuration document
DISCOVERY = {
    "token_endpoint": str,
    "token_endpoint_auth_methods_supported": [str],
    "jwks_uri": str,
    "response_modes_supported": [str],
    "subject_types_supported": [str],
    "id_token_signing_alg_values_supported": [str],
    "response_types_supported": [str],
    "scopes_supported": [str],
    "issuer": str,
    "request_uri_parameter_supported": bool,
    "userinfo_endpoint": str,
    "authorization_endpoint": str,
    "device_authorization_endpoint": str,
    "http_logout_supported": bool,
    "frontchannel_logout_supported": bool,
    "end_session_endpoint": str,
    "claims_supported": [str],
    "tenant_region_scope": None,
    "cloud_instance_name": str,
    "cloud_graph_host_name": str,
    "msgraph_host": str,
    "rbac_url": str,
}


def differences(told: Any, published: Any, where: str = "$") -> list[str]:
    """What an answer has otherwise than it is published: names, and kinds of value."""
    if published is None:
        return [] if told is None else [f"{where}: {told!r} should be null"]
    if isinstance(published, re.Pattern):
        return [] if published.match(str(told)) else [f"{where}: {told!r} is no moment"]
    if isinstance(published, dict):
        return _object(told, published, where)
    if isinstance(published, list):
        if not isinstance(told, list):
            return [f"{where}: not a list"]
        return [one for place, piece in enumerate(told)
                for one in differences(piece, published[0], f"{where}[{place}]")]  # fmt: skip
    return [] if type(told) is published else [f"{where}: {told!r} is no {published.__name__}"]


def _object(told: Any, published: dict[str, Any], where: str) -> list[str]:
    if not isinstance(told, dict):
        return [f"{where}: not an object"]
    wrong = [f"{where}.{name}: not published" for name in told if name not in published]
    wrong += [f"{where}.{name}: missing" for name in published if name not in told]
    for name in published.keys() & told.keys():
        wrong += differences(told[name], published[name], f"{where}.{name}")
    return wrong
