"""Logo: the company's own picture, kept small and plain however it was brought."""

import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

LARGEST = 1024 * 1024
WIDEST = 800
SHORTEST_SIDE = 40
MOST_PIXELS = 10_000_000
KINDS = ("PNG", "JPEG")
TYPE = "image/png"


class LogoProblem(ValueError):
    """A file that cannot be the logo; the message is the sentence to show beside the field."""


def redrawn(content: bytes) -> bytes:
    """The picture as a PNG of ours: nothing of the file but what can be seen survives."""
    if len(content) > LARGEST:
        raise LogoProblem("This file is too large. A logo may have 1 MB at most.")
    if not content:
        raise LogoProblem("This file is empty.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _drawn(content)
    except UnidentifiedImageError:
        raise LogoProblem("This is no picture we can read. Use a PNG or JPEG file.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise LogoProblem(TOO_MANY) from None
    except (OSError, SyntaxError, ValueError) as damage:
        if isinstance(damage, LogoProblem):
            raise
        raise LogoProblem("This picture is damaged. Save it again and choose it anew.") from None


TOO_MANY = "This picture has too many pixels: save it smaller, 2,000 pixels wide at most."


def _drawn(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content), formats=KINDS) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise LogoProblem(TOO_MANY)
        if min(picture.size) < SHORTEST_SIDE:
            raise LogoProblem(_too_small(picture))
        picture.load()
        shown = _upright(picture).convert("RGBA")
    shown.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    if shown.getchannel("A").getextrema() == (255, 255):
        shown = shown.convert("RGB")
    written = io.BytesIO()
    shown.save(written, "PNG", optimize=True)
    return written.getvalue()


def _too_small(picture: Image.Image) -> str:
    return (
        f"This picture is too small for papers, {picture.width} by {picture.height} pixels:"
        f" its shorter side needs {SHORTEST_SIDE} or more."
    )


def _upright(picture: Image.Image) -> Image.Image:
    """As a phone meant it: photos carry their turn beside the pixels."""
    return ImageOps.exif_transpose(picture)
