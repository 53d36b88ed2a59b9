"""A web host on this machine that serves one payload, well or badly."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Host:
    """Content and manner of serving, and the ranges that were asked for."""

    payload: bytes
    breaks_after: int | None = None
    """Bytes of an answer after which the connection is closed."""
    ranges: bool = True
    """Serve ranges, so that a download can go on in the middle."""
    status: int = 200
    pause: float = 0.0
    """Seconds between two pieces of 1,000 bytes."""
    speaks_http: bool = True
    length: str = "true"
    """The Content-Length: the true one, none, or whatever is said."""
    silent: str = ""
    """Before what it falls silent until it is released: the head or the body."""
    released: threading.Event = field(default_factory=threading.Event)
    sent: int = 0
    """Bytes that it has got rid of."""
    address: str = ""
    asked: list[str | None] = field(default_factory=list)


@contextlib.contextmanager
def serving(host: Host) -> Iterator[Host]:
    """Serve on a free port of 127.0.0.1 while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, host)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    host.address = f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz"
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(request: BaseHTTPRequestHandler, host: Host) -> None:
    asked = request.headers.get("Range")
    host.asked.append(asked)
    if not host.speaks_http:
        request.wfile.write(b"220 smtp ready\r\n\r\n")
        return
    if host.status != 200:
        request.send_error(host.status)
        return
    start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and host.ranges else 0
    if start >= len(host.payload):
        request.send_error(416)
        return
    body = host.payload[start:]
    with contextlib.suppress(ConnectionError):  # who has seen enough hangs up
        if host.silent == "head":
            host.released.wait(30)
        request.send_response(206 if start else 200)
        if host.length != "none":
            request.send_header("Content-Length", str(len(body)) if host.length == "true" else host.length)
        request.end_headers()
        if host.silent == "body":
            host.released.wait(30)
        body = body if host.breaks_after is None else body[: host.breaks_after]
        step = 1000 if host.pause else 1 << 16
        for at in range(0, len(body), step):
            request.wfile.write(body[at : at + step])
            host.sent += step
            time.sleep(host.pause)
