"""A supervisor whose number of workers changes while it runs."""

import time

from mendsearch.fleet.launch import Slot, cpu_slots
from tests.unit.fleet.launch.conftest import GIVES_BACK, logs, up, wait_until

ENDS_LATE = GIVES_BACK.replace("sys.exit(128", "time.sleep(1); sys.exit(128")


def test_more_workers_join_and_those_that_run_go_on(supervise, tmp_path):
    supervisor = supervise(GIVES_BACK, slots=cpu_slots(1, threads=1))
    supervisor.start()
    first = supervisor.pids
    supervisor.resize(cpu_slots(3, threads=1))
    wait_until(up(tmp_path, 3), supervisor)
    assert supervisor.pids[:1] == first
    assert len(supervisor.pids) == 3
    assert len(list((tmp_path / "logs").iterdir())) == 3
    assert supervisor.ends == []


def test_workers_that_are_too_many_give_back_their_work_and_no_other_starts(supervise, tmp_path):
    supervisor = supervise(GIVES_BACK, slots=cpu_slots(3, threads=1))
    supervisor.start()
    wait_until(up(tmp_path, 3), supervisor)
    first = supervisor.pids[:1]
    supervisor.resize(cpu_slots(1, threads=1))
    wait_until(lambda: len(supervisor.ends) == 2, supervisor)
    for _ in range(20):
        assert supervisor.poll()
        time.sleep(0.01)
    assert supervisor.pids == first
    assert [code for _, code, _ in supervisor.ends] == [143, 143]
    assert logs(tmp_path).count("caught") == 2


def test_workers_whose_share_of_the_cores_changes_are_replaced_once(supervise, tmp_path):
    supervisor = supervise(GIVES_BACK + "print('never')", slots=cpu_slots(1, threads=8))
    supervisor.start()
    wait_until(up(tmp_path, 1), supervisor)
    for _ in range(2):
        supervisor.resize(cpu_slots(2, threads=4))
    wait_until(up(tmp_path, 3), supervisor)
    assert [code for _, code, _ in supervisor.ends] == [143]
    assert len(supervisor.pids) == 2
    assert any("another takes its place" in line for line in supervisor.said)
    assert not any("failure" in line for line in supervisor.said)


def test_a_worker_that_is_wanted_again_while_it_ends_is_followed_by_another_in_its_slot(supervise, tmp_path):
    supervisor = supervise(ENDS_LATE, slots=cpu_slots(3, threads=1))
    supervisor.start()
    wait_until(up(tmp_path, 3), supervisor)
    supervisor.resize(cpu_slots(1, threads=1))
    supervisor.resize(cpu_slots(3, threads=1))
    wait_until(up(tmp_path, 5), supervisor)
    assert len(supervisor.pids) == 3
    assert sorted(seat.slot.index for seat in supervisor._seats) == [0, 1, 2]
    assert all(seat.log.stem.endswith(str(seat.slot.index)) for seat in supervisor._seats)


def test_a_stop_leaves_those_alone_that_are_ending(supervise, tmp_path):
    supervisor = supervise(ENDS_LATE, slots=cpu_slots(2, threads=1))
    supervisor.start()
    wait_until(up(tmp_path, 2), supervisor)
    supervisor.resize(cpu_slots(1, threads=1))
    supervisor.stop()
    supervisor.resize(cpu_slots(2, threads=1))
    supervisor.close()
    assert logs(tmp_path).count("caught") == 2, "one signal each"
    assert [code for _, code, _ in supervisor.ends] == [143, 143]


def test_a_seat_that_was_given_up_is_tried_again(supervise, tmp_path):
    supervisor = supervise(f"import os, sys\nif 'BAD' in os.environ: sys.exit(4)\n{GIVES_BACK}")
    supervisor._seats[0].slot = Slot(0, "CPU", {"BAD": "1"})
    supervisor.start()
    wait_until(lambda: any("given up" in line for line in supervisor.said), supervisor)
    supervisor.resize(cpu_slots(1, threads=1))
    wait_until(up(tmp_path, 1), supervisor)
    assert len(supervisor.pids) == 1
