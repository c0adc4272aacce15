"""Pages of profile."""

from flask import Blueprint

pages = Blueprint("profile", __name__)
