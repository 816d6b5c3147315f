"""Access control of the dashboard.

- On an address that others can reach, visitors need a token. A person types it into a form once, and a cookie that
  scripts cannot read keeps a value made from it; a program sends it as `Authorization: Bearer`. It is compared in
  constant time and never part of a URL.
- A request that could change something is refused, unless edits are allowed; then it must come from our own pages.
- Without a token, only this machine has access, under a host name of its own. So another site cannot point its name
  here and read the pages (DNS rebinding).
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
"""Paths that need no token; they reveal nothing about searches."""
TRIES, TRIES_S = 10, 60.0
WAIT = "Too many wrong tokens; wait a minute."
FORM_BYTES = 4096
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content security policy of our pages. Plotly needs inline styles; only our own scripts run."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Gate:
    """Access control for an application.

    Args:
        app: application to protect.
        token: token that visitors need, or None if everybody on this machine has access.
        allow_edits: whether requests may change something.
    """

    def __init__(self, app: Wsgi, token: str | None, allow_edits: bool) -> None:
        self._app, self._token, self._edits = app, token, allow_edits
        self._wrong: deque[float] = deque(maxlen=TRIES)
        self._lock = threading.Lock()

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Pass a request on, or answer it here."""
        path, method = environ.get("PATH_INFO", "/"), environ.get("REQUEST_METHOD", "GET")
        start = _with_headers(start)
        if self._token is None and not is_loopback(_host(environ)):
            return _answer(
                start,
                "421 Misdirected Request",
                "This dashboard answers only on this machine, under the name localhost.\n",
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
                return _refused(start, "edits are turned off; start the dashboard with --allow-edits to allow them")
            if not _same_origin(environ):
                return _refused(start, "the request comes from another site")
        return self._app(environ, start)

    def _known(self, environ: Environ) -> bool | None:
        """Whether a visitor has access; None if that is not checked, as in `_tried`."""
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
        """Whether the token is right; None after too many wrong ones, so that guessing reveals nothing."""
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
    """The value of the cookie, from which the token cannot be derived."""
    return hmac.new(token.encode(), b"mendview session", hashlib.sha256).hexdigest()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _host(environ: Environ) -> str:
    given = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
    return urlsplit(f"//{given}").hostname or ""


def _same_origin(environ: Environ) -> bool:
    """Whether a browser's request comes from our own page; programs send neither origin nor cookie."""
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return environ.get("HTTP_SEC_FETCH_SITE", "same-origin") in ("same-origin", "none")
    return urlsplit(origin).netloc == environ.get("HTTP_HOST")


def _local(target: str) -> str:
    """The path to go to after the login, never on another site."""
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
    """Add security headers to an answer; a policy that it has already, as of Optuna Dashboard, is kept."""

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
