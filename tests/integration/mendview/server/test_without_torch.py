"""A dashboard node has no GPU stack: nothing of the extra `torch` is asked for, by no page."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[4]
MODULES = {"scikit-learn": "sklearn"}
SCRIPT = """
import sys
for name in sys.argv[3:]:
    sys.modules[name] = None  # importing it fails
import mendsearch.cli
from mendsearch import figures
from mendview.server import serving
from mendview.server.app import make_app
from mendview.importance import importance
from mendstore import Reader
from mendstore.queries.searches import find_search

def ask(path):
    answer = []
    given = {"PATH_INFO": path, "REQUEST_METHOD": "GET", "HTTP_HOST": "localhost", "QUERY_STRING": "", "SERVER_NAME": "localhost",
             "SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.input": sys.stdin.buffer, "wsgi.errors": sys.stderr}
    b"".join(app(given, lambda status, headers, *rest: answer.append(status)))
    return answer[0]

app = make_app(sys.argv[1])
for path in ("", "network", "front", "fleet", "trial", "report"):
    assert ask(f"/mend/{sys.argv[2]}/{path}") == "200 OK", path
for path in ("/dashboard", f"/api/studies/{sys.argv[2]}", "/metrics"):
    assert ask(path) == "200 OK", path
reader = Reader(sys.argv[1])
assert reader.read(lambda snapshot: importance(snapshot, find_search(snapshot, study_id=int(sys.argv[2]))))
print("seen")
"""


def test_every_page_is_made_without_the_extra_torch(server, finished):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["torch"]
    names = [requirement.split(">")[0] for requirement in extras]
    modules = [MODULES.get(name, name) for name in names]
    assert "torch" in modules
    arguments = [server.start(), str(finished.study_id), *modules]
    ended = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert ended.stdout.strip() == "seen", ended.stderr
