"""The colour tokens, light and dark: every colour that a page or a chart may use, each with one meaning.

Ink is measured, blue is predicted, plum is the drug; red, yellow and cyan belong to priorities and appear in no
chart. A chart names a token (`colour("predicted")`); a page defines it as a CSS variable, a file that cannot use
variables gets the literal colour from `resolve_colours`.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import numpy as np

Palette = Literal["light", "dark"]

DRUG_LAYERS: Final = 8
"""Steps of plum between the oldest and the newest session of a stack."""

_TABLE: Final[dict[str, tuple[str, str]]] = {
    # Each pair is light, dark.
    "canvas": ("#F5F4F1", "#111217"),
    "surface": ("#FFFFFF", "#191A21"),
    "sunken": ("#FAF9F7", "#15161C"),
    "line": ("#E4E1DB", "#2C2E38"),
    "edge": ("#85828A", "#7E8090"),
    "ink": ("#1B1A20", "#EFEDF3"),
    "ink2": ("#4D4A54", "#BDBAC6"),
    "ink3": ("#66636D", "#9B98A6"),
    "action": ("#1B1A20", "#EFEDF3"),
    "action-text": ("#FFFFFF", "#15161C"),
    "link": ("#27478F", "#A9C3F7"),
    "focus": ("#1F5FD0", "#8DB4FF"),
    "predicted": ("#2C62B4", "#86B0F2"),
    "predicted-50": ("#A9C4EA", "#35578F"),
    "predicted-90": ("#DCE8F8", "#22324F"),
    "drug": ("#7A2E86", "#D59BE0"),
    "drug-fill": ("#9C58A8", "#A566B3"),
    "drug-oldest": ("#E9D9EE", "#3A2742"),
    "expectancy": ("#84613F", "#CBA988"),
    "expectancy-wash": ("#EBE0D4", "#3A3027"),
    "care": ("#5F6C78", "#A3AFBA"),
    "care-wash": ("#E3E7EA", "#2F363D"),
    "control": ("#55525C", "#B3B0BD"),
    "band-a": ("#F4F3F0", "#1D1F26"),
    "band-b": ("#EEECE8", "#22242C"),
    "done": ("#1E6B45", "#7FD0A4"),
    "done-wash": ("#E4F2EA", "#183326"),
    "high": ("#B3141B", "#FF8A84"),
    "high-wash": ("#FCEBEA", "#3A1719"),
    "high-text": ("#8C0F15", "#FFC4C0"),
    "high-strip": ("#B3141B", "#D92D33"),
    "medium": ("#F2C300", "#FFD84A"),
    "medium-edge": ("#8F6E00", "#C9A61E"),
    "medium-wash": ("#FFF6D1", "#38300F"),
    "medium-text": ("#5A4500", "#FFE68A"),
    "low": ("#0B7F94", "#5FD3E6"),
    "low-wash": ("#DFF5F9", "#0F3038"),
    "low-text": ("#07525F", "#A5ECF7"),
    "phase": ("#E9E7F2", "#2A2A44"),
    "phase-text": ("#3A3560", "#CFCBF5"),
}


def _oklab_from_hex(code: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Oklab coordinates of an sRGB colour (Ottosson 2020, "A perceptual color space for image processing")."""
    srgb = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float64) / 255.0
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.asarray(_OKLAB_FROM_CONES @ np.cbrt(_CONES_FROM_LINEAR @ linear), dtype=np.float64)


def _hex_from_oklab(lab: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    cones = np.linalg.solve(_OKLAB_FROM_CONES, lab) ** 3
    linear = np.clip(np.linalg.solve(_CONES_FROM_LINEAR, cones), 0.0, 1.0)
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1.0 / 2.4) - 0.055)
    return "#" + "".join(f"{int(channel):02X}" for channel in np.rint(srgb * 255.0))


_CONES_FROM_LINEAR: Final = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_OKLAB_FROM_CONES: Final = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def mix_oklab(first: str, second: str, share: float) -> str:
    """The colour `share` of the way from `first` to `second`, mixed in oklab.

    Args:
        first: `#RRGGBB`.
        second: `#RRGGBB`.
        share: 0 gives `first`, 1 gives `second`.

    Examples:
        >>> mix_oklab("#000000", "#FFFFFF", 0.5)
        '#636363'
    """
    return _hex_from_oklab((1.0 - share) * _oklab_from_hex(first) + share * _oklab_from_hex(second))


def _with_layers(column: int) -> dict[str, str]:
    table = {name: pair[column] for name, pair in _TABLE.items()}
    for step in range(DRUG_LAYERS):
        table[f"drug-layer-{step}"] = mix_oklab(table["drug-oldest"], table["drug-fill"], (step + 1) / DRUG_LAYERS)
    return table


TOKENS: Final[dict[Palette, dict[str, str]]] = {"light": _with_layers(0), "dark": _with_layers(1)}
"""Every token of each palette as `#RRGGBB`, the mixed session layers included (0 is the oldest)."""


def colour(token: str) -> str:
    """The CSS variable of a token; a name that does not exist is a `KeyError`.

    Examples:
        >>> colour("predicted")
        'var(--predicted)'
    """
    TOKENS["light"][token]
    return f"var(--{token})"


def css_variables(palette: Palette) -> str:
    """The palette as CSS declarations, for use inside a rule.

    Examples:
        >>> css_variables("light").splitlines()[0]
        '--canvas: #F5F4F1;'
    """
    return "\n".join(f"--{name}: {code};" for name, code in TOKENS[palette].items())


def resolve_colours(svg: str, palette: Palette) -> str:
    """The picture with every colour variable replaced by its literal colour.

    Examples:
        >>> resolve_colours('<rect fill="var(--ink)"/>', "light")
        '<rect fill="#1B1A20"/>'
    """
    return re.sub(r"var\(--([a-z0-9-]+)\)", lambda match: TOKENS[palette][match[1]], svg)


def name_colours(svg: str) -> str:
    """The light picture with every literal colour replaced by its variable: `resolve_colours` taken back.

    Examples:
        >>> name_colours('<rect fill="#1B1A20"/>')
        '<rect fill="var(--ink)"/>'
    """
    names = {code: name for name, code in reversed(TOKENS["light"].items())}  # of two alike the first, which charts use
    return re.sub(r"(?<=\")#[0-9A-F]{6}(?=\")", lambda match: f"var(--{names[match[0]]})", svg)
