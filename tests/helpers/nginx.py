"""A real quota for tests: nginx with `limit_req`, which answers what is too much with 429.

Where nginx is not there, `missing` says so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

STARTS = 30.0  # s in which it has to be there

CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/errors crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    limit_req_zone $binary_remote_addr zone=all:1m rate={rate}r/s;
    limit_req_status 429;
    server {{
        listen 127.0.0.1:{port};
        root {folder};
        location / {{ limit_req zone=all{burst}; }}
    }}
}}
"""


def _program() -> str | None:
    """Where it is: often in a folder that only the administrator's PATH has."""
    path = os.environ.get("PATH", os.defpath)
    return shutil.which("nginx", path=os.pathsep.join([path, "/usr/sbin", "/sbin"]))


def missing() -> str:
    """What is not there; "" if all is."""
    return "" if _program() else "nginx is not installed"


@contextlib.contextmanager
def nginx(folder: Path, rate: int, burst: int) -> Iterator[str]:
    """A server that takes so many requests a second, and `burst` more at once; its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "ok").write_text("ok\n")
    words = f" burst={burst} nodelay" if burst else ""
    text = CONFIGURATION.format(folder=folder, rate=rate, port=port, burst=words)
    (folder / "nginx.conf").write_text(text)
    server = subprocess.Popen(
        [str(_program()), "-c", str(folder / "nginx.conf"), "-e", str(folder / "errors")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        _wait(server, port)
        yield f"http://127.0.0.1:{port}/ok"
    finally:
        server.terminate()
        server.communicate(timeout=STARTS)


def _wait(server: subprocess.Popen[str], port: int) -> None:
    """Until it listens."""
    until = time.monotonic() + STARTS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            if server.poll() is not None or time.monotonic() > until:
                server.kill()
                raise AssertionError(server.communicate()[0]) from None
            time.sleep(0.05)
