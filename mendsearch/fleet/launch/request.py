"""The request of a user, and the backend for it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mendsearch.errors import UsageError
from mendsearch.fleet.launch.base import Backend
from mendsearch.fleet.launch.devices import chosen, visible_gpus
from mendsearch.fleet.launch.kubernetes import Kubernetes
from mendsearch.fleet.launch.local import Local
from mendsearch.fleet.launch.slots import cpu_slots, gpu_slots
from mendsearch.fleet.launch.slurm import Slurm
from mendsearch.fleet.launch.supervisor import OnExit

BackendName = Literal["local", "slurm", "kubernetes"]
CLUSTER_CPUS = 4
SERVES: dict[str, tuple[BackendName, ...]] = {
    "per_gpu": ("local",),
    "log_dir": ("local", "slurm"),
    "memory": ("slurm", "kubernetes"),
    "time": ("slurm",),
    "partition": ("slurm",),
    "account": ("slurm",),
    "sbatch": ("slurm",),
    "image": ("kubernetes",),
    "namespace": ("kubernetes",),
    "secret": ("kubernetes",),
}


@dataclass(frozen=True)
class Request:
    """Workers that a user asks for; None or empty means not given.

    Attributes:
        search: name of the search.
        backend: name of the backend.
        url: URL of the study database.
        workers: number of workers on the CPU.
        gpus: GPUs for one worker each: `all`, a number, or a list.
        per_gpu: number of workers that share a GPU.
        cpus: cores per worker.
        allow: packages that a worker may import for the network, the metric, the data and the fine-tuning.
        data: folder of the training data on the machine of a worker.
        log_dir: folder of the logs.
        memory, time, partition, account, sbatch: see `Slurm`.
        image, namespace, secret: see `Kubernetes`.
    """

    search: str
    backend: BackendName = "local"
    url: str | None = field(default=None, repr=False)
    workers: int | None = None
    gpus: str | None = None
    per_gpu: int | None = None
    cpus: int | None = None
    allow: Sequence[str] = ()
    data: Path | None = None
    log_dir: Path | None = None
    memory: str | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    sbatch: Sequence[str] = ()
    image: str | None = None
    namespace: str | None = None
    secret: str | None = None

    def resolved(self, default_log_dir: Path, on_exit: OnExit | None = None) -> Backend:
        """The backend that was asked for.

        Args:
            default_log_dir: folder of the logs if `log_dir` was not given.
            on_exit: callback of a local supervisor.

        Raises:
            UsageError: an option is missing, or does not apply to this backend.
        """
        if (self.workers is None) == (self.gpus is None):
            raise UsageError("launch: got both or neither of --workers and --gpus; give one of them")
        for option, backends in SERVES.items():
            if getattr(self, option) and self.backend not in backends:
                shown = option.replace("_", "-")
                raise UsageError(f"launch: --{shown} does not apply to --backend {self.backend}; leave it out")
        if self.backend == "local":
            return self._local(default_log_dir, on_exit)
        return self._slurm(default_log_dir) if self.backend == "slurm" else self._kubernetes()

    def _local(self, default_log_dir: Path, on_exit: OnExit | None) -> Local:
        if self.gpus is not None:
            slots = gpu_slots(chosen(self.gpus, visible_gpus()), self.per_gpu or 1, self.cpus)
        elif self.per_gpu:
            raise UsageError("launch: --per-gpu does not apply to --workers; try --gpus all")
        else:
            slots = cpu_slots(self.workers or 1, self.cpus)
        return Local(self._command(sys.executable), self._storage(), slots, self.log_dir or default_log_dir, on_exit)

    def _slurm(self, default_log_dir: Path) -> Slurm:
        return Slurm(
            search=self.search,
            command=self._command(sys.executable),
            url=self._storage(),
            workers=self._count(),
            gpus=int(self.gpus is not None),
            cpus=self.cpus or CLUSTER_CPUS,
            log_dir=self.log_dir or default_log_dir,
            memory=self.memory,
            time=self.time,
            partition=self.partition,
            account=self.account,
            extra=self.sbatch,
        )

    def _kubernetes(self) -> Kubernetes:
        if self.image is None:
            raise UsageError("launch --backend kubernetes: got no --image; give one that holds mendsearch and torch")
        return Kubernetes(
            search=self.search,
            command=self._command("python"),
            url=None if self.secret else self._storage(),
            workers=self._count(),
            image=self.image,
            gpus=int(self.gpus is not None),
            cpus=self.cpus or CLUSTER_CPUS,
            memory=self.memory,
            namespace=self.namespace,
            secret=self.secret,
        )

    def _command(self, python: str) -> list[str]:
        allowed = [f"--allow={package}" for package in self.allow]
        words = [python, "-P", "-m", "mendsearch", "worker", self.search, *allowed]
        if self.data is not None:  # in an image it is where the user says
            words.append(f"--data={self.data if self.backend == 'kubernetes' else self.data.absolute()}")
        return words

    def _storage(self) -> str:
        if self.url is None:
            raise UsageError(
                "launch: got no storage URL; give postgresql://USER@HOST/DATABASE, or set MENDSEARCH_STORAGE"
            )
        return self.url

    def _count(self) -> int:
        if self.gpus is None:
            return self.workers or 1
        if not self.gpus.isdigit() or int(self.gpus) < 1:
            raise UsageError(
                f"--gpus: got {self.gpus!r}, expected a number with --backend {self.backend}: workers with one GPU each"
            )
        return int(self.gpus)
