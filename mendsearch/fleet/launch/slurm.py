"""Workers as a job array of Slurm, one worker per task.

Exit codes of a worker, and what follows:

=========  ==========================================================================================
0, 2       the task ends: the search is done, or another start would be refused too
138        SIGUSR1, which Slurm sends before the time limit: the task requeues itself
130, 143   SIGINT, SIGTERM: the task ends; if it was pre-empted, Slurm requeues it (`--requeue`)
other      the worker is started again after a pause, until it has failed five times in a row
=========  ==========================================================================================

The URL of the database is written to a file of mode 600 in the user's home, which the compute nodes must share. Each
task reads it when it starts its worker. So the URL is neither in the script, which Slurm stores and shows, nor in the
environment that `sbatch` and `srun` pass on, nor an argument of a command.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from mendsearch.errors import MendsearchError, UsageError
from mendsearch.fleet.launch.base import SECRET_VARIABLES, Backend, require_remote, slug, submitted
from mendsearch.fleet.launch.slots import NO_GPU, thread_environment
from mendstore.urls import STORAGE_VARIABLE

WARNING_S = 90
SCRIPT = Template("""\
#!/bin/bash
$options

secret=$secret
worker=($command)

if [ ! -r "$$secret" ]; then
    echo "error: $$secret, which names the database, cannot be read on $$(hostname); share it with this node" >&2
    exit 2
fi
failures=0
while true; do
    started=$$SECONDS
    srun --ntasks=1 --cpus-per-task=$cpus bash -c \\
        '. "$$0" && export $exports && exec "$$@"' "$$secret" "$${worker[@]}"
    code=$$?
    case $$code in
        0 | 2 | 130 | 143) exit $$code ;;
        138) scontrol requeue "$$SLURM_JOB_ID" && sleep 60; exit $$code ;;
    esac
    if (( SECONDS - started >= 60 )); then failures=0; fi
    failures=$$((failures + 1))
    if (( failures >= 5 )); then
        echo "worker given up: exit code $$code, $$failures failures in a row" >&2
        exit $$code
    fi
    pause=$$((2 ** failures + RANDOM % 2 ** failures))
    echo "worker ended with exit code $$code, starts again in $$pause s" >&2
    sleep $$pause
done
""")


@dataclass(frozen=True)
class Slurm(Backend):
    """A job array of `workers` tasks.

    Attributes:
        search: name of the search.
        command: command of a worker, without the URL; the compute nodes must have it at the same path.
        url: URL of the study database.
        workers: number of tasks.
        gpus: GPUs per task; 0 for workers on the CPU.
        cpus: cores per task.
        log_dir: folder with one log file per task; the nodes must share it.
        memory: memory per task, as in `--mem`.
        time: time limit per task, as in `--time`.
        partition: partition of the tasks.
        account: account that is charged.
        extra: more options of sbatch, each as after `#SBATCH`.
    """

    search: str
    command: Sequence[str]
    url: str = field(repr=False)
    workers: int
    gpus: int
    cpus: int
    log_dir: Path
    memory: str | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    extra: Sequence[str] = ()

    def __post_init__(self) -> None:
        require_remote(self.url, "slurm")
        for option in (*self.extra, self.memory, self.time, self.partition, self.account):
            if option is not None and "\n" in option:
                raise UsageError(
                    f"launch --backend slurm: got an option with a line break, {option!r}; pass each option by itself"
                )
        for option in self.extra:
            if not option.startswith("-"):
                raise UsageError(f"--sbatch: got {option!r}, expected an option of sbatch; try --sbatch=--nice=100")

    @property
    def secret_file(self) -> Path:
        """File that the URL of the database is written to."""
        home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return Path(home) / "mendsearch" / f"{slug(self.search)}.env"

    def rendered(self) -> str:
        """The script that is passed to `sbatch`."""
        variables = thread_environment(1, self.cpus) | ({} if self.gpus else NO_GPU)
        return SCRIPT.substitute(
            options="\n".join(f"#SBATCH {option}" for option in self._options()),
            secret=shlex.quote(str(self.secret_file)),
            command=shlex.join(self.command),
            cpus=self.cpus,
            exports=" ".join(f"{name}={value}" for name, value in variables.items()),
        )

    def launch(self, say: Callable[[str], None]) -> int:
        """Write the URL to its file, submit the script, and report the job's id."""
        script = self.rendered()
        self.log_dir.mkdir(parents=True, exist_ok=True)
        new = not self.secret_file.exists()
        _write_secret(self.secret_file, self._secrets())
        environment = {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES}
        try:
            job = submitted(["sbatch", "--parsable"], script, environment).partition(";")[0]
        except MendsearchError:
            if new:  # an older one may serve tasks that run
                self.secret_file.unlink(missing_ok=True)
            raise
        say(f"job {job}: {self.workers} tasks, logs in {self.log_dir}; `squeue -j {job}`, `scancel {job}`")
        say(f"the database's URL is in {self.secret_file}, readable by you only; remove it when the search is done")
        return 0

    def _options(self) -> list[str]:
        log = str(self.log_dir.absolute() / "slurm-").replace("%", "%%") + "%A_%a.log"
        options = [
            f"--job-name=mendsearch-{slug(self.search)}",
            f"--array=0-{self.workers - 1}",
            "--ntasks=1",
            f"--cpus-per-task={self.cpus}",
            *([f"--gpus-per-task={self.gpus}"] if self.gpus else []),
            f"--signal=USR1@{WARNING_S}",
            "--requeue",
            "--open-mode=append",
            f'--output="{log}"',
        ]
        given = {"mem": self.memory, "time": self.time, "partition": self.partition, "account": self.account}
        return [*options, *(f"--{name}={value}" for name, value in given.items() if value is not None), *self.extra]

    def _secrets(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in SECRET_VARIABLES if name in os.environ}
        return inherited | {STORAGE_VARIABLE: self.url}


def _write_secret(path: Path, variables: Mapping[str, str]) -> None:
    """Write a file that others can never read; a task that reads at the same time sees the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_suffix(f".{os.getpid()}")
    new.unlink(missing_ok=True)
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)
