"""The manifests of an Indexed Job: checked against the API's schemas, and applied with the real kubectl."""

import base64
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import kubernetes_validate
import pytest
import yaml

from mendsearch.errors import MendsearchError, UsageError
from mendsearch.fleet.launch import Kubernetes

URL = "postgresql+psycopg2://worker:open-sesame@db.example/searches"
RELEASES = ["1.29.0", "1.31.0", "1.33.0", kubernetes_validate.latest_version()]


def backend(**more):
    given = {"search": "My.search", "command": ["python", "-m", "mendsearch", "worker", "My.search"], "url": URL}
    return Kubernetes(**(given | {"workers": 3, "image": "registry/mendsearch:1", "gpus": 1, "cpus": 4} | more))


def container(job):
    return job["spec"]["template"]["spec"]["containers"][0]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("more", [{}, {"gpus": 0, "memory": "8Gi", "namespace": "team"}, {"secret": "database"}])
def test_the_manifests_fit_the_schema_of_the_api(release, more):
    made = backend(**more)
    for document in [*yaml.safe_load_all(made.rendered()), made._secret_manifest()]:
        kubernetes_validate.validate(document, release, strict=True)


def test_a_wrong_manifest_would_not_fit():
    job = backend().job()
    job["spec"]["podFailurePolicies"] = job["spec"].pop("podFailurePolicy")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.33.0", strict=True)


