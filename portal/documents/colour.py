"""Accent: the one colour a business brings, used only where it can be read."""

from __future__ import annotations

import re

WHITE = "#ffffff"
BLACK = "#000000"
INK = "#16202a"
NIGHT = "#12181f"
DEFAULT = "#0b5c7a"
READABLE = 4.5  # WCAG 2.2 AA for text

_HEX = re.compile(r"#[0-9a-fA-F]{6}")


def accent(colour: str) -> str:
    """The company's accent, or ours when what is stored is no colour."""
    return colour.lower() if _HEX.fullmatch(colour) else DEFAULT


def contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def on(background: str) -> str:
    """White or ink, whichever reads better here; black where neither reads well enough."""
    best = max((WHITE, INK), key=lambda colour: contrast(colour, background))
    return best if contrast(best, background) >= READABLE else BLACK


def readable(colour: str, background: str = WHITE, ratio: float = READABLE) -> str:
    """The colour itself, or the nearest shade of it that can be read on the background."""
    target = "#000000" if _luminance(background) > 0.18 else WHITE
    shades = (mix(colour, target, step / 20) for step in range(21))
    return next(shade for shade in shades if contrast(shade, background) >= ratio)


def mix(colour: str, other: str, share: float) -> str:
    """`share` of the other colour stirred into this one."""
    pairs = zip(_channels(colour), _channels(other), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)
