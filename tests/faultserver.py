"""A loopback HTTP server that misbehaves on purpose, on raw sockets, and counts what reached it.

    with FaultServer(reply(503, b"busy")) as server:
        ...                       # server.url is http://127.0.0.1:PORT
        assert len(server.posts) == 1

A script is called once per connection, after the request was read, and says what comes back; `FaultServer.script` may
be replaced between requests. `WIRE_FAULTS` are the scripts after which nobody can know what became of a request.
Scripts that wait end when the server closes. `Authority` makes certificates for `FaultServer(..., tls=...)`.
"""

from __future__ import annotations

import contextlib
import datetime
import gzip
import ipaddress
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import responses
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DRIP_PAUSE_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class Connection:
    """One accepted connection, in the hands of a script."""

    def __init__(self, sock: socket.socket, stopped: threading.Event) -> None:
        self._sock = sock
        self._stopped = stopped

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def drip(self, data: bytes) -> None:
        """Send byte by byte, slowly."""
        for index in range(len(data)):
            self._sock.sendall(data[index : index + 1])
            if self._stopped.wait(DRIP_PAUSE_S):
                return

    def hang(self) -> None:
        """Say nothing until the server closes."""
        self._stopped.wait()

    def reset(self) -> None:
        """Close with an RST instead of a FIN."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def say_goodbye(self) -> None:
        """End TLS in the proper way; without it the stream is just cut."""
        assert isinstance(self._sock, ssl.SSLSocket)
        with contextlib.suppress(OSError):  # the peer need not answer
            self._sock.unwrap()

    def read_request(self) -> Received | None:
        """Read one request with its body by content length; None when the peer closed first."""
        data = b""
        while b"\r\n\r\n" not in data:
            if not (piece := self._sock.recv(65536)):
                return None
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        while len(body) < length:
            body += self._sock.recv(65536)
        return Received(method=method, path=path, headers=headers, body=body)


Script = Callable[[Connection], None]


def reply(status: int, body: bytes = b"", *headers: tuple[str, str], length: int | None = None) -> Script:
    """Give a whole answer; `length` lies about the body's."""
    declared = str(len(body) if length is None else length)
    return raw(_head(status, *headers, ("Content-Length", declared)) + body)


def raw(data: bytes) -> Script:
    """Send exactly these bytes and close."""
    return lambda connection: connection.send(data)


def redirect(status: int, location: str) -> Script:
    return reply(status, b"", ("Location", location))


def reset_after(data: bytes = b"", wait_s: float = 0.0) -> Script:
    """Send these bytes, then reset the connection, after a while."""

    def script(connection: Connection) -> None:
        connection.send(data)
        time.sleep(wait_s)
        connection.reset()

    return script


def hang_after(data: bytes = b"") -> Script:
    """Send these bytes, then nothing more, with the connection open."""

    def script(connection: Connection) -> None:
        connection.send(data)
        connection.hang()

    return script


def drip_after(data: bytes, slowly: bytes) -> Script:
    """Send `data` at once and the rest byte by byte: each byte restarts a plain read timeout."""

    def script(connection: Connection) -> None:
        connection.send(data)
        connection.drip(slowly)
        connection.hang()

    return script