def test_one_worker_an_index_and_what_their_exit_codes_do():
    spec = backend().job()["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 3, 3)
    assert spec["backoffLimitPerIndex"] == 5
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # a pod failure policy needs it
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 30

    def action(code, disrupted=False):
        for rule in spec["podFailurePolicy"]["rules"]:
            if code in rule.get("onExitCodes", {}).get("values", ()) or (disrupted and "onPodConditions" in rule):
                return rule["action"]
        return "Count"

    assert {code: action(code) for code in (1, 2, 3, 4, 130, 137, 138, 143)} == {
        1: "Count",
        2: "FailJob",
        3: "Count",
        4: "Count",
        130: "Ignore",
        137: "Count",
        138: "Ignore",
        143: "Ignore",
    }
    assert action(137, disrupted=True) == "Ignore"


def test_a_pod_has_no_rights_and_writes_nowhere_but_in_its_own_folders():
    pod = backend().job()["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["automountServiceAccountToken"] is False
    assert container(backend().job())["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {volume["name"] for volume in pod["volumes"] if volume["emptyDir"] == {}} == {"scratch", "tmp"}
    variables = {entry["name"]: entry.get("value") for entry in container(backend().job())["env"]}
    assert variables["HOME"] == "/scratch"
    assert variables["XDG_CACHE_HOME"].startswith("/scratch/")
    assert variables["OMP_NUM_THREADS"] == "4"


def test_gpus_are_asked_for_or_hidden():
    with_gpu, without = container(backend().job()), container(backend(gpus=0, memory="8Gi").job())
    assert with_gpu["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert without["resources"] == {"requests": {"cpu": "4", "memory": "8Gi"}, "limits": {"memory": "8Gi"}}
    assert {"name": "CUDA_VISIBLE_DEVICES", "value": ""} in without["env"]
    assert "CUDA_VISIBLE_DEVICES" not in [entry["name"] for entry in with_gpu["env"]]


def test_the_url_comes_from_the_secret_and_is_not_shown():
    made = backend()
    secret = made._secret_manifest()
    assert base64.b64decode(secret["data"]["url"]).decode() == URL
    reference = {"name": secret["metadata"]["name"], "key": "url"}
    assert container(made.job())["env"][0] == {
        "name": "MENDSEARCH_STORAGE",
        "valueFrom": {"secretKeyRef": reference},
    }
    for text in (made.rendered(), repr(made)):
        assert "sesame" not in text
        assert secret["data"]["url"] not in text


def test_a_secret_that_is_there_is_named_and_needs_no_url():
    made = backend(secret="database", url=None)
    assert container(made.job())["env"][0]["valueFrom"]["secretKeyRef"] == {"name": "database", "key": "url"}


def test_a_database_of_this_machine_alone_is_refused():
    with pytest.raises(UsageError, match="--backend kubernetes: the storage URL names no host"):
        backend(url="postgresql+psycopg2://me@/searches?host=/run/postgresql")


def test_each_launch_is_a_job_of_its_own_and_its_pods_have_names_of_good_length():
    first, second = (backend(search="a" * 128, workers=1000).job()["metadata"]["name"] for _ in range(2))
    assert first != second
    assert len(f"{first}-999") <= 63


def resources(version, name, kind):
    verbs = ["create", "get", "patch"]
    listed = {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": verbs}
    return {"kind": "APIResourceList", "groupVersion": version, "resources": [listed]}


def openapi(path, group, kind):
    patch = {
        "x-kubernetes-group-version-kind": {"group": group, "version": "v1", "kind": kind},
        "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
        "responses": {},
    }
    return {"openapi": "3.0.0", "info": {"title": "api", "version": "v1"}, "paths": {path: {"patch": patch}}}


BATCH = {"groupVersion": "batch/v1", "version": "v1"}
DISCOVERY = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [{"name": "batch", "versions": [BATCH], "preferredVersion": BATCH}],
    },
    "/api/v1": resources("v1", "secrets", "Secret"),
    "/apis/batch/v1": resources("batch/v1", "jobs", "Job"),
    "/openapi/v3": {
        "paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash=1"} for path in ("api/v1", "apis/batch/v1")}
    },
    "/openapi/v3/api/v1": openapi("/api/v1/namespaces/{namespace}/secrets/{name}", "", "Secret"),
    "/openapi/v3/apis/batch/v1": openapi("/apis/batch/v1/namespaces/{namespace}/jobs/{name}", "batch", "Job"),
}


class ApiServer(BaseHTTPRequestHandler):
    """As much of the API as `kubectl apply` asks for; what it applies is kept in `server.applied`."""

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path in DISCOVERY:
            self.answer(200, DISCOVERY[path])
        else:
            self.answer(
                404, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
            )

    def do_PATCH(self):
        document = yaml.safe_load(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            kubernetes_validate.validate(document, "1.33.0", strict=True)
        except kubernetes_validate.ValidationError as error:
            self.answer(
                422, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": str(error), "code": 422}
            )
            return
        self.server.applied.append(document)
        self.answer(201, document)

    def answer(self, code, document):
        body = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing is printed."""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """What a cluster was told; kubectl's configuration names it, with the namespace `team`."""
    if shutil.which("kubectl") is None:
        # no package of it goes with the others that CI installs; the manifests are checked without it
        pytest.skip("needs kubectl")
    server = ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
    server.applied = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "team"}}],
        "current-context": "x",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(configuration))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("HOME", str(tmp_path))  # kubectl keeps a cache there
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_kubectl_applies_the_secret_and_the_job(cluster):
    said = []
    made = backend()
    assert made.launch(said.append) == 0
    secret, job = cluster.applied
    assert (secret["kind"], job["kind"]) == ("Secret", "Job")
    assert {document["metadata"].pop("namespace") for document in cluster.applied} == {"team"}
    assert job == made.job()
    assert "last-applied" not in str(secret)
    assert "sesame" not in "".join(said)
    assert f"kubectl delete job {job['metadata']['name']}" in said[-1]


def test_with_a_secret_that_is_there_kubectl_applies_the_job_alone(cluster):
    assert backend(secret="database", url=None, namespace="other").launch(lambda line: None) == 0
    assert [document["kind"] for document in cluster.applied] == ["Job"]
    assert cluster.applied[0]["metadata"]["namespace"] == "other"


def test_what_kubectl_refuses_is_said_in_one_line_without_the_url(cluster):
    with pytest.raises(MendsearchError, match="launch: kubectl refused: ") as refused:
        backend(cpus={"not": "a quantity"}, workers="three").launch(lambda line: None)
    assert "\n" not in str(refused.value)
    assert "sesame" not in str(refused.value)


def test_without_kubectl_the_error_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="command `kubectl` is not on this machine"):
        backend().launch(lambda line: None)
