"""Pages of files: the photos and papers attached to a document."""

from flask import Blueprint, Response, abort, flash, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from portal.documents import DocumentFile
from portal.documents import files as attached
from portal.extensions import db
from portal.web.documents import FilesForm, document_or_404, show_page
from portal.web.page import see_other

pages = Blueprint("files", __name__)


@pages.post("/documents/<int:document_id>/files")
def create(document_id: int) -> ResponseReturnValue:
    """Attach what was chosen, all or nothing."""
    document = document_or_404(document_id)
    form = FilesForm()
    given = [(one.filename, one.read()) for one in request.files.getlist("files") if one.filename]
    try:
        if not given:
            raise attached.BadFile("Choose a file first.")
        made = attached.attach(document, given, current_user)
    except attached.BadFile as problem:
        form.files.errors = [str(problem)]
        return show_page(document, form, 422)
    flash(_said(made), "good")
    return see_other(_back(document.id))


@pages.get("/documents/<int:document_id>/files/<int:file_id>")
def show(document_id: int, file_id: int) -> ResponseReturnValue:
    """The file, always to keep: what somebody uploaded is never opened as a page of ours."""
    file = _file(document_id, file_id)
    answer = Response(file.content, mimetype=file.content_type)
    answer.headers.set("Content-Disposition", "attachment", filename=file.filename)
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer


@pages.post("/documents/<int:document_id>/files/<int:file_id>/removal")
def remove(document_id: int, file_id: int) -> ResponseReturnValue:
    """Take a file off the document."""
    file = _file(document_id, file_id)
    document, name = document_or_404(document_id), file.filename
    attached.remove(document, file, current_user)
    flash(f"{name} is no longer attached.", "info")
    return see_other(_back(document.id))


def _said(made: list[DocumentFile]) -> str:
    names = ", ".join(one.filename for one in made)
    return f"{names} {'is' if len(made) == 1 else 'are'} attached."


def _back(document_id: int) -> str:
    return url_for("documents.show", document_id=document_id) + "#files"


def _file(document_id: int, file_id: int) -> DocumentFile:
    file = db.session.get(DocumentFile, file_id)
    if file is None or file.document_id != document_id:
        abort(404)
    return file
