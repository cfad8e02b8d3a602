"""Afterglow: from ketamine dose to relief, and how long it holds."""

__version__ = "0.1.0"
