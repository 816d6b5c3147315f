"""Routes of our pages, and their answers while the database cannot be reached."""

from __future__ import annotations

import gzip
import logging
from typing import Any

from bottle import Bottle, redirect, request, response, static_file

import mendstore
from mendstore import Reader, Snapshot
from mendstore.queries.searches import find_search, latest
from mendview.pages import Page, Panel, short
from mendview.report import report_of
from mendview.scripts import compressed, folder_of
from mendview.server.answers import Answers, changed, embedded, whole
from mendview.server.metrics import KIND, metrics

HTML = "text/html; charset=utf-8"
JSON = "application/json"
HAVE = 4000
"""Characters of the hashes that a browser says it has."""
CACHED_S = 3600
SMALL_BYTES = 1024

logger = logging.getLogger(__name__)


def make_routes(reader: Reader) -> Bottle:
    """Our pages as a WSGI application."""
    app, routes = Bottle(), _Routes(reader)
    kinds = "<kind:re:network|front|fleet|trial>"
    for rule, method in {
        "/": routes.first,
        "/mend": routes.first,
        "/mend/": routes.first,
        "/mend/searches": routes.searches,
        "/mend/<study_id:int>": routes.to_search,
        "/mend/<study_id:int>/": routes.page,
        f"/mend/<study_id:int>/{kinds}": routes.page,
        "/mend/<study_id:int>/<kind:re:trial>/<number:int>": routes.page,
        "/mend/<study_id:int>/report": routes.report,
        "/mend/api/<kind:re:searches>": routes.update,
        "/mend/api/<study_id:int>/<kind:re:search|network|front|fleet|trial>": routes.update,
        "/mend/api/<study_id:int>/<kind:re:trial>/<number:int>": routes.update,
        "/mend/static/<name:re:[a-zA-Z.-]+>": routes.static,
        "/healthz": routes.health,
        "/metrics": routes.metrics,
    }.items():
        app.route(rule, callback=method)
    app.error_handler.update({404: _not_found, 500: _failed})
    return app


class _Routes:
    def __init__(self, reader: Reader) -> None:
        self._reader, self._answers = reader, Answers(reader)

    def first(self) -> Any:
        """The search with the last heartbeat, or the list if there is none."""
        try:
            study_id = self._reader.read(latest)
        except mendstore.StorageError as error:
            return _unreachable(error, "searches")
        return self.searches() if study_id is None else redirect(f"/mend/{study_id}/", 302)

    def searches(self) -> Any:
        """All searches."""
        return self._shown(None, "searches", None)

    def to_search(self, study_id: int) -> Any:
        """Redirect to the pages of a search."""
        return redirect(f"/mend/{study_id}/", 302)

    def page(self, study_id: int, kind: str = "search", number: int | None = None) -> Any:
        """A page of a search; a form requests `trial?number=N`."""
        asked = request.query.get("number", "")
        if kind == "trial" and number is None and asked.isdecimal() and len(asked) < 10:
            return redirect(f"/mend/{study_id}/trial/{int(asked)}", 302)
        return self._shown(study_id, kind, number)

    def _shown(self, study_id: int | None, kind: str, number: int | None) -> Any:
        path = _path(study_id, kind, number)
        try:
            found = self._answers.page(study_id, kind, number)
        except mendstore.StorageError as error:
            return _unreachable(error, path)
        return _send(_missing(), status=404) if found is None else _send(whole(found, f"/mend/api/{path}"))

    def update(self, kind: str, study_id: int | None = None, number: int | None = None) -> Any:
        """Changes since the last request of a page."""
        try:
            found = self._answers.page(study_id, kind, number)
        except mendstore.StorageError as error:
            return _send(embedded({"unreachable": _why(error)}), JSON, 503)
        if found is None:
            return _send('{"unreachable": "This search no longer exists."}', JSON, 404)
        text = embedded(changed(found, set(request.query.get("have", "")[:HAVE].split(","))))
        tag = f'"{short(text)}"'
        response.set_header("ETag", tag)
        if request.get_header("If-None-Match") == tag:
            response.status = 304
            return b""
        return _send(text, JSON)

    def report(self, study_id: int) -> Any:
        """The report of a search, as a download."""

        def ask(snapshot: Snapshot) -> tuple[str, str] | None:
            search = find_search(snapshot, study_id=study_id)
            return None if search is None else (search.name, report_of(snapshot, search))

        try:
            made = self._reader.read(ask)
        except mendstore.StorageError as error:
            return _unreachable(error, _path(study_id, "search", None))
        if made is None:
            return _send(_missing(), status=404)
        name = "".join(
            letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in made[0]
        )
        response.set_header("Content-Disposition", f'attachment; filename="{name[:80]}.html"')
        return _send(made[1])

    def static(self, name: str) -> Any:
        """A script or a style, compressed if the browser accepts that."""
        sent = static_file(name, root=str(folder_of(name)))
        sent.set_header("Cache-Control", f"max-age={CACHED_S}")
        if name.endswith(".js") and sent.status_code == 200 and _takes_gzip():
            sent.body = compressed(name)
            sent.set_header("Content-Length", str(len(sent.body)))
            sent.set_header("Content-Encoding", "gzip")
            sent.set_header("Vary", "Accept-Encoding")
        return sent

    def health(self) -> Any:
        """Whether the dashboard and its database can be reached."""
        try:
            self._reader.read(lambda snapshot: snapshot.optuna)
        except mendstore.StorageError:
            return _send('{"status": "database unreachable"}', JSON, 503)
        return _send('{"status": "ok"}', JSON)

    def metrics(self) -> Any:
        """Metrics for Prometheus."""
        return _send(metrics(self._reader).decode(), KIND)


def _path(study_id: int | None, kind: str, number: int | None) -> str:
    return kind if study_id is None else f"{study_id}/{kind}" + ("" if number is None else f"/{number}")


def _unreachable(error: mendstore.StorageError, path: str) -> Any:
    """A page that says that the database cannot be reached, and reloads itself when it can."""
    page = Page("unreachable", "The database cannot be reached")
    return _send(whole(page, f"/mend/api/{path}", found=False, unreachable=_why(error)), status=503)


def _why(error: mendstore.StorageError) -> str:
    """The reason of a failure, without the address of the database."""
    return "The study database cannot be reached: " + str(error).partition(" failed: ")[2].partition(";")[0] + "."


def _missing() -> str:
    page = Page("missing", "Page not found")
    page.parts["none"] = '<p class="empty">This page does not exist. <a href="/mend/searches">All searches</a></p>'
    page.layout = [Panel("none")]
    return whole(page, "")


def _not_found(error: Any) -> Any:
    error.content_type = HTML
    return _missing()


def _failed(error: Any) -> str:
    logger.error("%s", error.traceback or error)
    return "The dashboard failed; its log says how.\n"


def _takes_gzip() -> bool:
    return "gzip" in request.get_header("Accept-Encoding", "")


def _send(text: str, kind: str = HTML, status: int = 200) -> bytes:
    response.status = status
    response.content_type = kind
    response.set_header("Cache-Control", "no-store")
    content = text.encode()
    if len(content) > SMALL_BYTES and _takes_gzip():
        response.set_header("Content-Encoding", "gzip")
        response.set_header("Vary", "Accept-Encoding")
        content = gzip.compress(content, 3)
    return content
