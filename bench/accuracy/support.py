"""Public networks: coupling groups, the law, MACs and seconds; what stays whole and why; Torch-Pruning beside it.

Writes `bench/results/support.json` and `docs/support.md`. Weights are random, so nothing is downloaded. The networks
of torchvision need nothing more than the project (`--only torchvision`). The others, in an environment of its own:

    python -m venv support-env && support-env/bin/pip install -e ".[torch,dev]"
    support-env/bin/pip install timm segmentation-models-pytorch torch-pruning "huggingface-hub<1"
    support-env/bin/pip install opencv-python-headless
    support-env/bin/pip install --no-deps ultralytics ultralytics-thop
    support-env/bin/python -m bench.accuracy.support

Every network is measured by one thread in a process of its own, with limits on its time and memory. `--only` measures
some of them again and leaves the other rows as they are.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import signal
import traceback
from collections.abc import Callable
from fnmatch import fnmatch
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import torch

from bench.accuracy.support_measures import measure, measure_peer
from bench.accuracy.support_networks import Network, networks
from bench.accuracy.support_page import PAGE, page
from bench.files import read_figures, write_figures
from mendsearch.files import write_text
from mendsearch.pipeline.export import versions

TAKES = "60 minutes"
LIMIT_S = {"measure": 360, "measure_peer": 60}
"""Processor seconds of one process; the network is made, and checked, within them too."""
MEMORY = 8 << 30
"""Bytes of one process."""
WAITING = 60
"""Times the processor seconds, the longest time of one process: other work on the machine must not look like a hang."""


def main() -> None:
    """Measure, and write figures and page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="library, name or pattern of LIBRARY/NAME; may be repeated")
    parser.add_argument("--without-peer", action="store_true", help="leave Torch-Pruning's column as it is")
    parser.add_argument("--peer-only", action="store_true", help="leave our columns as they are")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page again")
    parser.add_argument("--missing", action="store_true", help="measure only what has no row yet")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, dict[str, Any]] = (read_figures("support") or {"rows": {}})["rows"]
    known = [] if arguments.page else list(networks())
    for network in known:
        if arguments.only and not any(_matches(network, pattern) for pattern in arguments.only):
            continue
        earlier = rows.get(network.title, {})
        if arguments.missing and earlier.get("peer" if arguments.peer_only else "parameters"):
            continue
        row = earlier
        if not arguments.peer_only:
            row = apart(measure, network, LIMIT_S["measure"]) | {"peer": earlier.get("peer")}
        if not arguments.without_peer:
            work = partial(measure_peer, outputs=tuple(row.get("outputs", ())))
            row["peer"] = apart(work, network, LIMIT_S["measure_peer"])
        rows[network.title] = row
        print(network.title, {key: value for key, value in row.items() if key not in ("whole", "outputs")}, flush=True)
        for kind, found in row.get("whole", {}).items():
            print(f"    {kind}: {found['layers']} layers, first {found['reason']}", flush=True)
        write_figures("support", {"versions": versions(), "rows": rows})
    if not arguments.only and not arguments.page:
        rows = {network.title: rows[network.title] for network in known if network.title in rows}
        write_figures("support", {"versions": versions(), "rows": rows})
    write_text(PAGE, page(rows))


def _matches(network: Network, pattern: str) -> bool:
    return pattern in (network.library, network.name) or fnmatch(network.title, pattern)


def apart(work: Callable[[Network], dict[str, Any]], network: Network, seconds: int) -> dict[str, Any]:
    """What `work` returns, in a process that is ended when it takes too long or too much memory."""
    context = multiprocessing.get_context("fork")  # what is imported once is there
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(work, network, seconds, sender))
    process.start()
    sender.close()
    found: dict[str, Any]
    try:
        if receiver.poll(WAITING * seconds):
            found = receiver.recv()
        else:
            found = {"error": f"took more than {WAITING * seconds} s"}
    except EOFError:
        process.join()
        late = process.exitcode in (-signal.SIGXCPU, -signal.SIGKILL)
        found = {"error": f"took more than {seconds} s" if late else f"the process ended with {process.exitcode}"}
    process.kill()
    process.join()
    return found


def _run(work: Callable[[Network], dict[str, Any]], network: Network, seconds: int, sender: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    used = int(sum(os.times()[:2]))
    resource.setrlimit(resource.RLIMIT_CPU, (used + seconds, used + seconds + 5))
    try:
        sender.send(work(network))
    except Exception as error:  # a network may raise anything
        traceback.print_exc()
        sender.send({"error": f"{type(error).__name__}: {error}".split("\n")[0][:200]})


if __name__ == "__main__":
    main()
