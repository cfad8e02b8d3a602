"""The command line: the same answers as the library, as readable text, JSON or a report."""

import gc

# New objects between two searches for garbage: what a start loads stays, and looking through it costs time.
gc.set_threshold(100_000)

from afterglow.cli.app import main  # noqa: E402  loaded after the line above, which is for it

__all__ = ["main"]
