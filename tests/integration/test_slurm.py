"""Workers as an array job of a real Slurm: one node, its own munge, two devices that stand for GPUs."""

import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import mendstore
from mendsearch.errors import MendsearchError
from mendsearch.fleet.launch import Slurm
from mendsearch.fleet.launch.base import submitted
from tests.acceptance.cli import ENVIRONMENT, mendsearch
from tests.integration.postgres.fleet_server import fleet_server

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel")
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
URL = "postgresql+psycopg2://worker:open-sesame@db.example/searches"
CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=6
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=100000
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=1000 Gres=gpu:2 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
GPUS = "NodeName={host} Name=gpu File=/dev/zero\nNodeName={host} Name=gpu File=/dev/full\n"
SEARCH = """
name = "{name}"
model = {{ name = "digits-resnet", kwargs = {{ width = 8 }} }}
data.name = "digits"
budget.macs = 0.3
train.epochs = 1
mend.trials = 8
"""
WORKER = """
import json, os, signal, sys, time
from pathlib import Path

def end(number, frame):
    note(ended_by=number)
    sys.exit(128 + number)

def note(**more):
    names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MENDSEARCH_STORAGE", "PGPASSWORD")
    notes.append({"environment": {name: os.environ.get(name) for name in names}} | more)
    file.write_text(json.dumps(notes))

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, end)
task = int(os.environ["SLURM_ARRAY_TASK_ID"])
file = Path(sys.argv[1]) / f"{task}.json"
notes = json.loads(file.read_text()) if file.exists() else []
note()
plan = json.loads(sys.argv[2])[task]
what = plan[min(len(notes), len(plan)) - 1]
if what == "wait":
    time.sleep(60)
sys.exit(what)
"""


def start_daemons(folder, environment):
    """munged, slurmctld and slurmd, ready for jobs; raises where one does not start."""
    (folder / "munge.key").touch(0o600)
    (folder / "munge.key").write_bytes(os.urandom(1024))
    munged = [
        f"--{name}={folder}/munge.{name.split('-')[0]}" for name in ("key-file", "socket", "pid-file", "log-file")
    ]
    for command in (["munged", "--force", f"--seed-file={folder}/munge.seed", *munged], ["slurmctld"], ["slurmd"]):
        subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=30)
    deadline = time.monotonic() + 30
    while True:
        nodes = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True, timeout=30)
        if nodes.stdout.strip() == "idle":
            return
        if time.monotonic() > deadline:
            logs = "".join((folder / f"{name}.log").read_text()[-1500:] for name in ("slurmctld", "slurmd"))
            raise RuntimeError(f"the node is {nodes.stdout.strip() or nodes.stderr.strip()}: {logs}")
        time.sleep(0.2)


