"""Run by Alembic: our migrations, on the connection that `mendstore.database.upgrade` holds."""

from alembic import context

from mendstore.schema import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
with context.begin_transaction():
    context.run_migrations()
