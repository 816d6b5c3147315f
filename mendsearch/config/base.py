"""What all tables of a spec share: frozen pydantic models that refuse unknown keys, and errors in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from mendsearch.errors import SpecError


def import_path(value: str) -> str:
    """Check that a value is `package.module:function`."""
    module, colon, function = value.partition(":")
    if not (module and colon and function) or module == "torchvision":
        raise ValueError("expected package.module:function")
    return value


ImportPath = Annotated[str, AfterValidator(import_path)]
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""Names of searches."""


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass as _InOneLine
else:

    class _InOneLine(type(BaseModel)):
        """Says what is wrong in a call of a class in one line, as it is said of a spec file."""

        def __call__(cls, *args, **kwargs):
            try:
                return super().__call__(*args, **kwargs)
            except ValidationError as error:
                raise SpecError(f"{cls.__name__}: {describe(error, 'argument')}") from None


class SpecPart(BaseModel, metaclass=_InOneLine):
    """A table of the spec file. It is frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def describe(error: ValidationError, part: str = "key") -> str:
    """One line for the first error of a pydantic model, whose fields are keys of a spec or arguments of a call."""
    first, count = error.errors()[0], error.error_count()
    key = ".".join(str(part) for part in first["loc"])
    rest = f" (and {count - 1} more)" if count > 1 else ""
    if first["type"] == "extra_forbidden":
        known = "docs/spec.md lists the keys" if part == "key" else "docs/spec.md lists them as keys"
        return f"unknown {part} `{key}`; {known}{rest}"
    if first["type"] == "missing":
        return f"{part} `{key}` is missing{rest}"
    given = "" if isinstance(first["input"], dict) else f"got {first['input']!r}, "
    expected = first["msg"].removeprefix("Value error, ").partition(", unable to parse")[0]
    return f"{key or 'budget'}: {given}{expected.replace('Input should be', 'expected', 1)}{rest}"
