"""GPUs that a launch may hand out, and the places of workers on them."""

import os

import pytest

from mendsearch.errors import UsageError
from mendsearch.fleet.launch import cpu_slots, gpu_slots
from mendsearch.fleet.launch.devices import Gpu, chosen, listed, visible_gpus

TWO_GPUS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-6ad9a3b1-5f1c-1f0e-3a64-1f0d6bcb2f11)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-0c2b7f70-9a41-53fd-9b4f-2b6a3f0e7c22)
"""
MIG = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 1g.5gb      Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 2g.10gb     Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-a1b2c3d4-d33d-2b2c-524d-9e3d8d2b8a78)
"""
GPUS = [Gpu("GPU-a", "GPU 0"), Gpu("GPU-b", "GPU 1"), Gpu("MIG-c", "GPU 2")]


@pytest.mark.parametrize(
    ("inherited", "handles"),
    [
        ("2,3", ["2", "3"]),
        ("GPU-6ad9a3b1, GPU-0c2b7f70", ["GPU-6ad9a3b1", "GPU-0c2b7f70"]),
        ("MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", ["MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f"]),
        ("MIG-GPU-5d5ba0d6/1/0,MIG-GPU-5d5ba0d6/2/0", ["MIG-GPU-5d5ba0d6/1/0", "MIG-GPU-5d5ba0d6/2/0"]),
        ("1,-1,0", ["1"]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_an_inherited_list_is_read_as_cuda_reads_it(inherited, handles):
    assert [gpu.handle for gpu in visible_gpus({"CUDA_VISIBLE_DEVICES": inherited})] == handles


def test_without_a_list_nvidia_smi_is_asked(tmp_path):
    (tmp_path / "gpus.txt").write_text(TWO_GPUS)
    program = tmp_path / "nvidia-smi"
    program.write_text(f'#!/bin/sh\n[ "$*" = -L ] && cat {tmp_path}/gpus.txt\n')
    program.chmod(0o755)
    found = visible_gpus({"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert [gpu.handle[:12] for gpu in found] == ["GPU-6ad9a3b1", "GPU-0c2b7f70"]
    assert found[1].label == "GPU 1 (NVIDIA H100 80GB HBM3)"
    program.write_text("#!/bin/sh\necho NVIDIA-SMI has failed: no driver\nexit 9\n")
    with pytest.raises(UsageError, match="no driver; without a GPU try --workers N"):
        visible_gpus({"PATH": f"{tmp_path}:{os.environ['PATH']}"})


def test_without_nvidia_smi_the_error_says_what_to_do(tmp_path):
    with pytest.raises(UsageError, match=r"nvidia-smi does not answer.*try --workers N"):
        visible_gpus({"PATH": str(tmp_path)})


def test_a_divided_gpu_gives_way_to_its_instances():
    assert [gpu.handle[:12] for gpu in listed(MIG)] == ["MIG-c6d4f1ef", "MIG-cba663e8", "GPU-a1b2c3d4"]
    assert listed(MIG)[1].label == "GPU 0 (NVIDIA A100-SXM4-40GB) MIG 2g.10gb"


@pytest.mark.parametrize(
    ("words", "places"),
    [("all", [0, 1, 2]), ("1", [0]), ("2", [0, 1]), ("0,2", [0, 2]), ("1,", [1]), ("MIG-c,0", [2, 0])],
)
def test_gpus_are_all_a_number_or_a_list(words, places):
    assert chosen(words, GPUS) == [GPUS[place] for place in places]


@pytest.mark.parametrize("words", ["0", "4", "0,3", "1,1", "GPU-b,1", "some", "", ",", "-1"])
def test_gpus_that_are_not_there_are_refused(words):
    with pytest.raises(UsageError, match=r"--gpus: got .*expected `all`, a number up to 3"):
        chosen(words, GPUS)


def test_places_in_an_inherited_list_count_from_0():
    assert [gpu.handle for gpu in chosen("1,", visible_gpus({"CUDA_VISIBLE_DEVICES": "1,0"}))] == ["0"]


def test_no_gpu_is_no_place():
    with pytest.raises(UsageError, match="none is available"):
        chosen("all", [])


def test_workers_of_a_gpu_share_it_and_all_share_the_cores():
    cores = len(os.sched_getaffinity(0))
    slots = gpu_slots(GPUS, per_gpu=2)
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots] == ["GPU-a", "GPU-b", "MIG-c"] * 2
    assert [slot.index for slot in slots] == list(range(6))
    assert {slot.environment["OMP_NUM_THREADS"] for slot in slots} == {str(max(1, cores // 6))}


def test_workers_on_the_cpu_see_no_gpu_and_share_the_cores():
    cores = len(os.sched_getaffinity(0))
    for workers in (1, 2, 64):
        slots = cpu_slots(workers)
        assert len(slots) == workers
        assert slots[0].environment == {
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": str(max(1, cores // workers)),
            "OMP_WAIT_POLICY": "PASSIVE",
        }
    assert cpu_slots(2, threads=7)[1].environment["OMP_NUM_THREADS"] == "7"


def test_the_cores_are_those_that_this_process_may_use():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert cpu_slots(1)[0].environment["OMP_NUM_THREADS"] == "1"
    finally:
        os.sched_setaffinity(0, allowed)
