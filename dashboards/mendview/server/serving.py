"""The dashboard as a process: its address, its token, the server, and a clean end."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from types import FrameType

import waitress

from mendstore import Reader, StorageError
from mendview.server.app import make_app
from mendview.server.gate import is_loopback

LEAST = 16
"""Characters of a token at the least, so that it cannot be guessed."""
THREADS = 8


class DashboardError(StorageError):
    """The dashboard cannot be started; correct the option or the environment variable."""

    exit_code = 2


def serve(url: str, host: str, port: int, token: str | None, allow_edits: bool, browse: bool) -> int:
    """Serve until a signal arrives; returns its number.

    Args:
        url: URL of the study database, which need not exist yet.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        token: token that visitors need; if one is needed and not given, it is created and printed.
        allow_edits: whether Optuna Dashboard may change studies.
        browse: whether to open the browser, on a machine with a screen.

    Raises:
        DashboardError: the port is taken, the address is not one of this machine, or the token is too short.
        StorageError: the URL is not one of Postgres.
    """
    if token is not None and len(token) < LEAST:
        raise DashboardError(
            f"the dashboard's token is too short: got {len(token)} characters, expected {LEAST} or more"
        )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", stream=sys.stderr)
    made = token is None and not is_loopback(host)
    token = secrets.token_urlsafe(24) if made else token
    app = make_app(url, token, allow_edits)
    try:
        server = waitress.create_server(
            app, host=host, port=port, threads=THREADS, ident="mendsearch", clear_untrusted_proxy_headers=True
        )
    except OSError as error:
        raise DashboardError(
            f"the dashboard cannot listen on {host} port {port}: {error.strerror or error}; try --port 0"
        ) from error
    address = _address(server, host)
    if made:
        print(f"token, printed this once: {token}", file=sys.stderr)
    print(address, flush=True)
    threading.Thread(target=_read_once, args=(url,), daemon=True).start()
    if browse and _has_screen():
        threading.Timer(0.5, webbrowser.open, [address]).start()
    return _until_signal(server)


def _until_signal(server: waitress.server.BaseWSGIServer) -> int:
    ended: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        ended.append(number)
        raise SystemExit

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    server.run()  # it ends its threads, and returns, when SystemExit is raised in it
    server.close()
    return ended[0] if ended else signal.SIGINT


def _read_once(url: str) -> None:
    """Log at once if the database cannot be reached, before anybody opens a page."""
    reader = Reader(url)
    try:
        reader.read(lambda snapshot: snapshot.optuna)
    except StorageError:
        return  # the reader has logged it
    finally:
        reader.close()


def _address(server: waitress.server.BaseWSGIServer, host: str) -> str:
    port = getattr(server, "effective_port", None) or server.effective_listen[0][1]
    everywhere = host in ("0.0.0.0", "::")
    name = socket.gethostname() if everywhere else "localhost" if is_loopback(host) else host
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"


def _has_screen() -> bool:
    """Whether a browser would open a window, and not take over the terminal."""
    desktop = sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(desktop) and sys.stdout.isatty()
