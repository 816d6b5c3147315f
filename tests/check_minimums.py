"""Install the lowest versions that pyproject.toml declares in a clean environment, and run unit tests there.

Run by `make minimums`; it downloads packages, so it is no part of the test suite. PyTorch and torchvision are installed
as `constraints.txt` pins them, since older builds without CUDA are not on every index; all other packages are at their
minimum. Arguments are passed to pytest in place of the default tests.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
PINNED = {"torch", "torchvision"}
TOOLS = ("hypothesis", "moto[server]", "pytest", "pytest-timeout", "pytest-xdist")
TESTS = ("tests/unit/mendstore", "tests/unit/mendview", "tests/unit/budget", "tests/unit/test_config.py")


def lowest(requirement: str) -> str:
    """`alembic==1.13` from `alembic>=1.13`; a requirement without a minimum is an error."""
    found = re.fullmatch(r"([\w.\[\]-]+)>=([\w.]+)(,.*)?", requirement)
    if found is None:
        sys.exit(f"pyproject.toml: got the requirement {requirement!r}, expected a minimum such as name>=1.2")
    return f"{found[1]}=={found[2]}"


def run(*command: str | Path) -> None:
    """Run a command that must succeed."""
    ended = subprocess.run(
        [str(part) for part in command], cwd=ROOT, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    if ended.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {ended.returncode}")


def main() -> None:
    """Install, list what was installed, and test."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = [*project["dependencies"], *extras["torch"], *extras["s3"]]
    minimums = [lowest(each) for each in declared if re.split(r"[>\[]", each)[0] not in PINNED]
    pins = [line for line in (ROOT / "constraints.txt").read_text().split() if line.split("==")[0] in PINNED]
    with tempfile.TemporaryDirectory() as temporary:
        venv.create(temporary, with_pip=True)
        python = Path(temporary) / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", *pins, *minimums, *TOOLS)
        paths = [ROOT, ROOT / "storage", ROOT / "dashboards"]
        (site,) = Path(temporary).glob("lib/python*/site-packages")
        (site / "mendsearch.pth").write_text("".join(f"{path}\n" for path in paths))
        print(*minimums, sep="\n", flush=True)
        run(python, "-m", "pytest", "-n", "2", "--dist", "loadfile", *(sys.argv[1:] or TESTS))


if __name__ == "__main__":
    main()
