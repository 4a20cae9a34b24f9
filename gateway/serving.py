"""What `gateway serve` runs: gunicorn with the shipped configuration, on a socket that is ours from the start.

Here: finding `config/gunicorn.conf.py`, the listening socket (so that a port in use is known at once, and port 0
tells which one it got), and the worker that gives a slow client a deadline. Not here: limits and timeouts; an operator
edits those in the configuration.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from flask import Flask
from gunicorn.app.base import Application
from gunicorn.workers.gthread import ThreadWorker

from gateway.errors import ConfigurationError
from gateway.gateway import Gateway
from gateway.settings import Settings
from gateway.web.app import EXTENSION_KEY, create_app

READ_DEADLINE_S: Final = 10.0  # R31: headers and body together
READERS: Final = 240  # clients that may dawdle at once; a thread that waits costs some 20 KiB
_LOOK_EVERY_S: Final = 0.5


def config_file() -> Path:
    """Return the shipped `gunicorn.conf.py`: inside an installed package, or beside it in the repository.

    Raises:
        ConfigurationError: it is in neither place.
    """
    package = Path(__file__).parent
    places = (package / "_config" / "gunicorn.conf.py", package.parent / "config" / "gunicorn.conf.py")
    for place in places:
        if place.is_file():
            return place
    raise ConfigurationError(
        f"gunicorn.conf.py is missing; looked at {', '.join(map(str, places))}: install again"
    )


def listen(bind: str) -> socket.socket:
    """Return a socket bound to "host:port"; port 0 takes any free one.

    Raises:
        ConfigurationError: the port is in use or not allowed, or the host is no address of this machine.
    """
    host, _, port = bind.rpartition(":")
    host = host.strip("[]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {bind}: {error.strerror}") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise ConfigurationError(
            f"cannot listen on {bind} ({error.strerror}): stop what uses it, or give another --bind host:port"
        ) from None
    return bound


def address_of(bound: socket.socket) -> str:
    """Return "host:port" of a listening socket."""
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Server(Application):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn with the shipped configuration, our settings and our socket; each worker opens its own gateway."""

    def __init__(self, settings: Settings, bound: socket.socket) -> None:
        self._settings = settings
        self._bound = bound
        super().__init__("gateway serve")

    def load_config(self) -> None:
        """Read the shipped file; the socket and the settings have the last word."""
        self.load_config_from_file(str(config_file()))
        self.cfg.set("bind", [f"fd://{self._bound.fileno()}"])
        self.cfg.set("workers", self._settings.workers)
        self.cfg.set("threads", self._settings.threads + READERS)
        self.cfg.set("loglevel", self._settings.log_level.lower())

    def load(self) -> Flask:
        """Make the application, in the worker: no connection to the database crosses a fork (R52)."""
        return create_app(Gateway.open(self._settings, upgrade=False))


def serve(settings: Settings, bound: socket.socket) -> None:
    """Serve until a signal ends it; leaves the process. Call `prepare` first."""
    # gunicorn closes the descriptor that it is given, so it must be its own.
    descriptor = os.dup(bound.fileno())
    os.set_inheritable(descriptor, True)
    own = socket.socket(fileno=descriptor)
    bound.close()
    server = Server(settings, own)
    own.detach()
    server.run()


def prepare(settings: Settings) -> None:
    """Find out, before anything listens, what would stop every worker. A database that is not there is made.

    Raises:
        ConfigurationError: a wrong key, an older schema (`gateway db upgrade`) or a newer one. StoreUnavailable.
    """
    Gateway.open(settings, upgrade=False, create=True, background=False).close()


def start_background(worker: DeadlineWorker) -> None:
    """Start the sweeper and the follow-up commands of this worker; gunicorn's `post_worker_init`."""
    worker.gateway.background.start(sweeps=True)


