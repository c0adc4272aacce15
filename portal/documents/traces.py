"""Traces: what a picture file says beside its picture: where and when it was taken, and by whom.

PNG and WebP are chains of named chunks, so the traces are cut out and the picture itself stays as
it is, byte for byte. All that is kept is which way up it is to be shown.
"""

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

PNG_START = b"\x89PNG\r\n\x1a\n"
PNG_TRACES = {b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME"}
WEBP_TRACES = {b"EXIF", b"XMP "}
#: In the first byte of a WebP's VP8X chunk: whether EXIF and whether XMP follow.
EXIF_FLAG, XMP_FLAG = 0x08, 0x04
ORIENTATION = 0x0112


def without_traces(content: bytes) -> bytes:
    """A PNG or WebP without its traces. Raises ValueError for one whose chunks do not fit."""
    try:
        return _png(content) if content.startswith(PNG_START) else _webp(content)
    except (struct.error, IndexError) as problem:
        raise ValueError("its parts do not fit together") from problem


def _turned(exif: bytes) -> bytes:
    """The EXIF with nothing in it but how the picture is turned; empty where it is not."""
    read, kept = Image.Exif(), Image.Exif()
    try:
        read.load(b"Exif\0\0" + exif.removeprefix(b"Exif\0\0"))
        turned = read.get(ORIENTATION)
    except (OSError, ValueError, SyntaxError, struct.error):
        return b""
    if turned not in range(2, 9):
        return b""
    kept[ORIENTATION] = turned
    return kept.tobytes().removeprefix(b"Exif\0\0")


def _png(content: bytes) -> bytes:
    made = [PNG_START]
    for name, payload in _png_chunks(content):
        if name == b"eXIf" and (turned := _turned(payload)):
            made.append(_png_chunk(name, turned))
        elif name not in PNG_TRACES:
            made.append(_png_chunk(name, payload))
    return b"".join(made)


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, name = len(PNG_START), b""
    while name != b"IEND":  # what hangs on behind is no picture
        size, name = struct.unpack_from(">I4s", content, at)
        whole = content[at : at + size + 12]
        if len(whole) < size + 12:
            raise ValueError("a part is cut off")
        yield name, whole[8:-4]
        at += size + 12


def _png_chunk(name: bytes, payload: bytes) -> bytes:
    check = zlib.crc32(name + payload)
    return struct.pack(">I4s", len(payload), name) + payload + struct.pack(">I", check)


def _webp(content: bytes) -> bytes:
    chunks = list(_webp_chunks(content))
    turned = _turned(b"".join(payload for name, payload in chunks if name == b"EXIF"))
    kept = [(name, payload) for name, payload in chunks if name not in WEBP_TRACES]
    if turned:
        kept.append((b"EXIF", turned))
    body = b"WEBP" + b"".join(_webp_chunk(*one, turned=bool(turned)) for one in kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    (size,) = struct.unpack_from("<I", content, 4)
    at, end = 12, min(8 + size, len(content))
    while at < end:
        name, length = struct.unpack_from("<4sI", content, at)
        payload = content[at + 8 : at + 8 + length]
        if len(payload) < length:
            raise ValueError("a part is cut off")
        yield name, payload
        at += 8 + length + length % 2


def _webp_chunk(name: bytes, payload: bytes, *, turned: bool) -> bytes:
    if name == b"VP8X":
        flags = payload[0] & ~(EXIF_FLAG | XMP_FLAG) | (EXIF_FLAG if turned else 0)
        payload = bytes([flags]) + payload[1:]
    return struct.pack("<4sI", name, len(payload)) + payload + b"\0" * (len(payload) % 2)
