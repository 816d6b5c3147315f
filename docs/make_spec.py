"""Write `docs/spec.md` from the pydantic models: `python docs/make_spec.py`."""

from __future__ import annotations

import sys
import types
import typing
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from mendsearch.config import Spec, SpecPart

HEAD = """# The spec file

A TOML file describes what `mendsearch run SPEC.toml` does. An unknown key is an error. `--set key=value` overrides a
key, such as `--set mend.trials=200`. Relative paths start at the working directory. The smallest valid spec:

```toml
name = "mine"
model.name = "torchvision:resnet18"
data.name = "fashion-mnist"
data.path = "/usr/share/datasets/fashion-mnist"
budget.macs = 0.4
```

`data.path` is needed only if the source reads a folder. `python docs/make_spec.py` writes this page from the models in
`mendsearch/config/`.

## The run folder

A run folder, `runs/NAME` or `--out`, belongs to one spec and one search: only `mend.trials` and the keys of `[fleet]`
may change later, and another database is refused. `mendsearch run FOLDER` goes on with what the folder knows.
`search.json` in it says where the search is, without a password.

A spec that differs from the one in its folder gets a folder and a name of its own: beside `runs/mine`, `--set
budget.macs=0.3` runs in `runs/mine-macs-0.3`, and the same command resumes there. Dense weights, ranking and statistics
of earlier runs in the same folder are reused where network, data, training and seed are the same; the run says which.
Where only `[finetune]` differs, so are the trials of the earlier search, which has to be in the same database.
Data are compared by the calibration items, the validation items and the number of training items: after a change of
other training items, remove the earlier run, or run in another folder.

Several budgets are a list: `budget.macs = [0.5, 0.3]` runs in `runs/mine-macs-0.5`, then in `runs/mine-macs-0.3`, whose
search starts from the best structures of the first, and one table shows both. Lists of two limits have the same length.
"""


def describe(annotation: Any) -> str:
    """A type in the words of TOML."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(f"`{value!r}`".replace("'", '"') for value in arguments)
    if origin is typing.Annotated:
        return describe(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments if argument is not type(None))
    if _is_part(annotation):
        return "table"
    if origin is tuple:
        return f"list of {describe(arguments[0])}"
    if origin is dict:
        return "table"
    return {str: "text", int: "integer", float: "number", bool: "true or false", Path: "path"}[annotation]


def default(field: FieldInfo) -> str:
    """The default of a key in TOML, or `required`, or `none`."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value!r}`".replace("'", '"').replace("()", "[]")


def table(fields: dict[str, FieldInfo]) -> str:
    """A table with one row per key."""
    rows = ["| key | type | default | |", "|---|---|---|---|"]
    for name, field in fields.items():
        rows.append(f"| `{name}` | {describe(field.annotation)} | {default(field)} | {field.description or ''} |")
    return "\n".join(rows)


def page() -> str:
    """The whole page."""
    plain = {k: f for k, f in Spec.model_fields.items() if not _part(f)}
    parts = [HEAD, table(plain)]
    for name, field in Spec.model_fields.items():
        part = _part(field)
        if part is not None:
            parts.append(_section(f"[{name}]", part))
            for key, inner in part.model_fields.items():
                many = typing.get_origin(inner.annotation) is tuple
                heading = f"[[{name}.{key}]]" if many else f"[{name}.{key}.NAME]"
                parts += [_section(heading, kind) for kind in typing.get_args(inner.annotation) if _is_part(kind)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _section(heading: str, part: type[SpecPart]) -> str:
    return f"## `{heading}`\n\n{(part.__doc__ or '').strip()}\n\n{table(part.model_fields)}"


def _part(field: FieldInfo) -> type[SpecPart] | None:
    return field.annotation if _is_part(field.annotation) else None


def _is_part(kind: Any) -> typing.TypeGuard[type[SpecPart]]:
    return isinstance(kind, type) and issubclass(kind, SpecPart)


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(page())
    else:
        Path(__file__).with_name("spec.md").write_text(page(), encoding="utf-8")