def stop_background(worker: DeadlineWorker) -> None:
    """Let the worker's background thread finish its piece of work; gunicorn's `worker_exit`."""
    if hasattr(worker, "gateway"):  # else it never got as far as an application
        worker.gateway.close()


class ReadDeadlines:
    """Shuts the reading side of connections whose request has not arrived whole in time. Thread-safe.

    A request that was whole is answered all the same, because only reading ends; of a half one nothing is left.
    """

    def __init__(self, seconds: float = READ_DEADLINE_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._reading: dict[int, tuple[float, socket.socket]] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def limit(self, connection: socket.socket) -> Iterator[None]:
        """Hold a connection to the deadline, from now until the block ends."""
        with self._lock:
            self._reading[id(connection)] = (self._clock() + self._seconds, connection)
        try:
            yield
        finally:
            with self._lock:
                self._reading.pop(id(connection), None)

    def shut_overdue(self) -> None:
        """Shut what is overdue now."""
        now = self._clock()
        with self._lock:
            overdue = [connection for deadline, connection in self._reading.values() if deadline < now]
        for connection in overdue:
            with contextlib.suppress(OSError):  # it went away by itself
                connection.shutdown(socket.SHUT_RD)

    def watch(self) -> None:
        """Shut what is overdue, for ever; the target of a daemon thread."""
        while True:
            time.sleep(_LOOK_EVERY_S)
            self.shut_overdue()


class _Resumed:
    """What was read of a body, then the rest of it: as much of a WSGI input as the application uses."""

    def __init__(self, head: bytes, rest: Any) -> None:
        self._head = io.BytesIO(head)
        self._rest = rest

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, fewer only at the end; all that is left when `size` is negative."""
        head = self._head.read(size)
        missing = size - len(head)
        rest: bytes = self._rest.read() if size < 0 else self._rest.read(missing) if missing else b""
        return head + rest


class Buffered:
    """Reads a request's body before the request takes one of the application's places: a slow client holds none.

    Args:
        places: how many requests the application works on at once.
        most_bytes: of a body that are read so; whether more are too many, each route of the application knows.
    """

    def __init__(self, app: Flask, *, places: int, most_bytes: int) -> None:
        self._app = app
        self._places = threading.BoundedSemaphore(places)
        self._most_bytes = most_bytes

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        """Answer one request (WSGI)."""
        declared = int(environ.get("CONTENT_LENGTH") or 0)
        if declared <= self._most_bytes:  # else it may be refused by its header, unread
            head = environ["wsgi.input"].read(self._most_bytes)
            environ["wsgi.input"] = _Resumed(head, environ["wsgi.input"])
        with self._places:
            return self._app(environ, start_response)


class DeadlineWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """A threaded worker that slow clients cannot fill (R31).

    gunicorn gives a client that has begun its request all the time it wants, and a thread with it. Here requests are
    read in cheap threads, `READERS` more than the application has places, and each must be there by its deadline.
    """

    gateway: Gateway
    wsgi: Any  # what gunicorn calls; loaded after the fork

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadlines = ReadDeadlines()

    def init_process(self) -> None:
        """Start the watch, after the fork."""
        threading.Thread(target=self._deadlines.watch, name="gateway-slow-clients", daemon=True).start()
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application and put the buffer in front of it."""
        super().load_wsgi()
        self.gateway = self.wsgi.extensions[EXTENSION_KEY]
        settings = self.gateway.settings
        self.wsgi = Buffered(self.wsgi, places=settings.threads, most_bytes=settings.max_webhook_bytes)

    def handle(self, conn: Any) -> Any:
        """Handle one request of a connection, under the deadline."""
        with self._deadlines.limit(conn.sock):
            return super().handle(conn)


__all__ = [
    "READERS",
    "READ_DEADLINE_S",
    "Buffered",
    "DeadlineWorker",
    "ReadDeadlines",
    "Server",
    "address_of",
    "config_file",
    "listen",
    "prepare",
    "serve",
    "start_background",
    "stop_background",
]
