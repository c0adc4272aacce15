"""The pattern page: every part of templates/macros.html on one page, drawn without the portal.

`python -m tests.patterns FOLDER` leaves screenshots in FOLDER, 360 and 1280 px, light and dark.
"""
