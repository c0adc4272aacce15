"""Files: photos and papers that travel with a document. What they are is read from their bytes.

A name says nothing: what is attached is judged by its content, and a photo straight from a phone is
made smaller. JPEG, PNG and WebP lose the place where they were taken; a HEIC photo and papers (PDF,
Word, Excel) travel as they are, with all that they say about themselves.
"""

import io
import re
import zipfile
from pathlib import PurePath

from PIL import Image, ImageOps, UnidentifiedImageError

from portal.accounts import User
from portal.documents import LARGEST_FILE, LARGEST_FILES, Document, DocumentFile
from portal.documents.traces import without_traces
from portal.extensions import db

PICTURES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
JPEG = b"\xff\xd8\xff"
OFFICE = {
    "word/": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xl/": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
ENDINGS = {
    "application/pdf": (".pdf",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/png": (".png",),
    "image/webp": (".webp",),
    "image/heic": (".heic", ".heif"),
    "text/plain": (".txt", ".csv", ".md", ".log"),
    OFFICE["word/"]: (".docx",),
    OFFICE["xl/"]: (".xlsx",),
}
SEEMS = {
    "application/pdf": "a PDF",
    "image/jpeg": "a JPEG photo",
    "image/png": "a PNG picture",
    "image/webp": "a WebP picture",
    "image/heic": "a HEIC photo",
    "text/plain": "plain text",
    OFFICE["word/"]: "a Word file",
    OFFICE["xl/"]: "an Excel file",
}
PICTURE_ENDINGS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".heic", ".heif", ".gif")
TAKEN = "a PDF, a photo (JPEG, PNG, WebP, HEIC), plain text, or a Word or Excel file"
LONGEST_NAME = 100
MOST_FILES = 20
#: A photo is shrunk to this many pixels on its longer side; more helps nobody in a mail.
PHOTO_PIXELS = 2400
#: A few kilobytes can claim to be a picture of any size; no phone takes a larger one.
MOST_PIXELS = 120_000_000
_HEIC = re.compile(rb"....ftyp(heic|heix|heim|heis|hevc|mif1|msf1)", re.S)
_ENDING = re.compile(r"\.(?=[0-9]*[a-z])[a-z0-9]{1,5}", re.I)
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069<>:"/\\|?*]')


class BadFile(ValueError):
    """A file that cannot travel along; the message says why. Nothing was stored."""


def attach(document: Document, given: list[tuple[str, bytes]], by: User) -> list[DocumentFile]:
    """Add files, all or none. Raises BadFile. Commits."""
    if len(document.files) + len(given) > MOST_FILES:
        raise BadFile(f"A document carries at most {MOST_FILES} files.")
    made = [_file(name, content) for name, content in given]
    size = sum(one.size for one in (*document.files, *made))
    if size > LARGEST_FILES:
        raise BadFile(
            f"Together the files would come to {megabytes(size)};"
            f" a mail carries {megabytes(LARGEST_FILES)}."
        )
    document.files.extend(made)
    document.note_change(f"{', '.join(one.filename for one in made)} attached.", by)
    db.session.commit()
    return made


def remove(document: Document, file: DocumentFile, by: User) -> None:
    """Take a file off again. Mails that were sent keep theirs. Commits."""
    document.files.remove(file)
    document.note_change(f"{file.filename} taken off.", by)
    db.session.commit()


def megabytes(size: int) -> str:
    """340 kB, 1.2 MB, 20 MB."""
    if size < 1_000_000:
        return f"{max(1, round(size / 1024))} kB"
    return f"{size / 2**20:.1f}".removesuffix(".0") + " MB"


def content_type(content: bytes) -> str:
    """What the bytes are, or nothing for what is not taken."""
    if content.startswith(b"%PDF-"):
        return "application/pdf"
    if _HEIC.match(content):
        return "image/heic"
    if content.startswith(b"PK\x03\x04"):
        return _office(content)
    return _picture(content) or _text(content)


def _file(name: str, content: bytes) -> DocumentFile:
    shown = _clean_name(name)
    if not content:
        raise BadFile(f"“{shown}” is empty.")
    if not content.startswith(JPEG):  # a photo is made smaller first
        _refuse_large(content, shown)
    kind = content_type(content)
    if not kind:
        raise BadFile(f"“{shown}” cannot be attached: it is not {TAKEN}.")
    if kind == "image/jpeg":
        content = _smaller(content, shown)
    elif kind in ("image/png", "image/webp"):
        content = _without_traces(content, shown)
    _refuse_large(content, shown)
    return DocumentFile(
        filename=_with_ending(shown, kind), content_type=kind, size=len(content), content=content
    )


def _refuse_large(content: bytes, name: str) -> None:
    if len(content) > LARGEST_FILE:
        raise BadFile(
            f"“{name}” has {megabytes(len(content))}; the most is {megabytes(LARGEST_FILE)}."
        )


def _clean_name(name: str) -> str:
    bare = _UNSAFE.sub("", PurePath(name.replace("\\", "/")).name).strip(" .")
    path = PurePath(bare or "file")
    return path.stem[: LONGEST_NAME - len(path.suffix)] + path.suffix[:LONGEST_NAME]


def _with_ending(name: str, kind: str) -> str:
    """The name, ending as its content demands, so that it opens in the right program.

    Phones and chats often save one kind of picture under the ending of another: that is put right.
    Raises BadFile for any other ending that does not fit.
    """
    endings, path = ENDINGS[kind], PurePath(name)
    ending = path.suffix.lower()
    if ending in endings:
        return name
    if ending in PICTURE_ENDINGS and kind.startswith("image/"):
        return path.stem + endings[0]
    if _ENDING.fullmatch(ending):
        raise BadFile(
            f"“{name}” cannot be attached: it ends in {ending}, but seems to be {SEEMS[kind]}."
        )
    return name + endings[0]


def _office(content: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            names = packed.namelist()
    except zipfile.BadZipFile:
        return ""
    if "[Content_Types].xml" not in names or any("vbaproject" in one.lower() for one in names):
        return ""
    return next((kind for folder, kind in OFFICE.items() if _holds(names, folder)), "")


def _holds(names: list[str], folder: str) -> bool:
    return any(one.startswith(folder) for one in names)


def _picture(content: bytes) -> str:
    try:
        with Image.open(io.BytesIO(content), formats=tuple(PICTURES)) as opened:
            opened.verify()
            return PICTURES[opened.format or ""]
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, KeyError):
        return ""
    except Image.DecompressionBombError:
        return ""


def _text(content: bytes) -> str:
    """Words alone: what a browser might run is not plain, whatever it is called."""
    try:
        words = content.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    odd = any(ord(char) < 32 and char not in "\t\n\r\f" for char in words)
    markup = words.lstrip("\ufeff \t\r\n").startswith("<")
    return "" if odd or markup else "text/plain"


def _without_traces(content: bytes, name: str) -> bytes:
    try:
        return without_traces(content)
    except ValueError:
        raise BadFile(f"“{name}” is a picture that cannot be read. Save it anew.") from None


def _smaller(content: bytes, name: str) -> bytes:
    """A photo upright, without its place and time, and no larger than a mail needs."""
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise BadFile(f"“{name}” has too many pixels. Save it smaller.")
            opened.draft("RGB", (PHOTO_PIXELS, PHOTO_PIXELS))  # never whole in memory
            photo = ImageOps.exif_transpose(opened).convert("RGB")
    except BadFile:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise BadFile(f"“{name}” is a photo that cannot be read. Take it again.") from None
    photo.thumbnail((PHOTO_PIXELS, PHOTO_PIXELS))
    smaller = io.BytesIO()
    photo.save(smaller, "JPEG", quality=85, optimize=True)
    return smaller.getvalue()
