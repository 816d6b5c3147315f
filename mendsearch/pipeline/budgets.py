"""Several budgets in one spec: a run for each, in the order given."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from mendsearch.config import CORRECTIONS, LATENCY, SUFFIX, Spec, parse_spec, read_table
from mendsearch.errors import SpecError
from mendsearch.pipeline.folder import table_of
from mendsearch.pipeline.naming import word


def specs_in(path: Path, overrides: tuple[str, ...] = ()) -> list[Spec]:
    """The specs of a spec file or a run folder, one for each budget.

    Args:
        path: a TOML file, or the folder of a run.
        overrides: `key=value` pairs, as for `load_spec`. A limit of the budget may be a list, here or in the file.

    Returns:
        one spec where no limit is a list; else one for each entry, whose name ends with it.

    Raises:
        SpecError: the file or the folder cannot be read, a value is wrong, or lists have different lengths.
    """
    table = table_of(path, overrides) if path.is_dir() else read_table(path, overrides)
    origin = str(path / "spec.json" if path.is_dir() else path)
    found = []
    for name, budget in _each(table.get("budget"), origin):
        own = table | {"budget": budget}
        if name and isinstance(table.get("name"), str):
            own["name"] = f"{table['name']}-{name}"
        found.append(parse_spec(own, origin))
    return found


def chained(runs: Sequence[tuple[Spec, Path]]) -> list[tuple[Spec, Path]]:
    """The same runs; the search of each starts from the best structures of the one before, unless its spec names one.

    Args:
        runs: specs and their folders, in order.
    """
    found = list(runs[:1])
    for (before, _), (spec, folder) in pairwise(runs):
        mend = spec.mend.model_copy(update={"warm_start": spec.mend.warm_start or before.name})
        found.append((spec.model_copy(update={"mend": mend}), folder))
    return found


def corrected_file(limit: str) -> str:
    """The file in the run's folder for a latency profile as corrected by networks that were slower than predicted.

    Args:
        limit: name of the limit in time.
    """
    return f"{limit.replace(LATENCY, 'latency').replace('.', '-')}.json"


def corrections(spec: Spec, folder: Path) -> dict[str, Path]:
    """The corrected profiles that a run has left, by the names of the limits in time."""
    files = {limit: folder / corrected_file(limit) for limit in spec.budget.latencies}
    return {limit: file for limit, file in files.items() if file.is_file()}


def setting_of(spec: Spec, profiles: Mapping[str, Path]) -> list[str]:
    """What `--set` is given for other latency profiles.

    Args:
        spec: spec of the run.
        profiles: by the names of the limits in time.
    """
    budget = spec.budget.with_profiles(profiles)
    found = [f"budget.profile={budget.profile}"] if LATENCY in profiles else []
    if budget.device and profiles.keys() - {LATENCY}:
        tables = (
            ", ".join(f"{key} = {json.dumps(value)}" for key, value in limit.model_dump(mode="json").items())
            for limit in budget.device
        )
        found.append(f"budget.device=[{', '.join(f'{{{table}}}' for table in tables)}]")
    return found


def corrected(spec: Spec, folder: Path, mistimed: bool) -> tuple[Spec, Path] | None:
    """The run that goes on from one whose best network was slower than predicted, with the latency model corrected.

    Args:
        spec: spec of that run.
        folder: its folder.
        mistimed: whether that mattered, as its result says.

    Returns:
        spec and folder; None if it did not, or after `CORRECTIONS` of them.
    """
    found = re.fullmatch(rf"(.+){SUFFIX}(?:-(\d+))?", spec.name)
    base, number = (spec.name, 1) if found is None else (found[1], int(found[2] or 1) + 1)
    following = with_correction(spec, folder) if mistimed and number <= CORRECTIONS else None
    if following is None:
        return None
    name = base + SUFFIX + (f"-{number}" if number > 1 else "")
    mend = spec.mend.model_copy(update={"warm_start": spec.name})
    return following.model_copy(update={"name": name, "mend": mend}), folder.parent / name


def with_correction(spec: Spec, folder: Path) -> Spec | None:
    """The same spec with the latency models that a run of it left corrected; None if it left none.

    Args:
        spec: spec of that run.
        folder: its folder.
    """
    profiles = corrections(spec, folder)
    return spec.model_copy(update={"budget": spec.budget.with_profiles(profiles)}) if profiles else None


def _each(budget: Any, origin: str) -> list[tuple[str, Any]]:
    """By what to add to the name, each budget; nothing is added where no limit is a list."""
    limits = budget if isinstance(budget, Mapping) else {}
    lists = {key: value for key, value in limits.items() if isinstance(value, list) and key != "device"}
    if not lists:
        return [("", budget)]
    lengths = {len(values) for values in lists.values()}
    if len(lengths) > 1 or 0 in lengths:
        got = ", ".join(f"{len(values)} of budget.{key}" for key, values in lists.items())
        raise SpecError(f"spec {origin}: got {got}, expected lists of equal length; each entry is one budget")
    (length,) = lengths
    chosen = [{key: values[index] for key, values in lists.items()} for index in range(length)]
    if len({str(one) for one in chosen}) < length:
        got = ", ".join(f"budget.{key} = {values}" for key, values in lists.items())
        raise SpecError(f"spec {origin}: got {got}, expected each budget once")
    return [("-".join(f"{key}-{word(value)}" for key, value in one.items()), budget | one) for one in chosen]
