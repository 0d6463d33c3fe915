"""The tables, as SQLAlchemy sees them: what migrations are made from and checked against.

The journal and the state store send their own few statements (see `driver.py`); everything that can wait, or
wants to join and group, queries these.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    BigInteger,
    Boolean,
    Dialect,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class UTCDateTime(TypeDecorator[datetime]):
    """An aware moment, kept as microseconds since 1970: exact, sortable, the same in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Refuse what does not say where its clock stands."""
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a time must be aware, was {value}")
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """The moment, in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Base(DeclarativeBase):
    """Every name of a constraint follows from its columns, so that migrations can speak of it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite makes only INTEGER the row's own number


class RecordRow(Base):
    """One record of the journal: its place in the chain, what questions filter on, and its bytes.

    A filter that does not apply is null, which keeps it out of its index.
    """

    __tablename__ = "records"

    sequence: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(Text, unique=True)
    at_ms: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(Text)
    instrument: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str | None] = mapped_column(Text)
    refused_by: Mapped[str | None] = mapped_column(Text)
    decision: Mapped[str | None] = mapped_column(Text)
    client_id: Mapped[str | None] = mapped_column(Text)
    trade: Mapped[str | None] = mapped_column(Text)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    payload: Mapped[bytes] = mapped_column(LargeBinary)


def _asked(*columns: str) -> Index:
    """An index over the rows in which the first of `columns` applies."""
    applies = getattr(RecordRow, columns[0]).is_not(None)
    attributes = [getattr(RecordRow, column) for column in columns]
    return Index(
        f"ix_records_{'_'.join(columns)}", *attributes, sqlite_where=applies, postgresql_where=applies
    )


Index("ix_records_kind_instrument_at_ms", RecordRow.kind, RecordRow.instrument, RecordRow.at_ms)
Index("ix_records_kind_at_ms", RecordRow.kind, RecordRow.at_ms)
Index("ix_records_at_ms", RecordRow.at_ms)
_asked("outcome", "at_ms")
_asked("decision")
_asked("client_id")
_asked("trade")


class HaltTable(Base):
    """The halt of each desk. A missing row means that nothing was ever halted."""

    __tablename__ = "halts"

    desk: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(Text)
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    by: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(BigInteger)


class LockTable(Base):
    """What is locked of each desk, by name. A missing row means that it never was."""

    __tablename__ = "locks"

    desk: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    locked: Mapped[bool] = mapped_column(Boolean)
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    by: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(BigInteger)


class LeaseTable(Base):
    """Who may act for each desk, until when by the database's clock. `token` grows with every holder, never back."""

    __tablename__ = "leases"

    desk: Mapped[str] = mapped_column(Text, primary_key=True)
    holder: Mapped[str] = mapped_column(Text)
    token: Mapped[int] = mapped_column(BigInteger)
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    expires: Mapped[datetime] = mapped_column(UTCDateTime)


class InboxTable(Base):
    """Commands for the engine of each desk, and what came of them; null while nobody has answered.

    `taken` is when an engine began to carry it out: from then on it cannot be taken back.
    """

    __tablename__ = "inbox"

    desk: Mapped[str] = mapped_column(Text, primary_key=True)
    source: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    command: Mapped[bytes] = mapped_column(LargeBinary)
    taken: Mapped[datetime | None] = mapped_column(UTCDateTime)
    outcome: Mapped[bytes | None] = mapped_column(LargeBinary)


class LetterTable(Base):
    """What came from the chats of each desk; `answered` is null while nobody has."""

    __tablename__ = "letters"

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=True)
    desk: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    answered: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (UniqueConstraint("desk", "source", "key"),)


class ParcelTable(Base):
    """What is on its way to the chats of each desk, or was: `ended` is when it arrived or was given up (`dead`).

    `topic` is what groups parcels, `due` the earliest time of the next try, `sent_as` the platform's name for it.
    """

    __tablename__ = "parcels"

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=True)
    desk: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    place: Mapped[str] = mapped_column(Text)
    lane: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    topic: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    tries: Mapped[int] = mapped_column(Integer)
    due: Mapped[datetime] = mapped_column(UTCDateTime)
    sent_as: Mapped[str] = mapped_column(Text)
    ended: Mapped[datetime | None] = mapped_column(UTCDateTime)
    dead: Mapped[bool] = mapped_column(Boolean, server_default=false())
    why: Mapped[str] = mapped_column(Text)


Index("ix_parcels_desk_source_topic", ParcelTable.desk, ParcelTable.source, ParcelTable.topic)


class PersonTable(Base):
    """Roles that were given and taken in the chats of each desk; an empty role was taken away."""

    __tablename__ = "people"

    desk: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    role: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class AccountTable(Base):
    """Whose account a number at a platform is, as it was said in a chat."""

    __tablename__ = "accounts"

    desk: Mapped[str] = mapped_column(Text, primary_key=True)
    surface: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class AskTable(Base):
    """Questions for a yes or a no, by their nonce; the answer is null while nobody has given one."""

    __tablename__ = "asks"

    desk: Mapped[str] = mapped_column(Text, primary_key=True)
    nonce: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires: Mapped[datetime] = mapped_column(UTCDateTime)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    answer: Mapped[str | None] = mapped_column(Text)
    by: Mapped[str | None] = mapped_column(Text)
    answered: Mapped[datetime | None] = mapped_column(UTCDateTime)
    key: Mapped[str | None] = mapped_column(Text)
