"""Pages of dispatches."""

from flask import Blueprint

pages = Blueprint("dispatches", __name__)
