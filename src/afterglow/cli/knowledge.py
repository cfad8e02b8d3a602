"""`afterglow evidence` and `afterglow scales`: what is published, and the instruments."""

from __future__ import annotations

import typer

evidence_app = typer.Typer(help="Published trials, claims and pooled effects.")


@evidence_app.callback()
def _evidence() -> None:
    """Published evidence."""


def scales_command() -> None:
    """Instruments."""
