"""A supervisor and its workers: real processes, real exit codes, real signals."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from mendsearch.fleet.launch import RestartPolicy, Slot
from tests.unit.fleet.launch.conftest import GIVES_BACK, logs, up, wait_until

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def test_workers_that_end_with_0_end_it_with_0(supervise, tmp_path):
    supervisor = supervise("print('hello')", workers=3)
    assert supervisor.run() == 0
    assert [(code, tail) for _, code, tail in supervisor.ends] == [(0, "hello")] * 3
    assert len(list((tmp_path / "logs").iterdir())) == 3
    assert sum("started" in line for line in supervisor.said) == 3
    assert sum("done or stopped" in line for line in supervisor.said) == 3


def test_a_refused_worker_is_not_started_again_and_its_words_are_shown(supervise):
    supervisor = supervise("import sys; sys.exit(print('error: another version') or 2)")
    assert supervisor.run() == 2
    assert len(supervisor.ends) == 1
    assert "error: another version" in supervisor.said[-1]


@pytest.mark.parametrize(
    "failure", ["raise ValueError", "sys.exit(3)", "sys.exit(4)", "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 15)"]
)
def test_a_worker_that_fails_is_started_again(supervise, tmp_path, failure):
    code = f"""
import os, sys
flag = os.path.join(os.environ["PLACE"], "once")
if not os.path.exists(flag):
    open(flag, "w").close()
    print("failing")
    sys.stdout.flush()
    {failure}
print("well")
"""
    supervisor = supervise(code)
    assert supervisor.run() == 0
    assert [bool(code) for _, code, _ in supervisor.ends] == [True, False]
    assert "failing" in supervisor.ends[0][2]
    assert supervisor.ends[1][2] == "well"
    assert logs(tmp_path).index("failing") < logs(tmp_path).index("well")
    assert any("failure 1 in a row, starts again in" in line for line in supervisor.said)


@pytest.mark.parametrize(("code", "ending"), [(3, 3), (4, 4), (1, 4)])
def test_a_slot_is_given_up_after_five_failures_in_a_row_with_the_reason(supervise, code, ending):
    supervisor = supervise(f"import sys; print('no luck'); sys.exit({code})")
    assert supervisor.run() == ending
    assert len(supervisor.ends) == 5
    assert "given up after 5 failures in a row" in supervisor.said[-1]
    assert "no luck" in supervisor.said[-1]


def test_a_worker_that_lasted_had_success(supervise):
    code = "import sys, time; time.sleep(0.3); sys.exit(1)"
    supervisor = supervise(code, policy=RestartPolicy(first_s=0.01, longest_s=0.02, healthy_s=0.2, failures=2))
    supervisor.start()
    wait_until(lambda: len(supervisor.ends) >= 4, supervisor)
    assert not any("given up" in line for line in supervisor.said)


def test_where_a_worker_lasted_a_database_that_is_away_is_waited_for(supervise):
    code = """
import os, sys, time
flag = os.path.join(os.environ["PLACE"], "once")
if not os.path.exists(flag):
    open(flag, "w").close()
    time.sleep(0.5)
sys.exit(3)
"""
    supervisor = supervise(code, policy=RestartPolicy(first_s=0.01, longest_s=0.02, healthy_s=0.4, failures=2))
    supervisor.start()
    wait_until(lambda: len(supervisor.ends) >= 6, supervisor)
    assert not any("given up" in line for line in supervisor.said)


def test_one_slot_given_up_leaves_the_others_at_work(supervise, tmp_path):
    code = f"""
