"""scikit-learn's digits at 20% and 10% of the MACs, five splits: `python bench/digits.py`. Resumable."""

from __future__ import annotations

import argparse

from rows import WORK, compare, publish, summarise

from mendsearch.config import load_spec
from mendsearch.pipeline.demo import SPEC

SPLITS = range(5)
RATES = (0.2, 0.1)
FINETUNE_SEEDS = (0, 1, 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the spec")
    parser.add_argument("--name", default="digits", help="of the figures")
    arguments = parser.parse_args()
    values, summary = {}, {}
    for rate in RATES:
        found = []
        for seed in SPLITS:
            name = f"{arguments.name}-{seed}-{rate}"
            keys = (f'name="{name}"', f"seed={seed}", f"budget.macs={rate}", *arguments.set)
            dense = None if rate == RATES[0] else WORK / f"{arguments.name}-{seed}-{RATES[0]}"
            found.append(compare(load_spec(SPEC, keys), FINETUNE_SEEDS, dense))
            values[name] = found[-1]
        summary[f"digits, {rate:.0%} of the MACs, {len(found)} splits"] = summarise(found)
    publish(arguments.name, summary, values)


if __name__ == "__main__":
    main()
