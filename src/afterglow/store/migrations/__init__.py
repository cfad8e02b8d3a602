"""Alembic revisions; each brings a database from the one before, with its data."""
