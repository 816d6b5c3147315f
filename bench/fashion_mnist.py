"""ResNet-20 on Fashion-MNIST at 40% and 20% of the MACs: `python bench/fashion_mnist.py`. Resumable.

Half an hour on 2 cores, half of it to train the dense network. `--data` names the folder of the idx files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rows import WORK, compare, publish, summarise

from mendsearch.config import load_spec

RATES = (0.4, 0.2)
FINETUNE_SEEDS = (0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist", help="folder of the idx files")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the spec")
    parser.add_argument("--name", default="fashion-mnist", help="of the figures")
    arguments = parser.parse_args()
    values, summary = {}, {}
    for rate in RATES:
        name = f"{arguments.name}-{rate}"
        keys = (f'name="{name}"', f"budget.macs={rate}", f'data.path="{arguments.data}"', *arguments.set)
        dense = None if rate == RATES[0] else WORK / f"{arguments.name}-{RATES[0]}"
        values[name] = compare(load_spec(Path("examples/fashion-mnist.toml"), keys), FINETUNE_SEEDS, dense)
        summary[f"ResNet-20 on Fashion-MNIST, {rate:.0%} of the MACs"] = summarise([values[name]])
    publish(arguments.name, summary, values)


if __name__ == "__main__":
    main()
