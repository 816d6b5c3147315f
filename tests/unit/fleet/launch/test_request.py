"""From options to a backend."""

import sys
from pathlib import Path

import pytest

from mendsearch.errors import UsageError
from mendsearch.fleet.launch import Kubernetes, Local, Request, Slurm

URL = "postgresql+psycopg2://worker:open-sesame@db.example/searches"
LOGS = Path("logs")


def test_workers_of_this_machine():
    made = Request("mine", url=URL, workers=2).resolved(LOGS)
    assert isinstance(made, Local)
    lines = made.rendered().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(
        "MENDSEARCH_STORAGE=postgresql+psycopg2://worker@db.example/searches CUDA_VISIBLE_DEVICES=''"
    )
    assert lines[0].endswith(f"{sys.executable} -P -m mendsearch worker mine")


def test_workers_on_inherited_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-abc,5")
    made = Request("mine", url=URL, gpus="0,1", per_gpu=2, cpus=3).resolved(LOGS)
    lines = made.rendered().splitlines()
    assert [line.split("CUDA_VISIBLE_DEVICES=")[1].split()[0] for line in lines] == ["3", "GPU-abc", "3", "GPU-abc"]
    assert all(" OMP_NUM_THREADS=3 OMP_WAIT_POLICY=PASSIVE " in line for line in lines)


def test_an_array_of_slurm():
    made = Request("mine", "slurm", URL, gpus="4", memory="8G", time="60", sbatch=["--nice=1"]).resolved(LOGS)
    assert isinstance(made, Slurm)
    assert (made.workers, made.gpus, made.cpus, made.memory, made.time) == (4, 1, 4, "8G", "60")
    assert made.command == [sys.executable, "-P", "-m", "mendsearch", "worker", "mine"]
    assert "--nice=1" in made.rendered()


def test_a_job_of_kubernetes():
    made = Request("mine", "kubernetes", URL, workers=4, cpus=2, image="i", namespace="n", allow=["own"]).resolved(LOGS)
    assert isinstance(made, Kubernetes)
    assert (made.workers, made.gpus, made.cpus, made.image, made.namespace) == (4, 0, 2, "i", "n")
    assert made.command == ["python", "-P", "-m", "mendsearch", "worker", "mine", "--allow=own"]


def test_workers_are_told_where_the_data_is():
    """On nodes that share a file system by its whole path; in an image as the user says."""
    made = Request("mine", "slurm", URL, workers=2, data=Path("images")).resolved(LOGS)
    assert made.command[-1] == f"--data={Path.cwd() / 'images'}"
    made = Request("mine", "kubernetes", URL, workers=2, image="i", data=Path("images")).resolved(LOGS)
    assert made.command[-1] == "--data=images"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "both or neither of --workers and --gpus"),
        ({"workers": 2, "gpus": "all"}, "both or neither of --workers and --gpus"),
        ({"workers": 2, "per_gpu": 2}, "--per-gpu does not apply to --workers"),
        ({"workers": 2, "image": "i"}, "--image does not apply to --backend local"),
        ({"workers": 2, "partition": "p"}, "--partition does not apply to --backend local"),
        ({"workers": 2, "sbatch": ["--nice"], "backend": "kubernetes"}, "--sbatch does not apply to --backend kub"),
        ({"workers": 2, "log_dir": LOGS, "backend": "kubernetes"}, "--log-dir does not apply to --backend kub"),
        ({"gpus": "2", "per_gpu": 2, "backend": "slurm"}, "--per-gpu does not apply to --backend slurm"),
        ({"gpus": "all", "backend": "slurm"}, "got 'all', expected a number with --backend slurm"),
        ({"gpus": "0", "backend": "slurm"}, "got '0', expected a number"),
        ({"gpus": "0,1", "backend": "kubernetes", "image": "i"}, "expected a number with --backend kubernetes"),
        ({"workers": 2, "backend": "kubernetes"}, "got no --image"),
        ({"workers": 2, "url": None}, "got no storage URL"),
        ({"workers": 2, "url": None, "backend": "slurm"}, "got no storage URL"),
        ({"workers": 2, "url": None, "backend": "kubernetes", "image": "i"}, "got no storage URL"),
    ],
)
def test_what_cannot_be_done_is_refused(options, message):
    with pytest.raises(UsageError) as refused:
        Request("mine", **({"url": URL} | options)).resolved(LOGS)
    assert message in str(refused.value)
    assert "sesame" not in str(refused.value)


def test_the_password_is_in_nothing_that_is_printed():
    for request in (
        Request("mine", url=URL, workers=2),
        Request("mine", "slurm", URL, workers=2),
        Request("mine", "kubernetes", URL, workers=2, image="i"),
    ):
        assert "sesame" not in request.resolved(LOGS).rendered() + repr(request) + repr(request.resolved(LOGS))
