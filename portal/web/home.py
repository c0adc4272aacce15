"""Pages of home."""

from flask import Blueprint

pages = Blueprint("home", __name__)
