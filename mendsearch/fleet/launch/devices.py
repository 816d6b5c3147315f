"""GPUs that this process may hand out, found without torch."""

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
        handle: what CUDA_VISIBLE_DEVICES calls it: an index, or a UUID.
        label: for people.
    """

    handle: str
    label: str


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[Gpu]:
    """The GPUs of an inherited CUDA_VISIBLE_DEVICES in its order, without it those that `nvidia-smi` lists.

    As CUDA does, the list is read up to the first entry that names nothing (`-1`, or empty). UUIDs are taken where
    `nvidia-smi` gives them: it counts by bus, CUDA by speed, so that equal indices may be different GPUs.

    Raises:
        UsageError: there is no list, and `nvidia-smi` gives none.
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
    """GPUs in what `nvidia-smi -L` prints; one that is divided into MIG instances gives way to them."""
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
        words: `all`; N, the first N; or a list of places in `gpus` or of UUIDs, such as `0,2` (`0,` is a list of one).
        gpus: those there are.

    Raises:
        UsageError: it names none, one twice, or one that is not there.
    """
    there = ", ".join(f"{place} is {gpu.handle}" for place, gpu in enumerate(gpus)) or "none is there"
    expected = f"expected `all`, a number up to {len(gpus)}, or a list of places ({there})"
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
