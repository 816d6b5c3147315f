"""The application, asked as a browser asks, over the tests' Postgres."""

import gzip
import io
import json
import uuid

import pytest
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError
from prometheus_client.parser import text_string_to_metric_families

from mendstore import Reader
from mendview.server.app import make_app
from mendview.server.optuna_part import OptunaPart
from tests.integration.conftest import DONE, TRIALS


@pytest.fixture(scope="module")
def app(server):
    return make_app(server.start())


def ask(app, path, query="", method="GET", **environ):
    answer = {}

    def start(status, headers, *rest):
        answer.update(status=int(status[:3]), headers=dict(headers))

    given = {
        "PATH_INFO": path, "REQUEST_METHOD": method, "HTTP_HOST": "localhost", "QUERY_STRING": query, "SERVER_NAME": "localhost",
        "SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(), **environ,
    }  # fmt: skip
    answer["body"] = b"".join(app(given, start))
    return answer


@pytest.mark.parametrize("kind", ["", "network", "front", "fleet", "trial", "trial/3"])
def test_a_page_comes_whole_and_an_update_holds_only_what_changed(app, finished, kind):
    page = ask(app, f"/mend/{finished.study_id}/{kind}")
    assert page["status"] == 200
    given = json.loads(
        page["body"].decode().partition('<script id="given" type="application/json">')[2].partition("</script>")[0]
    )
    first = json.loads(ask(app, f"/mend/api/{finished.study_id}/{kind or 'search'}")["body"])
    assert first["parts"].keys() | {f"figure {key}" for key in first["figures"]} >= given["hashes"].keys()
    have = ",".join([part["hash"] for part in [*first["parts"].values(), *first["figures"].values()]])
    again = json.loads(ask(app, f"/mend/api/{finished.study_id}/{kind or 'search'}", f"have={have}")["body"])
    assert again["figures"] == {}
    assert again["shape"] == first["shape"]


def test_an_update_that_is_known_is_not_sent_again(app, finished):
    path = f"/mend/api/{finished.study_id}/search"
    tag = ask(app, path)["headers"]["Etag"]
    assert ask(app, path, HTTP_IF_NONE_MATCH=tag)["status"] == 304


def test_figures_come_in_text_that_ends_no_script(app, finished):
    page = ask(app, f"/mend/{finished.study_id}/network")["body"].decode()
    given = page.partition('<script id="given" type="application/json">')[2]
    assert given.index("<") == given.index("</script>")


def test_pages_are_compressed_for_who_takes_it(app, finished):
    answer = ask(app, f"/mend/{finished.study_id}/", HTTP_ACCEPT_ENCODING="gzip")
    assert answer["headers"]["Content-Encoding"] == "gzip"
    assert b"</html>" in gzip.decompress(answer["body"])


@pytest.mark.parametrize(
    "path", ["/mend/999999/", "/mend/999999/fleet", "/nothing", "/mend/1/../../etc/passwd", "/mend/999999/report"]
)
def test_what_is_not_there_is_said(app, made, path):
    assert ask(app, path)["status"] == 404


def test_files_outside_our_own_are_not_given(app):
    for name in ("../report.py", "..%2Freport.py", "none.js"):
        assert ask(app, f"/mend/static/{name}")["status"] in (403, 404)


def test_optuna_dashboard_is_there_with_a_way_to_our_pages(app, made):
    page = ask(app, f"/dashboard/studies/{made.study_id}")
    assert b"/mend/static/link.js" in page["body"]
    assert "script-src 'self' 'unsafe-eval'" in page["headers"]["Content-Security-Policy"]
    detail = json.loads(gzip.decompress(ask(app, f"/api/studies/{made.study_id}", HTTP_ACCEPT_ENCODING="gzip")["body"]))
    assert len(detail["trials"]) == len(made.states)


def test_without_edits_optuna_dashboards_own_connection_cannot_write(server, made):
    part = OptunaPart(Reader(server.start()), allow_edits=False)
    with pytest.raises(StorageInternalError) as refused:
        part._storage().set_study_user_attr(made.study_id, "written", 1)
    assert "read-only transaction" in str(refused.value.__cause__)
    OptunaPart(Reader(server.start()), allow_edits=True)._storage().set_study_user_attr(made.study_id, "written", 1)


def test_the_role_of_a_viewer_sees_every_page(server, finished):
    url, role = sa.make_url(server.start()), f"viewer_{uuid.uuid4().hex[:8]}"
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(sa.text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"))
        connection.execute(sa.text(f"ALTER ROLE {role} SET default_transaction_read_only = on"))
    engine.dispose()
    seen = make_app(url.set(username=role).render_as_string(hide_password=False))
    for path in ("", "network", "front", "fleet", "trial", "report"):
        assert ask(seen, f"/mend/{finished.study_id}/{path}")["status"] == 200
    for path in (
        "/mend/searches",
        "/metrics",
        "/healthz",
        "/dashboard",
        "/api/studies",
        f"/api/studies/{finished.study_id}",
    ):
        assert ask(seen, path)["status"] == 200


def test_metrics_are_what_prometheus_reads(app, made):
    families = {family.name: family for family in text_string_to_metric_families(ask(app, "/metrics")["body"].decode())}
    values = {
        (family.name, sample.labels.get("state") or sample.labels.get("quantile")): sample.value
        for family in families.values()
        for sample in family.samples
        if sample.labels.get("search", made.name) == made.name
    }
    assert values["mendsearch_database_up", None] == 1
    assert values["mendsearch_trials", "complete"] + values["mendsearch_trials", "stopped_early"] == DONE
    assert values["mendsearch_trials_wanted", None] == TRIALS
    assert values["mendsearch_best_score", None] == made.scores[made.best]
    assert values["mendsearch_workers", "alive"] == 5
    assert 0 < values["mendsearch_claim_latency_seconds", "0.5"] <= values["mendsearch_claim_latency_seconds", "0.99"]


def test_an_unreachable_database_is_reported_without_its_address(caplog):
    app = make_app("postgresql://someone:secret-word@127.0.0.1:1/nowhere")
    health, page, update = ask(app, "/healthz"), ask(app, "/"), ask(app, "/mend/api/3/search")
    assert [answer["status"] for answer in (health, page, update)] == [503, 503, 503]
    assert b"mendsearch_database_up 0.0" in ask(app, "/metrics")["body"]
    assert ask(app, "/dashboard")["status"] == 503
    assert ask(app, "/api/studies")["status"] == 503
    assert "cannot be reached" in json.loads(update["body"])["unreachable"]
    for text in (page["body"].decode(), update["body"].decode(), caplog.text):
        assert "secret-word" not in text
    assert len([record for record in caplog.records if "failed" in record.message]) <= 2
