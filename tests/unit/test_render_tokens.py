"""Colours: contrast in both palettes, the mixed session layers, variables and literals."""

from __future__ import annotations

from typing import get_args

import pytest

from afterglow.render.tokens import DRUG_LAYERS, TOKENS, Palette, colour, css_variables, mix_oklab, resolve_colours

PALETTES: tuple[Palette, ...] = get_args(Palette)
BOTH_PALETTES = pytest.mark.parametrize("palette", PALETTES)


def contrast(first: str, second: str) -> float:
    """Contrast ratio as WCAG 2.2 defines it, written out for these tests."""

    def luminance(code: str) -> float:
        srgb = [int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in srgb]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_of_black_and_white_is_21() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21.0)


@BOTH_PALETTES
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        *[(text, ground) for text in ("ink", "ink2", "ink3", "link") for ground in ("surface", "canvas", "sunken")],
        *[(text, "surface") for text in ("predicted", "drug", "expectancy", "care", "control", "done")],
        ("ink", "predicted-50"),
        ("ink", "predicted-90"),
        ("ink3", "band-a"),
        ("ink3", "band-b"),
        ("action-text", "action"),
        ("phase-text", "phase"),
        *[(f"{level}-text", f"{level}-wash") for level in ("high", "medium", "low")],
        ("done", "done-wash"),
    ],
)
def test_text_has_a_contrast_of_4_5(palette: Palette, text: str, ground: str) -> None:
    assert contrast(TOKENS[palette][text], TOKENS[palette][ground]) >= 4.5


@BOTH_PALETTES
@pytest.mark.parametrize(
    ("mark", "ground"),
    [
        *[(mark, "surface") for mark in ("edge", "focus", "predicted", "drug", "drug-fill", "expectancy", "care")],
        *[(mark, "surface") for mark in ("control", "high", "medium-edge", "low", "done")],
        ("predicted", "predicted-90"),
        ("expectancy", "expectancy-wash"),
        ("care", "care-wash"),
        ("ink", "predicted-90"),
    ],
)
def test_marks_have_a_contrast_of_3(palette: Palette, mark: str, ground: str) -> None:
    assert contrast(TOKENS[palette][mark], TOKENS[palette][ground]) >= 3.0


def test_both_palettes_hold_the_same_tokens() -> None:
    assert list(TOKENS["light"]) == list(TOKENS["dark"])


@BOTH_PALETTES
def test_session_layers_run_evenly_from_the_palest_to_the_fill(palette: Palette) -> None:
    layers = [TOKENS[palette][f"drug-layer-{step}"] for step in range(DRUG_LAYERS)]
    from_surface = [contrast(layer, TOKENS[palette]["surface"]) for layer in layers]
    assert from_surface == sorted(from_surface)
    assert layers[-1] == TOKENS[palette]["drug-fill"]


@pytest.mark.parametrize(
    ("first", "second", "share", "mixed"),
    [
        ("#E9D9EE", "#9C58A8", 0.0, "#E9D9EE"),
        ("#E9D9EE", "#9C58A8", 1.0, "#9C58A8"),
        # What Chromium 156 paints for CSS color-mix(in oklab, first, second).
        ("#E9D9EE", "#9C58A8", 0.25, "#D6B8DD"),
        ("#E9D9EE", "#9C58A8", 0.75, "#B078BA"),
        ("#3A2742", "#A566B3", 0.5, "#6D4578"),
        ("#000000", "#FFFFFF", 0.75, "#AEAEAE"),
    ],
)
def test_mixing_agrees_with_a_browser(first: str, second: str, share: float, mixed: str) -> None:
    assert mix_oklab(first, second, share) == mixed


def test_a_colour_that_no_token_names_is_refused() -> None:
    with pytest.raises(KeyError):
        colour("crimson")


@BOTH_PALETTES
def test_variables_and_literals_agree(palette: Palette) -> None:
    declared = dict(line.strip(";").removeprefix("--").split(": ") for line in css_variables(palette).splitlines())
    assert declared == TOKENS[palette]
    drawn = "".join(f'<rect fill="{colour(name)}"/>' for name in declared)
    assert resolve_colours(drawn, palette) == "".join(f'<rect fill="{code}"/>' for code in declared.values())
