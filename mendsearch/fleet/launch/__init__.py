"""Start many workers of a search: supervised on this machine, or as a job of Slurm or Kubernetes.

Nothing here imports torch or touches a GPU: a supervisor takes no memory on the devices that its workers need.

::

    Backend (base.py)          shows what would be started, and starts it
    ├── Local                  processes on this machine, under a Supervisor
    ├── Slurm                  a job array, one worker per task
    └── Kubernetes             an Indexed Job, one worker per pod

    Supervisor (supervisor.py) restarts workers that crash, ends with them, and they with it

The URL of the study database may hold a password. It is never an argument of a command, nor in a script or manifest.
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
