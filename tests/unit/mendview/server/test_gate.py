import io
from urllib.parse import urlencode

import pytest

from mendview.server.gate import TRIES, Gate, is_loopback

TOKEN = "a-token-of-some-length"


def behind(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"inside"]


def ask(gate, path="/mend/", method="GET", body="", query="", **environ):
    answer = {}

    def start(status, headers):
        answer.update(status=int(status[:3]), headers=dict(headers))

    given = {
        "PATH_INFO": path, "REQUEST_METHOD": method, "HTTP_HOST": "localhost:8080", "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body.encode()), **environ,
    }  # fmt: skip
    answer["body"] = b"".join(gate(given, start)).decode()
    return answer


@pytest.fixture
def closed():
    return Gate(behind, TOKEN, allow_edits=False)


def log_in(gate, token=TOKEN, target="/", **environ):
    return ask(gate, "/mend/login", "POST", urlencode({"token": token, "next": target}), **environ)


def test_without_a_token_this_machine_comes_in_by_its_own_name_alone():
    gate = Gate(behind, None, allow_edits=False)
    for host in ("localhost:8080", "127.0.0.1:8080", "[::1]:8080", "127.0.0.5"):
        assert ask(gate, HTTP_HOST=host)["body"] == "inside"
    for host in ("evil.example", "127.0.0.1.evil.example", "10.0.0.1:8080", ""):
        assert ask(gate, HTTP_HOST=host, SERVER_NAME="")["status"] == 421


def test_a_page_asks_for_the_token_and_a_program_is_told(closed):
    answer = ask(closed, "/mend/3/trial", query="number=7")
    assert answer["status"] == 303
    assert answer["headers"]["Location"] == "/mend/login?next=%2Fmend%2F3%2Ftrial%3Fnumber%3D7"
    for path in ("/mend/api/3/search", "/api/studies", "/metrics"):
        assert ask(closed, path)["status"] == 401


def test_the_token_opens_once_typed_and_is_not_in_the_cookie(closed):
    answer = log_in(closed, target="/mend/3/")
    assert (answer["status"], answer["headers"]["Location"]) == (303, "/mend/3/")
    cookie = answer["headers"]["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert TOKEN not in cookie
    assert ask(closed, HTTP_COOKIE=cookie.partition(";")[0])["body"] == "inside"
    assert ask(closed, HTTP_COOKIE="mendsearch=" + "0" * 64)["status"] == 303
    assert ask(closed, HTTP_COOKIE='mendsearch="é')["status"] == 303


def test_behind_https_the_cookie_is_for_https_alone(closed):
    assert "; Secure" in log_in(closed, HTTP_ORIGIN="https://localhost:8080")["headers"]["Set-Cookie"]
    assert "; Secure" not in log_in(closed)["headers"]["Set-Cookie"]


def test_a_program_sends_the_token_in_a_header(closed):
    assert ask(closed, "/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")["body"] == "inside"
    assert ask(closed, "/metrics", HTTP_AUTHORIZATION="Bearer é")["status"] == 401
    assert ask(closed, "/metrics", query=f"token={TOKEN}")["status"] == 401


def test_wrong_tokens_are_refused_and_soon_not_even_looked_at(closed):
    for _ in range(TRIES):
        assert log_in(closed, "guess")["status"] == 403
    assert log_in(closed, "guess")["status"] == 429
    assert log_in(closed)["status"] == 429
    assert ask(closed, "/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")["status"] == 429


def test_guesses_of_a_program_are_counted_too_and_a_session_goes_on(closed):
    cookie = log_in(closed)["headers"]["Set-Cookie"].partition(";")[0]
    for _ in range(TRIES):
        assert ask(closed, "/metrics", HTTP_AUTHORIZATION="Bearer guess")["status"] == 401
    assert ask(closed, "/metrics", HTTP_AUTHORIZATION="Bearer guess")["status"] == 429
    assert ask(closed, "/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")["status"] == 429
    assert ask(closed, "/metrics", HTTP_COOKIE=cookie)["body"] == "inside"
    assert ask(closed, "/healthz")["status"] == 200


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "/a\r\nSet-Cookie: b=c", ""]
)
def test_one_is_never_sent_on_to_another_site(closed, target):
    assert log_in(closed, target=target)["headers"]["Location"] == "/"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_what_is_no_reading_is_refused_unless_edits_are_allowed(method):
    assert ask(Gate(behind, None, allow_edits=False), "/api/studies/1", method)["status"] == 403
    assert ask(Gate(behind, None, allow_edits=True), "/api/studies/1", method)["body"] == "inside"


def test_edits_from_another_site_are_refused():
    gate = Gate(behind, None, allow_edits=True)
    assert ask(gate, "/api/studies/1", "DELETE", HTTP_ORIGIN="http://localhost:8080")["body"] == "inside"
    assert ask(gate, "/api/studies/1", "DELETE", HTTP_ORIGIN="https://evil.example")["status"] == 403
    assert ask(gate, "/api/studies/1", "DELETE", HTTP_ORIGIN="null")["status"] == 403
    assert ask(gate, "/api/studies/1", "DELETE", HTTP_SEC_FETCH_SITE="cross-site")["status"] == 403


def test_anybody_may_ask_whether_it_lives(closed):
    assert ask(closed, "/healthz")["body"] == "inside"


def test_every_answer_has_a_policy_that_lets_no_foreign_script_run(closed):
    for answer in (ask(closed), log_in(closed), ask(Gate(behind, None, allow_edits=False))):
        policy = answer["headers"]["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert answer["headers"]["X-Frame-Options"] == "DENY"


def test_a_policy_of_optuna_dashboards_own_stays():
    def theirs(environ, start):
        start("200 OK", [("Content-Security-Policy", "theirs")])
        return [b""]

    assert ask(Gate(theirs, None, allow_edits=False))["headers"]["Content-Security-Policy"] == "theirs"


@pytest.mark.parametrize(("host", "is_one"), [("localhost", True), ("127.0.0.9", True), ("::1", True), ("0.0.0.0", False),
                                              ("192.168.1.4", False), ("example.org", False)])  # fmt: skip
def test_loopback(host, is_one):
    assert is_loopback(host) is is_one