def _head(status: int, *headers: tuple[str, str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {responses.get(status, 'Odd')}",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


_OK = _head(200, ("Content-Type", "application/json"), ("Content-Length", "400"))
_CHUNKED = _head(200, ("Content-Type", "application/json"), ("Transfer-Encoding", "chunked"))
_BODY = b'{"id": "' + b"x" * 390 + b'"}'
_ZIPPED = gzip.compress(b"\0" * 1_000_000)

# After each of these nothing is known of the request: `OutcomeUnknown`. Bodies are limited to 1,000,000 bytes.
WIRE_FAULTS: dict[str, Script] = {
    "closed before the headers": raw(b""),
    "closed in the status line": raw(b"HTTP/1.1 20"),
    "closed in the headers": raw(b"HTTP/1.1 401 Unauthorized\r\nContent-Ty"),
    "closed after a header line": raw(b"HTTP/1.1 401 Unauthorized\r\nServer: x\r\n"),
    "closed in the body": raw(_OK + b'{"id":'),
    "closed in a chunk": raw(_CHUNKED + b"190\r\n" + b"x" * 100),
    "closed before the last chunk": raw(_CHUNKED + b"5\r\nhello\r\n"),
    "reset before the headers": reset_after(),
    "reset in the headers": reset_after(b"HTTP/1.1 200 OK\r\nContent-Ty"),
    "reset in the body": reset_after(_OK + b'{"id":'),
    "hang": hang_after(),
    "hang in the headers": hang_after(b"HTTP/1.1 200 OK\r\n"),
    "hang in the body": hang_after(_OK + b'{"id":'),
    "hang in a body without length": hang_after(_head(200) + b'{"id": "x"}'),
    "drip in the headers": drip_after(b"", _OK + _BODY),
    "drip in the body": drip_after(_OK, _BODY),
    "drip in chunks": drip_after(_CHUNKED, b"1\r\nx\r\n" * 200),
    "endless 100 Continue": drip_after(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    "not HTTP": raw(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n"),
    "another protocol version": raw(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "a status that is no number": raw(b"HTTP/1.1 OK 200\r\nContent-Length: 0\r\n\r\n"),
    "an interim status": raw(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "a header without a colon": raw(b"HTTP/1.1 200 OK\r\ngarbage\r\nContent-Length: 2\r\n\r\n{}"),
    "two content lengths": raw(_head(200, ("Content-Length", "2"), ("Content-Length", "3")) + b"{}x"),
    "a length that is no number": raw(_head(200, ("Content-Length", "two")) + b"{}"),
    "a negative length": raw(_head(200, ("Content-Length", "-1")) + b"{}"),
    "a length and chunks": raw(
        _head(200, ("Content-Length", "2"), ("Transfer-Encoding", "chunked")) + b"2\r\n{}\r\n0\r\n\r\n"
    ),
    "another transfer encoding": raw(
        _head(200, ("Transfer-Encoding", "gzip, chunked")) + b"2\r\n{}\r\n0\r\n\r\n"
    ),
    "a chunk size that is no number": raw(_CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"),
    "a negative chunk size": raw(_CHUNKED + b"-1\r\n{}\r\n0\r\n\r\n"),
    "a chunk longer than its size": raw(_CHUNKED + b"2\r\n{}and more\r\n0\r\n\r\n"),
    "an enormous chunk": raw(_CHUNKED + b"7fffffffffffffff\r\n{}"),
    "a header line of 100 kB": raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"),
    "a thousand headers": raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"),
    "100 MB declared": raw(_head(200, ("Content-Length", "100000000")) + b"x" * 1000),
    "too large, without length": raw(_head(200) + b"x" * 1_100_000),
    "too large, in chunks": raw(_CHUNKED + b"10000\r\n" + (b"x" * 65536 + b"\r\n10000\r\n") * 20),
    "too large, in chunk extensions": raw(
        _CHUNKED + (b"1;" + b"x" * 60_000 + b"\r\ny\r\n") * 30 + b"0\r\n\r\n"
    ),
    "compressed bomb": reply(200, _ZIPPED, ("Content-Encoding", "gzip")),
    "compressed refusal": reply(401, gzip.compress(b"{}"), ("Content-Encoding", "gzip")),
}


class FaultServer:
    """Runs `script` on every connection, each in a thread of its own, and keeps the requests.

    Args:
        script: what comes back.
        tls: serve TLS; a failed handshake counts as a connection without a request.
        reads_request: False calls the script right after the connection is accepted.
    """

    def __init__(
        self, script: Script, *, tls: ssl.SSLContext | None = None, reads_request: bool = True
    ) -> None:
        self.script = script
        self.requests: list[Received] = []
        self.connections = 0
        self._tls = tls
        self._reads_request = reads_request
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def posts(self) -> list[Received]:
        return [request for request in self.requests if request.method == "POST"]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        with contextlib.suppress(OSError):  # wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, sock)

    def _serve(self, plain: socket.socket) -> None:
        sock = plain
        try:
            plain.settimeout(10)
            if self._tls is not None:
                sock = self._tls.wrap_socket(plain, server_side=True)
            self._converse(Connection(sock, self._stopped))
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):  # closing with unread bytes would reset what was sent
                pass
        except OSError:
            pass  # the client went away, or the handshake failed as intended
        finally:
            sock.close()

    def _converse(self, connection: Connection) -> None:
        if self._reads_request:
            request = connection.read_request()
            if request is None:
                return
            self.requests.append(request)
        self.script(connection)


def refused_url() -> str:
    """Return the URL of a loopback port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


class Authority:
    """A made-up certificate authority; `ca_file` is what a client must trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Made-up authority {folder.name}")])
        self._issued = 0
        certificate = self._builder(self._name, self._key.public_key(), days=30).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        ca_file = folder / "ca.pem"
        ca_file.write_bytes(
            certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        self.ca_file = str(ca_file)

    def server_context(self, name: str = "127.0.0.1", *, days: int = 30) -> ssl.SSLContext:
        """Return a server's context with a certificate for `name`; negative `days`: it expired that long ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([_general_name(name)])
        certificate = self._builder(subject, key.public_key(), days=days).add_extension(names, critical=False)
        self._issued += 1
        path = self._folder / f"server-{self._issued}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=60))
            .not_valid_after(now + datetime.timedelta(days=days))
        )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
