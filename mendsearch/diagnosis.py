"""What of this machine and its study database matters to a search, to read or to paste into an issue."""

from __future__ import annotations

import platform
import shutil
import sys
from importlib import metadata, util
from pathlib import Path

import psutil

import mendstore
from mendsearch.cores import available_cores
from mendstore.queries.server import server_facts

PACKAGES = (
    "mendsearch", "torch", "torchvision", "optuna", "optuna-dashboard", "sqlalchemy", "psycopg2-binary", "onnxruntime",
)  # fmt: skip
GIB = 2**30
Facts = dict[str, dict[str, str]]


def machine() -> Facts:
    """Python, packages, processor, memory, disk and devices, by section."""
    memory = psutil.virtual_memory()
    return {
        "machine": {
            "system": platform.platform(),
            "python": f"{platform.python_version()}, {sys.executable}",
            "processor": f"{available_cores()} cores that this process may use",
            "memory": f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free",
            "disk": f"{shutil.disk_usage(Path.cwd()).free / GIB:.1f} GiB free in {Path.cwd()}",
        },
        "packages": {name: _version(name) for name in PACKAGES},
        "devices": _devices(),
    }


def database(url: str) -> dict[str, str]:
    """The study database, without the password of its URL.

    Raises:
        mendstore.StorageError: it cannot be reached.
    """
    reader, connection = mendstore.Reader(url), mendstore.Database(url)
    try:
        found = reader.read(server_facts)
        try:
            mendstore.check_version(connection)
            schema = "of this version"
        except mendstore.StorageError as error:
            schema = str(error)
    finally:
        reader.close()
        connection.close()
    return {
        "url": mendstore.without_password(url),
        "server": f"PostgreSQL {found['version']}, {found['encoding']}" + (", a standby" if found["standby"] else ""),
        "role": found["role"],
        "size": found["size"],
        "connections": f"{found['connections']} of {found['most_connections']}",
        "schema": schema,
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _devices() -> dict[str, str]:
    if util.find_spec("torch") is None:
        return {"torch": "not installed: pip install 'mendsearch[torch]'"}
    import torch  # takes seconds

    found = {"cpu": f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"}
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        found[f"cuda:{index}"] = f"{facts.name}, {facts.total_memory / GIB:.0f} GiB, CUDA {torch.version.cuda}"
    if torch.backends.mps.is_available():
        found["mps"] = "available"
    return found
