"""Pages of mailboxes."""

from flask import Blueprint

pages = Blueprint("mailboxes", __name__)
