"""Workers as an Indexed Job of Kubernetes (1.29 or newer), one worker per pod.

Exit codes of a worker, and what follows:

=============  ======================================================================================
0              its index is complete
2              the whole Job fails: all pods run the same image, and would be refused too
3, 4, others   counted as a failure; the pod is replaced after a pause, and the index fails after five
130, 138, 143  ended by a signal with its work given back: the pod is replaced, and nothing is counted
=============  ======================================================================================

A pod that the cluster removes (pre-emption, a drained node) is replaced, and nothing is counted.

The URL of the database is in a Secret. The file system of a pod is read-only except for `/scratch` and `/tmp`, which
are deleted with it: a result that could not be written before the worker gave up on the database (exit 3) is lost, and
another worker computes it again.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mendsearch.fleet.launch.base import Backend, require_remote, slug, submitted
from mendsearch.fleet.launch.restarts import USAGE, RestartPolicy
from mendsearch.fleet.launch.slots import NO_GPU, thread_environment
from mendstore.urls import STORAGE_VARIABLE

SECRET_KEY = "url"
SCRATCH = "/scratch"
USER = 10001
GRACE_S = 30


@dataclass(frozen=True)
class Kubernetes(Backend):
    """A Job of `workers` pods, and the Secret that they read.

    Attributes:
        search: name of the search.
        command: command of a worker in the image, without the URL.
        url: URL of the study database; None if the Secret exists.
        workers: number of pods.
        image: image of the pods.
        gpus: GPUs per pod (`nvidia.com/gpu`); 0 for workers on the CPU.
        cpus: cores per pod.
        memory: memory per pod, such as 8Gi.
        namespace: namespace of the Job; None for that of kubectl's context.
        secret: name of an existing Secret, with the URL under the key `url`.
        suffix: suffix that distinguishes the Jobs of one search.
    """

    search: str
    command: Sequence[str]
    url: str | None = field(repr=False)
    workers: int
    image: str
    gpus: int
    cpus: int
    memory: str | None = None
    namespace: str | None = None
    secret: str | None = None
    suffix: str = field(default_factory=lambda: secrets.token_hex(3))

    def __post_init__(self) -> None:
        if self.secret is None:
            require_remote(self.url or "", "kubernetes")

    def rendered(self) -> str:
        """The Job as YAML; the Secret is only named."""
        import yaml

        made = "" if self.secret else f", applied with the Job from the storage URL under the key `{SECRET_KEY}`"
        return f"# Secret {self._secret_name}{made}: not shown\n{yaml.safe_dump(self.job(), sort_keys=False)}"

    def launch(self, say: Callable[[str], None]) -> int:
        """Apply the Job, and the Secret unless it exists."""
        import yaml

        documents = [self.job()] if self.secret else [self._secret_manifest(), self.job()]
        text = yaml.safe_dump_all(documents, sort_keys=False)
        # server-side: a client-side apply would leave the Secret's content in an annotation, in plain text
        say(submitted(["kubectl", "apply", "--server-side", "-f", "-"], text))
        kubectl = f"kubectl -n {self.namespace}" if self.namespace else "kubectl"
        name = self.job()["metadata"]["name"]
        say(f"{self.workers} pods: `{kubectl} get pods -l job-name={name}`; to end them: `{kubectl} delete job {name}`")
        return 0

    def job(self) -> dict[str, Any]:
        """The manifest of the Job."""
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": self._metadata(f"mendsearch-{slug(self.search)}-{self.suffix}"),
            "spec": {
                "completionMode": "Indexed",
                "completions": self.workers,
                "parallelism": self.workers,
                "backoffLimitPerIndex": RestartPolicy.failures,
                "podFailurePolicy": {"rules": _failure_rules()},
                "template": {"metadata": {"labels": self._labels()}, "spec": self._pod()},
            },
        }

    def _pod(self) -> dict[str, Any]:
        volumes = {"scratch": SCRATCH, "tmp": "/tmp"}
        return {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": GRACE_S,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "worker",
                    "image": self.image,
                    "command": [word.replace("$(", "$$(") for word in self.command],
                    "env": self._environment(),
                    "resources": self._resources(),
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": name, "mountPath": path} for name, path in volumes.items()],
                }
            ],
            "volumes": [{"name": name, "emptyDir": {}} for name in volumes],
        }

    def _environment(self) -> list[dict[str, Any]]:
        plain = {"HOME": SCRATCH, "XDG_CACHE_HOME": f"{SCRATCH}/cache"}
        plain |= thread_environment(1, self.cpus) | ({} if self.gpus else NO_GPU)
        reference = {"secretKeyRef": {"name": self._secret_name, "key": SECRET_KEY}}
        return [
            {"name": STORAGE_VARIABLE, "valueFrom": reference},
            *({"name": name, "value": value} for name, value in plain.items()),
        ]

    def _resources(self) -> dict[str, Any]:
        requests: dict[str, Any] = {"cpu": str(self.cpus)}
        limits: dict[str, Any] = {}
        if self.memory:
            requests["memory"] = limits["memory"] = self.memory
        if self.gpus:
            requests["nvidia.com/gpu"] = limits["nvidia.com/gpu"] = str(self.gpus)
        return {"requests": requests, "limits": limits}

    def _secret_manifest(self) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": self._metadata(self._secret_name),
            "type": "Opaque",
            "data": {SECRET_KEY: base64.b64encode((self.url or "").encode()).decode()},
        }

    @property
    def _secret_name(self) -> str:
        return self.secret or f"mendsearch-{slug(self.search)}"

    def _metadata(self, name: str) -> dict[str, Any]:
        metadata: dict[str, Any] = {"name": name}
        if self.namespace:
            metadata["namespace"] = self.namespace
        return metadata | {"labels": self._labels(), "annotations": {"mendsearch/search": self.search}}

    def _labels(self) -> dict[str, str]:
        return {"app.kubernetes.io/name": "mendsearch", "app.kubernetes.io/instance": slug(self.search)}


def _failure_rules() -> list[dict[str, Any]]:
    """Rules in order; the first that matches decides."""

    def on_exit(action: str, *codes: int) -> dict[str, Any]:
        return {"action": action, "onExitCodes": {"containerName": "worker", "operator": "In", "values": list(codes)}}

    return [
        on_exit("FailJob", USAGE),
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        on_exit("Ignore", 130, 138, 143),
        on_exit("Count", 3, 4),
    ]
