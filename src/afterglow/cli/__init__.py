"""The command line: the same answers as the library, as readable text, JSON or a report."""

from afterglow.cli.app import main

__all__ = ["main"]
