"""The base of all records: strict when they are made, lenient when they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

Number = Annotated[float, Field(gt=-1e300, lt=1e300)]
Cost = Annotated[int, Field(ge=0, lt=10**18)]
Width = Annotated[int, Field(ge=0, lt=10**9)]
Counts = dict[str, Width]
"""Channels by coupling group."""

LENIENT = "lenient"
MESSAGE_CHARACTERS = 200


class RecordError(ValueError):
    """A stored value is not the record that it should be."""


class Record(BaseModel):
    """JSON that one part of mendsearch writes and another reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _without_unknown_keys(cls, value: Any, info: ValidationInfo) -> Any:
        if info.context != LENIENT or not isinstance(value, dict):
            return value
        known = {name for key, field in cls.model_fields.items() for name in (key, field.alias)}
        return {key: item for key, item in value.items() if key in known}

    @classmethod
    def read(cls, value: Any) -> Self:
        """The record that a stored value holds; keys that this version does not know are ignored.

        Args:
            value: JSON value.

        Raises:
            RecordError: the value is not such a record; the message names the first field that does not fit.
        """
        try:
            return cls.model_validate(value, context=LENIENT)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            wrong = first["msg"].replace("Input should be", "expected", 1)
            text = f"{where}: {wrong}" if where else wrong
            raise RecordError(text[:MESSAGE_CHARACTERS]) from None

    def written(self) -> dict[str, Any]:
        """JSON values to store.

        Raises:
            ValueError: a field was left out; only records of older versions may lack one.
        """
        missing = sorted(_left_out(self))
        if missing:
            raise ValueError(f"{type(self).__name__} lacks {', '.join(missing)}; give every field")
        return self.model_dump(mode="json", by_alias=True)


def _left_out(value: Any) -> Iterable[str]:
    """Names of fields of a record, and of records in it, that were not given."""
    if isinstance(value, Record):
        yield from type(value).model_fields.keys() - value.model_fields_set
        value = {key: getattr(value, key) for key in value.model_fields_set}
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for item in value:
        yield from _left_out(item)
