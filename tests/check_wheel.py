"""Build the wheel, check its top-level names, install it without torch in a clean environment, and use it there.

Run by `make wheel`; it downloads what the wheel needs, so it is no part of the test suite.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

NAMES = {"mendsearch", "mendstore", "mendview"}
ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Standard output of a command that must succeed."""
    ended = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def measures(command: Path, folder: Path) -> None:
    """A device worker joins, and ends when it is asked to."""
    worker = subprocess.Popen([command, "device", "mine"], cwd=folder, stderr=subprocess.PIPE, text=True)
    assert worker.stderr is not None
    said = worker.stderr.readline()
    worker.terminate()
    worker.communicate(timeout=30)
    if "measures for `mine`" not in said or worker.returncode != 128 + signal.SIGTERM:
        sys.exit(f"without torch, `mendsearch device` ended with {worker.returncode}; it said: {said}")


def main() -> None:
    """Build, look, install, use."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", folder)
        (wheel,) = folder.glob("*.whl")
        names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
        names = {name for name in names if not name.endswith(".dist-info")}
        if names != NAMES:
            sys.exit(f"the wheel's top-level names are {sorted(names)}, expected {sorted(NAMES)}")
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", f"{wheel}[device]")
        imports = "import importlib.util as u, mendstore, mendview, mendview.report, mendsearch; assert not u.find_spec('torch')"
        run(python, "-c", imports, cwd=folder)
        command = folder / "venv" / "bin" / "mendsearch"
        assert "demo" in run(command, "--help", cwd=folder)
        assert "searches" in run(command, "status", cwd=folder)
        assert "pip install 'mendsearch[torch]'" in run(command, "doctor", cwd=folder)
        try:
            assert run(command, "db", "upgrade", cwd=folder).startswith("schema ")
            measures(command, folder)
        finally:
            run(command, "db", "stop", cwd=folder)
        ended = subprocess.run([command, "demo"], cwd=folder, capture_output=True, text=True, check=False)
        if ended.returncode != 2 or "pip install 'mendsearch[torch]'" not in ended.stderr:
            sys.exit(f"without torch, `mendsearch demo` should say how to get it; it said: {ended.stderr}")
        print(f"{wheel.name}: {sorted(NAMES)}; works without torch, {os.path.getsize(wheel):,} bytes")


if __name__ == "__main__":
    main()
