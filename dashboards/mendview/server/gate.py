"""Who may come in, and what may be changed: the one door of the dashboard.

- On an address that others can reach, a token opens it: typed into a form once, then kept in a cookie that scripts
  cannot read, or sent as `Authorization: Bearer` by a program. It is compared in constant time and never part of a
  URL.
- Every request that is no reading is refused, unless edits are allowed; then it must come from a page of our own.
- On this machine alone, without a token, the host must be this machine by name: another site's page cannot have its own
  name point here and read what is shown.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from mendview.pages import render

Environ = dict[str, Any]
Start = Callable[..., Any]
Wsgi = Callable[[Environ, Start], Iterable[bytes]]

COOKIE = "mendsearch"
COOKIE_S = 30 * 86400
READING = ("GET", "HEAD", "OPTIONS")
LOGIN = "/mend/login"
OPEN = ("/healthz", "/mend/static/mend.css", "/mend/static/theme.js", "/mend/static/icon.svg")
"""What anybody may read: it says nothing about searches."""
TRIES, TRIES_S = 10, 60.0
WAIT = "Too many wrong tokens; wait a minute."
FORM_BYTES = 4096
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Of our pages. Plotly writes styles; no script but our own files runs."""


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Gate:
    """The door before an application.

    Args:
        app: what is behind it.
        token: that opens it, or None where everybody on this machine may come in.
        allow_edits: let requests through that change something.
    """

    def __init__(self, app: Wsgi, token: str | None, allow_edits: bool) -> None:
        self._app, self._token, self._edits = app, token, allow_edits
        self._wrong: deque[float] = deque(maxlen=TRIES)
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Let a request through, or answer it here."""
        path, method = environ.get("PATH_INFO", "/"), environ.get("REQUEST_METHOD", "GET")
        start = _with_headers(start)
        if self._token is None and not is_loopback(_host(environ)):
            return _answer(
                start,
                "421 Misdirected Request",
                "This dashboard answers on this machine alone, by the name localhost.\n",
            )
        if path == LOGIN and self._token is not None:
            return self._log_in(environ, start)
        known = path in OPEN or self._known(environ)
        if known is None:
            return _answer(start, "429 Too Many Requests", f'{{"reason": "{WAIT}"}}', "application/json")
        if not known:
            return self._ask(environ, start)
        if method not in READING:
            if not self._edits:
                return _refused(start, "edits are off here; start the dashboard with --allow-edits to turn them on")
            if not _same_origin(environ):
                return _refused(start, "the request comes from another site")
        return self._app(environ, start)

    def _known(self, environ: Environ) -> bool | None:
        """Whether a visitor may come in; None where that is not looked at, as in `_tried`."""
        if self._token is None:
            return True
        try:
            cookie = SimpleCookie(environ.get("HTTP_COOKIE", "")).get(COOKIE)
        except CookieError:
            cookie = None
        if cookie is not None and _same(cookie.value, _session(self._token)):
            return True
        kind, _, value = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        return self._tried(value.strip()) if kind.lower() == "bearer" else False

    def _tried(self, given: str) -> bool | None:
        """Whether it is the token; None where too many were wrong of late, so that guesses learn nothing."""
        assert self._token is not None
        with self._lock:
            now = time.monotonic()
            if len(self._wrong) == TRIES and now - self._wrong[0] < TRIES_S:
                return None
            if not _same(given, self._token):
                self._wrong.append(now)
                return False
            return True

    def _ask(self, environ: Environ, start: Start) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if path.startswith(("/mend/api", "/api", "/metrics")) or environ.get("REQUEST_METHOD") not in READING:
            headers = [("WWW-Authenticate", "Bearer")]
            return _answer(start, "401 Unauthorized", '{"reason": "token needed"}', "application/json", headers)
        query = environ.get("QUERY_STRING", "")
        target = quote(path + (f"?{query}" if query else ""), safe="")
        return _answer(start, "303 See Other", "", headers=[("Location", f"{LOGIN}?next={target}")])

    def _log_in(self, environ: Environ, start: Start) -> Iterable[bytes]:
        assert self._token is not None
        if environ.get("REQUEST_METHOD") != "POST":
            asked = parse_qs(environ.get("QUERY_STRING", "")).get("next", ["/"])[0]
            return _answer(start, "200 OK", render("login", next=asked, wrong=""), "text/html; charset=utf-8")
        try:
            length = min(FORM_BYTES, int(environ.get("CONTENT_LENGTH") or 0))
        except ValueError:
            length = 0
        form = parse_qs(environ["wsgi.input"].read(length).decode("utf-8", "replace"))
        given, target = form.get("token", [""])[0].strip(), _local(form.get("next", ["/"])[0])
        right = self._tried(given)
        if not right:
            status, wrong = (
                ("429 Too Many Requests", WAIT) if right is None else ("403 Forbidden", "This is not the token.")
            )
            return _answer(start, status, render("login", next=target, wrong=wrong), "text/html; charset=utf-8")
        secure = "; Secure" if environ.get("HTTP_ORIGIN", "").startswith("https:") else ""
        cookie = f"{COOKIE}={_session(self._token)}; HttpOnly; SameSite=Lax; Path=/; Max-Age={COOKIE_S}{secure}"
        return _answer(start, "303 See Other", "", headers=[("Location", target), ("Set-Cookie", cookie)])


def _session(token: str) -> str:
    """What the cookie holds: made from the token, which cannot be had from it."""
    return hmac.new(token.encode(), b"mendview session", hashlib.sha256).hexdigest()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _host(environ: Environ) -> str:
    given = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
    return urlsplit(f"//{given}").hostname or ""


def _same_origin(environ: Environ) -> bool:
    """Whether a browser's request comes from our own page; a program sends no origin, and no cookie of a browser."""
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return environ.get("HTTP_SEC_FETCH_SITE", "same-origin") in ("same-origin", "none")
    return urlsplit(origin).netloc == environ.get("HTTP_HOST")


def _local(target: str) -> str:
    """The path to go on to: never another site."""
    parts = urlsplit(target)
    safe = target.startswith("/") and not target.startswith(("//", "/\\")) and not parts.netloc
    return target if safe and not any(ord(letter) < 33 for letter in target) else "/"


def _refused(start: Start, reason: str) -> Iterable[bytes]:
    return _answer(start, "403 Forbidden", f'{{"reason": "{reason}"}}', "application/json")


def _answer(
    start: Start,
    status: str,
    body: str,
    kind: str = "text/plain; charset=utf-8",
    headers: list[tuple[str, str]] | None = None,
) -> Iterable[bytes]:
    content = body.encode()
    start(
        status,
        [
            ("Content-Type", kind),
            ("Content-Length", str(len(content))),
            ("Cache-Control", "no-store"),
            *(headers or []),
        ],
    )
    return [content]


def _with_headers(start: Start) -> Start:
    """Every answer keeps to itself, and has our policy where it has none of its own, as Optuna Dashboard has."""

    def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        names = {name.lower() for name, _ in headers}
        added = {
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }
        more = [(name, value) for name, value in added.items() if name.lower() not in names]
        return start(status, [*headers, *more], *rest)

    return started
