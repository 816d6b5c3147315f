"""Data from the user's own package."""

from __future__ import annotations

from mendsearch.config import DataSpec
from mendsearch.errors import DataError
from mendsearch.importing import import_factory
from mendsearch.training.sources.base import DataSource


def imported(spec: DataSpec, seed: int) -> DataSource:
    """Call `package.module:factory` with the spec's `kwargs`; it must return a `mendsearch.DataSource`.

    Raises:
        DataError: the path cannot be imported, or the factory fails or returns something else.
    """
    factory = import_factory(spec.name, DataError)
    try:
        source = factory(**spec.kwargs)
    except Exception as error:
        given = f" with {spec.kwargs}" if spec.kwargs else ""
        raise DataError(f"data {spec.name} failed{given}: {type(error).__name__}: {error}") from error
    if not isinstance(source, DataSource):
        raise DataError(f"data {spec.name}: got {type(source).__name__}, expected a mendsearch.DataSource")
    return source
