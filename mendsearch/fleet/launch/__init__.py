"""Start many workers of a search: supervised on this machine, or as a job of Slurm or Kubernetes.

Nothing here imports torch, nor touches a GPU: a supervisor takes no memory of the devices that its workers need.

::

    Backend (base.py)          what would be started, and starting it
    ├── Local                  processes of this machine, under a Supervisor
    ├── Slurm                  an array of tasks, one worker each
    └── Kubernetes             an Indexed Job, one worker a pod

    Supervisor (supervisor.py) restarts what crashes, ends with its workers, and they with it

The URL of the study database, which may hold a password, is never among the words of a command, in a script or in a
manifest.
"""

from __future__ import annotations

from mendsearch.fleet.launch.base import Backend
from mendsearch.fleet.launch.kubernetes import Kubernetes
from mendsearch.fleet.launch.local import Local
from mendsearch.fleet.launch.request import BackendName, Request
from mendsearch.fleet.launch.restarts import RestartPolicy
from mendsearch.fleet.launch.slots import Slot, cpu_slots, gpu_slots
from mendsearch.fleet.launch.slurm import Slurm
from mendsearch.fleet.launch.supervisor import Supervisor
from mendstore.urls import STORAGE_VARIABLE

__all__ = [
    "STORAGE_VARIABLE",
    "Backend",
    "BackendName",
    "Kubernetes",
    "Local",
    "Request",
    "RestartPolicy",
    "Slot",
    "Slurm",
    "Supervisor",
    "cpu_slots",
    "gpu_slots",
]
