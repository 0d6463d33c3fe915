"""SQLAlchemy engines for SQLite and PostgreSQL, and the way of a store to the newest schema.

SQLite's driver sends BEGIN only before the first write, so a read followed by a write is no transaction and
updates get lost without an error. Here every transaction begins at once, and one that may write holds the
write lock from its first statement.
"""

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from engine.core.domain.errors import StoreFailed
from engine.store.driver import POSTGRESQL, SQLITE, SQLITE_PRAGMAS, Place, one_line, place

_MIGRATIONS = Path(__file__).parent / "migrations"


def async_engine(url: str | Path) -> AsyncEngine:
    """An engine for coroutines that read and write."""
    where = place(url)
    engine = create_async_engine(
        _url(where, where.dialect.async_driver), pool_pre_ping=where.dialect is POSTGRESQL
    )
    if where.dialect is SQLITE:
        _serialise(engine.sync_engine)
    return engine


def sync_engine(url: str | Path) -> Engine:
    """An engine for threads and scripts."""
    where = place(url)
    engine = create_engine(_url(where, where.dialect.sync_driver), pool_pre_ping=where.dialect is POSTGRESQL)
    if where.dialect is SQLITE:
        _serialise(engine)
    return engine


def async_readers(engine: AsyncEngine) -> AsyncEngine:
    """The same pool for those who only read: they wait for no writer, and keep none waiting."""
    return engine.execution_options(readonly=True, postgresql_readonly=True)


def readers(engine: Engine) -> Engine:
    """The same pool for those who only read: they wait for no writer, and keep none waiting."""
    return engine.execution_options(readonly=True, postgresql_readonly=True)


def upgrade(where: Place) -> None:
    """Bring the store to the newest schema: all of it or none, also when two processes start at once."""
    engine = sync_engine(_url(where, where.dialect.sync_driver))
    try:
        with engine.begin() as connection:
            if where.dialect is POSTGRESQL:
                connection.execute(text(where.dialect.begin[1]))
            command.upgrade(alembic_config(connection), "head")
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StoreFailed(
            f"the store at {where} cannot be brought to the newest schema: {one_line(cause)}"
        ) from error
    finally:
        engine.dispose()


def alembic_config(connection: Connection) -> Config:
    """Alembic's settings for this project, working on `connection`."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _url(where: Place, driver: str) -> str:
    return f"{driver}:///{where.target}" if where.dialect is SQLITE else f"{driver}://{where.target}"


def _serialise(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver sends no BEGIN of its own
        cursor = connection.cursor()
        for pragma in (*SQLITE_PRAGMAS, "journal_mode=WAL", "synchronous=FULL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        readonly = connection.get_execution_options().get("readonly", False)
        connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")
