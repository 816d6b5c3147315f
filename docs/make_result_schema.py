"""Write `docs/result.schema.json` from the model of `result.json`: `python docs/make_result_schema.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mendstore.records import RunResult


def page() -> str:
    """The schema as text."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **RunResult.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(page())
    else:
        Path(__file__).with_name("result.schema.json").write_text(page(), encoding="utf-8")
