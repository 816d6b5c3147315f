"""Write the schemas of the JSON files that a run leaves: `python docs/make_schemas.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mendsearch.artifacts import PrunedStructure
from mendstore.records import RunResult

SCHEMAS = {"result.schema.json": RunResult, "structure.schema.json": PrunedStructure}


def page(name: str) -> str:
    """A schema as text.

    Args:
        name: its file in `docs/`.
    """
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **SCHEMAS[name].model_json_schema()}
    return json.dumps(_plain(schema), indent=2) + "\n"


def _plain(schema: Any) -> Any:
    """Without `"additionalProperties": true`, the default, which only some versions of pydantic write."""
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _plain(value) for key, value in schema.items() if not (key == "additionalProperties" and value is True)
    }


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(page(sys.argv[-1]))
    else:
        for name in SCHEMAS:
            Path(__file__).with_name(name).write_text(page(name), encoding="utf-8")
