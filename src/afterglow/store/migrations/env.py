"""Alembic's entry: runs the revisions on the connection that `store.engine.upgrade` hands over."""

from alembic import context

from afterglow.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
context.run_migrations()