@pytest.fixture(scope="module")
def cluster():
    """The environment in which the commands of Slurm reach a cluster of one node."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    if missing:
        # CI installs it; elsewhere only root can
        pytest.skip(f"needs Debian's slurm-wlm and munge: no {', '.join(missing)}")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # sockets have short paths
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        ports = {"control_port": one.getsockname()[1], "node_port": two.getsockname()[1]}
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, folder=folder, user=getpass.getuser(), **ports))
    (folder / "gres.conf").write_text(GPUS.format(host=host))
    (folder / "state").mkdir()
    environment = {**os.environ, "PATH": PATH, "SLURM_CONF": str(folder / "slurm.conf")}
    try:
        try:
            start_daemons(folder, environment)
        except (RuntimeError, OSError, subprocess.SubprocessError) as error:
            reason = f"Slurm does not start here: {error} {getattr(error, 'stderr', '')}"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
        yield environment
        subprocess.run(["scancel", f"--user={getpass.getuser()}"], env=environment, check=True)
        wait_for(lambda: not squeue(environment), "an empty queue")
    finally:
        for pid_file in ("slurmd.pid", "slurmctld.pid", "munge.pid"):
            stop_daemon(folder / pid_file)
        shutil.rmtree(folder, ignore_errors=True)


def stop_daemon(pid_file):
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), f"the end of {pid_file}")


def squeue(environment):
    done = subprocess.run(["squeue", "-h"], env=environment, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


def wait_for(holds, what, limit_s=90):
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.2)


@pytest.fixture
def submit(cluster, tmp_path, monkeypatch):
    """Submits an array whose task n does what plan n says at each start; returns a `Job`."""
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, cluster[name])
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("MENDSEARCH_STORAGE", URL)
    monkeypatch.setenv("PGPASSWORD", "open-sesame")
    (tmp_path / "worker.py").write_text(WORKER)
    for folder in ("notes", "logs"):
        (tmp_path / folder).mkdir()

    def make(*plans, without_file=False, **more):
        command = [sys.executable, str(tmp_path / "worker.py"), str(tmp_path / "notes"), json.dumps(plans)]
        given = {"gpus": 1, "cpus": 1, "log_dir": tmp_path / "logs"} | more
        job = Slurm(search="A search", command=command, url=URL, workers=len(plans), **given)
        if without_file:
            return Job(submitted(["sbatch", "--parsable"], job.rendered(), cluster), job, tmp_path, cluster)
        said = []
        assert job.launch(said.append) == 0
        return Job(said[0].split()[1].rstrip(":"), job, tmp_path, cluster)

    return make


@pytest.fixture
def fleet(tmp_path):
    """A Postgres that asks for passwords, reached over TCP."""
    with fleet_server(tmp_path / "fleet") as server:
        mendstore.upgrade(server.url("mend_owner"))
        yield server


class Job:
    """A job that was submitted."""

    def __init__(self, number, backend, folder, environment):
        self.number, self.backend, self._folder, self._environment = number, backend, folder, environment

    def notes(self, task):
        """What each start of a task noted."""
        try:
            return json.loads((self._folder / "notes" / f"{task}.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):  # not yet, or just being written
            return []

    def ask(self, *command):
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=True, timeout=30)
        return done.stdout

    def ended(self):
        """Exit codes of the tasks, once all have ended."""
        wait_for(lambda: not squeue(self._environment), f"the end of job {self.number}")
        shown = self.ask("scontrol", "show", "job", self.number)
        codes = {}
        for record in shown.strip().split("\n\n"):
            fields = dict(word.split("=", 1) for word in record.split() if "=" in word)
            codes[int(fields["ArrayTaskId"])] = fields["ExitCode"]
        return [codes[task] for task in sorted(codes)]

    def logs(self):
        return "".join(path.read_text() for path in sorted((self._folder / "logs").iterdir()))


def test_an_array_of_two_ends_right_each_worker_with_a_gpu_and_its_url(submit):
    job = submit([0], [0])
    assert job.ended() == ["0:0", "0:0"]
    environments = [job.notes(task)[0]["environment"] for task in range(2)]
    assert all(environment["MENDSEARCH_STORAGE"] == URL for environment in environments)
    assert all(environment["PGPASSWORD"] == "open-sesame" for environment in environments)
    assert all(environment["OMP_NUM_THREADS"] == "1" for environment in environments)
    assert all(environment["OMP_WAIT_POLICY"] == "PASSIVE" for environment in environments)
    assert {environment["CUDA_VISIBLE_DEVICES"] for environment in environments} == {"0", "1"}


def test_workers_on_the_cpu_see_no_gpu(submit):
    job = submit([0], gpus=0, cpus=2)
    assert job.ended() == ["0:0"]
    assert job.notes(0)[0]["environment"]["CUDA_VISIBLE_DEVICES"] == ""
    assert job.notes(0)[0]["environment"]["OMP_NUM_THREADS"] == "2"


def test_a_worker_that_fails_is_started_again_and_a_refused_one_is_not(submit):
    job = submit([3, 0], [2])
    assert job.ended() == ["0:0", "2:0"]
    assert len(job.notes(0)) == 2
    assert len(job.notes(1)) == 1
    assert "worker ended with exit code 3, starts again" in job.logs()


def test_a_task_that_is_warned_of_its_time_limit_queues_itself_again(submit):
    job = submit(["wait", 0], ["wait"])
    wait_for(lambda: len(job.notes(0)) == len(job.notes(1)) == 1, "both workers")
    job.ask("scancel", "--signal=USR1", f"{job.number}_0")
    wait_for(lambda: job.notes(0)[1:2] and job.notes(0)[1].get("ended_by") == signal.SIGUSR1, "the signal")
    job.ask("scancel", f"{job.number}_1")
    assert job.ended()[0] == "0:0"
    assert len(job.notes(0)) == 3
    assert [note.get("ended_by") for note in job.notes(1)] == [None, signal.SIGTERM]


def test_real_workers_end_a_search(cluster, fleet, tmp_path, monkeypatch, name):
    (tmp_path / "search.toml").write_text(SEARCH.format(name=name))
    made = mendsearch("create", "search.toml", cwd=tmp_path, storage=fleet.url("mend_owner"))
    assert made.returncode == 0, made.stderr
    for variable in ("PATH", "SLURM_CONF"):
        monkeypatch.setitem(ENVIRONMENT, variable, cluster[variable])
    monkeypatch.setitem(ENVIRONMENT, "XDG_CONFIG_HOME", str(tmp_path / "config"))
    asked = ("launch", name, "--workers", "2", "--cpus", "1", "--backend", "slurm", "--log-dir", "logs")
    ended = mendsearch(*asked, cwd=tmp_path, storage=fleet.url("mend_worker"))
    assert ended.returncode == 0, ended.stderr
    wait_for(lambda: not squeue(cluster), "the end of the workers", 200)
    logs = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    database = mendstore.Database(fleet.url("mend_owner"))
    assert mendstore.progress(database, mendstore.find(database, name).study_id)[0] == 8, logs
    database.close()
    assert not any(password in logs + ended.stderr for password in fleet.passwords.values())


def test_the_password_is_in_no_script_no_list_and_no_log(submit, cluster):
    job = submit(["wait", 0])
    wait_for(lambda: job.notes(0), "the worker")
    shown = [
        job.backend.rendered(),
        job.ask("scontrol", "show", "job", job.number, "--details"),
        job.ask("scontrol", "write", "batch_script", job.number, "-"),
        job.ask("ps", "axww", "-o", "args"),
    ]
    for path in Path(cluster["SLURM_CONF"]).parent.rglob("*"):
        if path.is_file():
            shown.append(path.read_bytes().decode(errors="replace"))
    job.ask("scancel", job.number)
    assert "sbatch" in shown[2] or "SBATCH" in shown[2]
    assert any(str(job.backend.command[1]) in text for text in shown[3:4])
    job.ended()
    assert not any("sesame" in text for text in [*shown, job.logs()])
    assert job.backend.secret_file.stat().st_mode & 0o777 == 0o600
    assert "sesame" in job.backend.secret_file.read_text()


def test_a_node_without_the_file_of_the_url_says_so(submit):
    job = submit([0], without_file=True)
    assert job.ended() == ["2:0"]
    assert "which names the database, cannot be read" in job.logs()


def test_what_slurm_refuses_is_said_in_one_line(submit):
    with pytest.raises(MendsearchError, match=r"launch: sbatch refused: .*invalid partition") as refused:
        submit([0], partition="none")
    assert "\n" not in str(refused.value)
