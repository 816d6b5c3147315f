"""The script of an array job; what a real Slurm makes of it is in tests/integration/test_slurm.py."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from mendsearch.errors import MendsearchError, UsageError
from mendsearch.fleet.launch import Slurm
from mendsearch.fleet.launch.base import slug

URL = "postgresql+psycopg2://worker:open-sesame@db.example/searches"


def backend(**more):
    given = {
        "search": "mine",
        "command": ["python", "-m", "mendsearch"],
        "url": URL,
        "workers": 8,
        "gpus": 1,
        "cpus": 4,
    }
    return Slurm(**(given | {"log_dir": Path("/logs")} | more))


def options(**more):
    return [line[8:] for line in backend(**more).rendered().splitlines() if line.startswith("#SBATCH ")]


def test_what_was_asked_for_is_in_the_options():
    assert options(
        memory="8G", time="4:00:00", partition="gpu", account="lab", extra=["--constraint=a100", "-J x"]
    ) == [
        "--job-name=mendsearch-mine",
        "--array=0-7",
        "--ntasks=1",
        "--cpus-per-task=4",
        "--gpus-per-task=1",
        "--signal=USR1@90",
        "--requeue",
        "--open-mode=append",
        '--output="/logs/slurm-%A_%a.log"',
        "--mem=8G",
        "--time=4:00:00",
        "--partition=gpu",
        "--account=lab",
        "--constraint=a100",
        "-J x",
    ]


def test_without_a_gpu_none_is_asked_for():
    assert not any("gpu" in option for option in options(gpus=0))


def test_the_script_is_good_shell_whatever_the_names(tmp_path):
    command = ["/opt/my env/bin/python", "-m", "mendsearch", "worker", "it's $(here); `now`"]
    script = backend(command=command, search=command[-1], log_dir=tmp_path / "100% mine").rendered()
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    words = next(line for line in script.splitlines() if line.startswith("worker=("))
    shown = subprocess.run(
        ["bash", "-c", f'{words}; printf "%s\\n" "${{worker[@]}}"'], capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines() == command
    assert "100%% mine/slurm-%A_%a.log" in script


def test_the_password_is_not_in_the_script():
    assert "sesame" not in backend().rendered()
    assert "sesame" not in repr(backend())


@pytest.mark.parametrize("url", ["postgresql+psycopg2:///searches", "postgresql+psycopg2://me@/searches?host=/run/pg"])
def test_a_database_of_this_machine_alone_is_refused(url):
    with pytest.raises(UsageError, match=r"--backend slurm: the storage URL names no host"):
        backend(url=url)


def test_a_host_among_the_options_of_the_url_will_do():
    assert backend(url="postgresql+psycopg2://me@/searches?host=db.example").rendered()


@pytest.mark.parametrize(
    "more", [{"extra": ["--nice=1\n#SBATCH --uid=root"]}, {"partition": "a\nb"}, {"extra": ["nice=1"]}]
)
def test_options_that_are_none_are_refused(more):
    with pytest.raises(UsageError):
        backend(**more)


def test_the_file_of_the_url_is_one_of_the_search_in_the_users_configuration(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "con fig"))
    assert backend().secret_file == tmp_path / "con fig" / "mendsearch" / "mine.env"
    assert shlex.quote(str(backend().secret_file)) in backend().rendered()
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert backend(search="../Mine").secret_file.parent == tmp_path / ".config" / "mendsearch"


def test_other_names_have_other_slugs():
    names = ["mine", "Mine", "m.ine", "m-ine", "../../x", "ü", "a" * 60, "a" * 61, "-"]
    slugs = [slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert all(len(text) <= 37 and text.strip("-") == text for text in slugs)
    assert slugs[0] == "mine"


@pytest.mark.parametrize("there", [False, True])
def test_a_job_that_is_refused_leaves_no_new_file_with_the_url(monkeypatch, tmp_path, there):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "sbatch").write_text("#!/bin/sh\necho no such partition >&2; exit 1\n")
    (tmp_path / "sbatch").chmod(0o700)
    asked = backend(log_dir=tmp_path / "logs")
    if there:  # tasks of an earlier job read it
        asked.secret_file.parent.mkdir(parents=True)
        asked.secret_file.touch()
    with pytest.raises(MendsearchError, match="sbatch refused: no such partition"):
        asked.launch(print)
    assert asked.secret_file.exists() == there
