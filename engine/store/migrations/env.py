"""How Alembic runs here: on the connection that the store hands it, or on `-x url=...` from its command line."""

from alembic import context
from sqlalchemy import Connection

from engine.store.database import sync_engine
from engine.store.tables import Base


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,  # SQLite alters little in place
        transactional_ddl=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    with sync_engine(context.get_x_argument(as_dictionary=True)["url"]).begin() as opened:
        _run(opened)
