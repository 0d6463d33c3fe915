"""The journal and the halts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the first tables."""
    op.create_table(
        "records",
        sa.Column("sequence", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text()),
        sa.Column("outcome", sa.Text()),
        sa.Column("refused_by", sa.Text()),
        sa.Column("decision", sa.Text()),
        sa.Column("client_id", sa.Text()),
        sa.Column("trade", sa.Text()),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_records")),
        sa.UniqueConstraint("id", name=op.f("uq_records_id")),
    )
    op.create_index("ix_records_kind_instrument_at_ms", "records", ["kind", "instrument", "at_ms"])
    op.create_index("ix_records_kind_at_ms", "records", ["kind", "at_ms"])
    op.create_index("ix_records_at_ms", "records", ["at_ms"])
    for columns in (["outcome", "at_ms"], ["decision"], ["client_id"], ["trade"]):
        applies = sa.text(f"{columns[0]} IS NOT NULL")
        op.create_index(
            f"ix_records_{'_'.join(columns)}",
            "records",
            columns,
            sqlite_where=applies,
            postgresql_where=applies,
        )
    op.create_table(
        "halts",
        sa.Column("desk", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("desk", name=op.f("pk_halts")),
    )


def downgrade() -> None:
    """Remove them again."""
    for table in ("halts", "records"):
        op.drop_table(table)
