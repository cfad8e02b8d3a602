"""Afterglow: from ketamine dose to relief, and how long it holds."""
