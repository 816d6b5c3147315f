"""Alembic migrations of our tables; `versions/` holds one a change of the schema."""
