"""GPUs that this process may assign to workers, found without torch."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mendsearch.errors import UsageError

VISIBLE = "CUDA_VISIBLE_DEVICES"
GPU_LINE = re.compile(r"^GPU (?P<index>\d+): (?P<model>.*) \(UUID: (?P<uuid>[^)\s]+)\)")
MIG_LINE = re.compile(r"^\s+MIG (?P<profile>\S+).*\(UUID: (?P<uuid>[^)\s]+)\)")


@dataclass(frozen=True)
class Gpu:
    """One GPU, or one MIG instance of one.

    Attributes:
        handle: index or UUID, as in CUDA_VISIBLE_DEVICES.
        label: name for people.
    """

    handle: str
    label: str


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[Gpu]:
    """The GPUs in the inherited CUDA_VISIBLE_DEVICES, in its order; if it is not set, those that `nvidia-smi` lists.

    As in CUDA, the list ends at the first invalid entry (`-1`, or empty). From `nvidia-smi`, UUIDs are used: it orders
    GPUs by bus, CUDA by speed, so that the same index may mean different GPUs.

    Raises:
        UsageError: the variable is not set, and `nvidia-smi` fails.
    """
    inherited = environment.get(VISIBLE)
    if inherited is None:
        return listed(_nvidia_smi(environment))
    gpus: list[Gpu] = []
    for entry in inherited.split(","):
        handle = entry.strip()
        if not (handle.isdigit() or handle.startswith(("GPU-", "MIG-"))):
            break
        gpus.append(Gpu(handle, f"GPU {handle}"))
    return gpus


def listed(text: str) -> list[Gpu]:
    """GPUs in the output of `nvidia-smi -L`; a GPU with MIG instances is replaced by them."""
    gpus: list[Gpu] = []
    whole: Gpu | None = None
    for line in text.splitlines():
        if found := GPU_LINE.match(line):
            whole = Gpu(found["uuid"], f"GPU {found['index']} ({found['model']})")
            gpus.append(whole)
        elif (found := MIG_LINE.match(line)) and whole is not None:
            if gpus[-1] is whole:
                gpus.pop()
            gpus.append(Gpu(found["uuid"], f"{whole.label} MIG {found['profile']}"))
    return gpus


def chosen(words: str, gpus: Sequence[Gpu]) -> list[Gpu]:
    """The GPUs that `--gpus` names.

    Args:
        words: `all`; N, for the first N; or a list of positions in `gpus` or of UUIDs, such as `0,2` or `0,`.
        gpus: available GPUs.

    Raises:
        UsageError: `words` names no GPU, one twice, or one that is not available.
    """
    there = ", ".join(f"{place} is {gpu.handle}" for place, gpu in enumerate(gpus)) or "none is available"
    expected = f"expected `all`, a number up to {len(gpus)}, or a list of positions ({there})"
    if words == "all":
        taken = list(gpus)
    elif words.isdigit():
        taken = list(gpus[: int(words)]) if int(words) <= len(gpus) else []
    else:
        by_name = {gpu.handle: gpu for gpu in gpus if not gpu.handle.isdigit()}
        by_name |= {str(place): gpu for place, gpu in enumerate(gpus)}
        names = [name.strip() for name in words.split(",") if name.strip()]
        taken = [by_name[name] for name in names if name in by_name]
        if len(set(taken)) != len(names):
            taken = []
    if not taken:
        raise UsageError(f"--gpus: got {words!r}, {expected}; without a GPU try --workers N")
    return taken


def _nvidia_smi(environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(["nvidia-smi", "-L"], env=environment, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"--gpus: nvidia-smi does not answer: {error}; without a GPU try --workers N") from None
    if done.returncode:
        reason = " ".join((done.stdout + done.stderr).split())
        raise UsageError(f"--gpus: nvidia-smi finds none: {reason}; without a GPU try --workers N")
    return done.stdout