import os, sys
if os.environ["OMP_NUM_THREADS"] == "9":
    sys.exit(4)
{GIVES_BACK}
"""
    supervisor = supervise(code, workers=2)
    first = supervisor._seats[0]
    first.slot = Slot(0, "CPU", {"OMP_NUM_THREADS": "9"})
    supervisor.start()
    wait_until(lambda: any("given up" in line for line in supervisor.said) and up(tmp_path, 1)(), supervisor)
    assert len(supervisor.pids) == 1
    assert supervisor.poll()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_is_passed_on_and_names_the_exit_code(supervise, tmp_path, number):
    supervisor = supervise(GIVES_BACK, workers=2)
    threading.Thread(
        target=lambda: (
            time.sleep(0.2),
            [time.sleep(0.05) for _ in iter(up(tmp_path, 2), True)],
            os.kill(os.getpid(), number),
        )
    ).start()
    assert supervisor.run() == 128 + number
    assert [code for _, code, _ in supervisor.ends] == [128 + number] * 2
    assert logs(tmp_path).count(f"caught {number:d}") == 2
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)


def test_signals_that_are_blocked_or_ignored_here_reach_a_worker(supervise, tmp_path):
    supervisor = supervise(GIVES_BACK.replace("(signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)", "[signal.SIGTERM]"))
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        supervisor.start()
        wait_until(up(tmp_path, 1), supervisor)
        supervisor.stop(signal.SIGINT)
        supervisor.close()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, ignored)
    assert [code for _, code, _ in supervisor.ends] == [-signal.SIGINT]


def test_workers_that_all_finish_upon_a_signal_end_it_with_0(supervise, tmp_path):
    supervisor = supervise(GIVES_BACK.replace("128 + number", "0"))
    supervisor.start()
    wait_until(up(tmp_path, 1), supervisor)
    supervisor.stop(signal.SIGTERM)
    supervisor.close()
    assert supervisor.exit_code == 0


def test_a_second_stop_kills(supervise, tmp_path):
    supervisor = supervise(DEAF)
    supervisor.start()
    wait_until(up(tmp_path, 1), supervisor)
    supervisor.stop()
    time.sleep(0.3)
    assert supervisor.poll()
    supervisor.stop()
    supervisor.close()
    assert [code for _, code, _ in supervisor.ends] == [-signal.SIGKILL]
    assert supervisor.exit_code == 128 + signal.SIGTERM


def test_the_end_of_patience_kills_what_a_worker_started_too(supervise, tmp_path):
    code = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {DEAF!r}])
print("child", child.pid, flush=True)
{DEAF}
"""
    supervisor = supervise(code)
    supervisor.start()
    wait_until(up(tmp_path, 2), supervisor)
    child = int(logs(tmp_path).split("child ")[1].split()[0])
    supervisor.stop(patience_s=0.2)
    supervisor.close()
    assert [code for _, code, _ in supervisor.ends] == [-signal.SIGKILL]
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie", supervisor)


def test_the_next_start_waits_for_its_pause_and_a_stop_cancels_it(supervise):
    supervisor = supervise("raise SystemExit(1)", policy=RestartPolicy(first_s=60))
    supervisor.start()
    wait_until(lambda: supervisor.ends, supervisor)
    assert supervisor.poll()
    assert supervisor.pids == []
    supervisor.stop()
    assert not supervisor.poll()
    assert len(supervisor.ends) == 1


def test_a_report_that_fails_leaves_the_others_supervised(supervise):
    supervisor = supervise("raise SystemExit(0)", workers=2)
    supervisor._on_exit = lambda *end: 1 / 0
    assert supervisor.run() == 0
    assert sum("could not be reported: division by zero" in line for line in supervisor.said) == 2


def test_a_terminal_that_is_gone_ends_no_worker(supervise):
    supervisor = supervise("raise SystemExit(0)", workers=2)

    def gone(line):
        raise BrokenPipeError

    supervisor._news = gone
    assert supervisor.run() == 0


def test_a_log_is_appended_to_and_its_tail_is_of_the_last_start(supervise, tmp_path):
    (tmp_path / "logs").mkdir()
    for _ in range(2):
        supervisor = supervise("for n in range(100): print('line', n, 'x' * 100)")
        assert supervisor.run() == 0
        lines = supervisor.ends[0][2].splitlines()
        assert len(lines) == 20
        assert lines[-1].startswith("line 99")
    assert logs(tmp_path).count("=== ") == 2
    supervisor = supervise("pass")
    supervisor.run()
    assert supervisor.ends[0][2] == ""


def test_importing_it_does_not_import_torch():
    code = "import sys, mendsearch.fleet.launch, mendsearch.cli.launch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[4]).returncode == 0
