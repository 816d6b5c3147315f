"""Write `docs/result.schema.json` from the model of `result.json`: `python docs/make_result_schema.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from mendstore.records import RunResult


def page() -> str:
    """The schema as text."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **RunResult.model_json_schema()}
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
        sys.stdout.write(page())
    else:
        Path(__file__).with_name("result.schema.json").write_text(page(), encoding="utf-8")
