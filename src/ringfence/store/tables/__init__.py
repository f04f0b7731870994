"""Tables that more than one part of the platform reads or writes, as data: SQLAlchemy Core, no sessions."""

from sqlalchemy import MetaData

metadata = MetaData()
