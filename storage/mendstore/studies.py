"""Studies in a Postgres database, in the tables of stock Optuna."""

from __future__ import annotations

from mendstore.queries.studies import StudySummary, study_summaries
from mendstore.reading import Reader


def summaries(url: str, name: str | None = None) -> list[StudySummary]:
    """Every study of the database, or the one of that name, in the order of creation.

    Raises:
        StorageError: the database cannot be reached.
    """
    reader = Reader(url)
    try:
        return reader.read(lambda snapshot: study_summaries(snapshot, name))
    finally:
        reader.close()
