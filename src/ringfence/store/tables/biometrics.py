"""Voice biometrics: who has agreed to it, the prints of their voices, and proofs that prints were removed."""

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, String, Table, Text

from ringfence.store.columns import Json, Moment

from . import metadata

biometric_consents = Table(
    "biometric_consents",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("contact_id", String(24), primary_key=True),
    Column("status", String(12), nullable=False),  # NO_CONSENT | CONSENTED | DELETED | REFUSED
    Column("consented_at", Moment),
    Column("updated_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)

biometric_history = Table(
    "biometric_history",
    metadata,
    Column("n", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("account_id", String(24), nullable=False),
    Column("contact_id", String(24), nullable=False),
    Column("status", String(12), nullable=False),
    Column("previous", String(12), nullable=False),
    Column("at", Moment, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("how", String(12), nullable=False),  # api | cli | flow | opt_out | deletion | erasure
    Column("interaction_id", String(32)),  # the call in which they said so
    Index("biometric_history_contact", "account_id", "contact_id", "n"),
)

voice_prints = Table(
    "voice_prints",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("contact_id", String(24), primary_key=True),
    Column("phrase_id", BigInteger, nullable=False),
    Column("engine", String(40), nullable=False),
    Column("print", Text),  # sealed by the vault; NULL: there has been nothing to hear yet
    Column("recordings", Json, nullable=False),  # ids of those that it was made from
    Column("enrolled_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    sqlite_with_rowid=False,
)

biometric_removals = Table(
    "biometric_removals",
    metadata,
    Column("account_id", String(24), primary_key=True),
    Column("id", String(32), primary_key=True),
    Column("contact_id", String(24), nullable=False),
    Column("at", Moment, nullable=False),
    Column("removed", Json, nullable=False),  # floor/biometrics.py, Removal
    Column("signature", String(64), nullable=False),
    Index("biometric_removals_contact", "account_id", "contact_id", "id"),
    sqlite_with_rowid=False,
)
