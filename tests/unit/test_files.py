import os
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from mendsearch.files import read_json, write_json, write_tensors, write_whole


def test_json_comes_back_and_a_missing_file_is_none(tmp_path):
    assert read_json(tmp_path / "a.json") is None
    write_json(tmp_path / "deep" / "a.json", {"x": [1, 2]})
    assert read_json(tmp_path / "deep" / "a.json") == {"x": [1, 2]}


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, 1)

    def fail(partial):
        partial.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, fail)
    assert read_json(path) == 1
    assert list(tmp_path.iterdir()) == [path]
    assert write_whole(path, lambda partial: partial.write_text("[]")) == 2


def test_a_process_killed_while_it_writes_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, 1)
    script = (
        "import os, signal, sys; from pathlib import Path; from mendsearch.files import write_whole\n"
        "def die(partial):\n"
        "    partial.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_whole(Path(sys.argv[1]), die)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -signal.SIGKILL
    assert read_json(path) == 1
    assert os.path.exists(path)


def test_views_and_shared_tensors_can_be_written(tmp_path):
    whole = torch.arange(12.0).view(3, 4)
    write_tensors(tmp_path / "t.safetensors", {"whole": whole, "view": whole.T, "again": whole})
    assert torch.equal(load_file(tmp_path / "t.safetensors")["view"], whole.T)
