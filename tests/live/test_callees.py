"""`tpssim live --url`: what is sent, how long a call may take, what an answer means, what is
refused.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import gzip
import json
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers.raw_server import Serve, answering, raw_server, request_of

from tpssim import InputError, Rejected, arun, run
from tpssim.cli.main import main
from tpssim.live import callees
from tpssim.live.callees.addresses import address, masked

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HOW = ["blocking", "async"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def failures(
    how: str, request: callees.Request, timeout: float | None, n: int = 1
) -> dict[str, int]:
    """What goes wrong in `n` calls, one after the other."""
    if how == "blocking":
        with callees.url(request, timeout, 1) as call:
            return run(call, range(n), 1000.0, workers=0).failures

    async def main() -> dict[str, int]:
        async with callees.async_url(request, timeout) as call:
            return (await arun(call, range(n), 1000.0, max_in_flight=1)).failures

    return asyncio.run(main())


def asked(how: str, path: str, **options: Any) -> tuple[str, dict[str, str], bytes]:
    """Request line, headers and body as a server gets them."""
    seen: list[bytes] = []
    with raw_server(answering(OK, seen)) as port:
        where = path.replace("PLACE", f"127.0.0.1:{port}")
        assert failures(how, callees.Request(where, **options), 10.0) == {}
    head, _, body = seen[0].partition(b"\r\n\r\n")
    line, *rest = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (text.partition(":") for text in rest)
    }
    assert len(headers) == len(rest), "each header once"
    return line, {name: value.replace(str(port), "PORT") for name, value in headers.items()}, body


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://PLACE", {}),
        ("http://PLACE/a?token=X&b=%7e+c%2fd#part", {}),
        ("http://PLACE/ä/../%zz/|\"?q=ö'{}", {}),
        ("http://me:p%40ss%3A@PLACE/", {}),
        ("http://me@PLACE/", {}),
        ("http://PLACE/", {"method": "post", "data": "name=ö"}),
        ("http://PLACE/", {"method": "PUT", "data": ""}),
        (
            "http://PLACE/",
            {"headers": {"user-agent": "mine", "X-A": "b c", "accept-encoding": "gzip"}},
        ),
    ],
)
def test_blocking_and_asynchronous_calls_send_the_same(url: str, options: dict[str, Any]) -> None:
    blocking, asynchronous = (asked(how, url, **options) for how in HOW)
    assert blocking == asynchronous


def test_what_is_sent() -> None:
    line, headers, body = asked(
        "blocking", "http://me:p%40ss@PLACE/a%2fb?x=ü", method="POST", data="ö"
    )
    assert line == "POST /a%2Fb?x=%C3%BC HTTP/1.1"
    assert headers["authorization"] == f"Basic {base64.b64encode(b'me:p@ss').decode()}"
    assert headers["host"] == "127.0.0.1:PORT"
    assert headers["content-length"] == "2"
    assert "content-type" not in headers
    assert body == "ö".encode()


def test_cookies_of_an_answer_are_not_sent_back() -> None:
    for how in HOW:
        seen: list[bytes] = []
        with raw_server(
            answering(OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n"), seen)
        ) as port:
            assert failures(how, callees.Request(f"http://localhost:{port}/"), 10.0, 2) == {}
        assert len(seen) == 2
        assert b"cookie" not in seen[1].lower()


def dripping(before: bytes, drop: bytes) -> Serve:
    """Says something, and then a little, again and again."""

    def serve(connection: socket.socket, over: threading.Event) -> None:
        request_of(connection)
        connection.sendall(before)
        while not over.wait(0.05):
            connection.sendall(drop)

    return serve


def silent(connection: socket.socket, over: threading.Event) -> None:
    over.wait(60.0)


NEVER = {
    "silence": silent,
    "a body that drips": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
    "a body without an end": dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000),
    "chunks without an end": dripping(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"
    ),
    "the length of a chunk that drips": dripping(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"
    ),
    "trailers without an end": dripping(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A"
    ),
    "a status that drips": dripping(b"HTTP/1.1 200 ", b"O"),
    "a header that drips": dripping(b"HTTP/1.1 200 OK\r\nA: ", b"b"),
    "informational answers without an end": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", NEVER)
def test_one_deadline_bounds_the_whole_call(kind: str, how: str) -> None:
    """A drop each 0.05 s is no silence to a timeout of each read: the call would never end."""
    with raw_server(NEVER[kind]) as port:
        found = failures(how, callees.Request(f"http://127.0.0.1:{port}/"), 0.4)
    assert found == {"TimeoutError: no whole answer within 0.4 s": 1}


@pytest.mark.parametrize("how", HOW)
def test_headers_without_an_end_are_no_answer(how: str) -> None:
    def endless(connection: socket.socket, over: threading.Event) -> None:
        request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not over.is_set():
            connection.sendall(b"A: b\r\n" * 1000)

    with raw_server(endless) as port:
        ((found, n),) = failures(how, callees.Request(f"http://127.0.0.1:{port}/"), 20.0).items()
    assert (found, n) == ("CallFailed: the answer is no HTTP", 1)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_request_that_nobody_reads_ends_too(how: str) -> None:
    """aiohttp leaves such a connection to the event loop, and so open until nobody knows it any
    more.
    """
    request = callees.Request("http://127.0.0.1:PORT/", "POST", {}, "x" * 20_000_000)
    with raw_server(silent) as port:
        found = failures(how, request._replace(url=f"http://127.0.0.1:{port}/"), 0.4)
        gc.collect()
    assert found == {"TimeoutError: no whole answer within 0.4 s": 1}


@pytest.mark.parametrize("how", HOW)
def test_after_a_deadline_the_next_call_gets_its_own_answer(how: str) -> None:
    calls = iter(range(10))

    def serve(connection: socket.socket, over: threading.Event) -> None:
        while request_of(connection):
            if next(calls) == 0:
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nHTTP/1.1 404 Not Found"
                )
            else:
                connection.sendall(OK)

    with raw_server(serve) as port:
        found = failures(how, callees.Request(f"http://127.0.0.1:{port}/"), 0.4, 3)
    assert found == {"TimeoutError: no whole answer within 0.4 s": 1}


SMALL = """
import asyncio, resource, sys
from tpssim import arun, run
from tpssim.live import callees

how, port = sys.argv[1:]
request = callees.Request(f"http://127.0.0.1:{port}/", headers={"Accept-Encoding": "gzip"})
if how == "blocking":
    with callees.url(request, 60.0, 1) as call:
        run(call, range(1), 10.0, workers=0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        done = run(call, range(3), 1000.0, workers=0)
else:
    async def main():
        async with callees.async_url(request, 60.0) as call:
            await arun(call, range(1), 10.0)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return before, await arun(call, range(3), 1000.0, max_in_flight=1)
    before, done = asyncio.run(main())
assert done.report.ok == 3, done
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts memory in KiB")
@pytest.mark.parametrize("how", HOW)
def test_a_body_takes_no_memory(how: str) -> None:
    """Three answers of 100 MB, one of them after it is inflated; the process may grow by 30."""
    piece = b"x" * 1_000_000
    bomb = gzip.compress(piece * 100, 6)
    calls = iter(range(10))

    def serve(connection: socket.socket, over: threading.Event) -> None:
        while request_of(connection):
            call = next(calls)
            if call == 0:
                connection.sendall(OK)
            elif call == 1:
                head = (
                    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length:"
                    f" {len(bomb)}\r\n\r\n"
                )
                connection.sendall(head.encode() + bomb)
            elif call == 2:
                connection.sendall(CHUNKED)
                for _ in range(100):
                    connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                connection.sendall(b"0\r\n\r\n")
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
                for _ in range(100):
                    connection.sendall(piece)

    with raw_server(serve) as port:
        done = subprocess.run(
            [sys.executable, "-c", SMALL, how, str(port)],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 30_000


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_deadline_holds_for_an_encrypted_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handshake that nobody answers, and a body that drips, with a certificate of the test's
    own.
    """
    subprocess.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj"
        " /CN=localhost -addext subjectAltName=DNS:localhost",
        shell=True,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("cert", "key")
    drips = NEVER["a body that drips"]

    def encrypted(connection: socket.socket, over: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as inner:
            drips(inner, over)

    def good(connection: socket.socket, over: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as inner:
            answering(OK)(inner, over)

    for how in HOW:
        with raw_server(silent) as port:
            found = failures(how, callees.Request(f"https://localhost:{port}/"), 0.4)
            # asyncio leaves the socket of a handshake that was cut off to the collector
            gc.collect()
        assert found == {"TimeoutError: no whole answer within 0.4 s": 1}
        with raw_server(good) as port:  # nobody has signed it
            ((found_, _),) = failures(
                how, callees.Request(f"https://localhost:{port}/"), 10.0
            ).items()
        assert found_ == "CallFailed: the certificate is not good: self-signed certificate"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
    for how in HOW:
        with raw_server(good) as port:
            assert failures(how, callees.Request(f"https://localhost:{port}/"), 10.0, 3) == {}
        with raw_server(encrypted) as port:
            found = failures(how, callees.Request(f"https://localhost:{port}/"), 0.4)
            gc.collect()
        assert found == {"TimeoutError: no whole answer within 0.4 s": 1}


@pytest.mark.parametrize("how", HOW)
def test_a_failure_is_said_in_words_of_ours(how: str) -> None:
    said = {
        b"": "the service closed the connection without an answer",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx": "the answer broke off",
        b"nonsense\r\n\r\n": "the answer is no HTTP",
    }

    def saying(answer: bytes) -> Serve:
        def serve(connection: socket.socket, over: threading.Event) -> None:
            request_of(connection)
            connection.sendall(answer)

        return serve

    for answer, words in said.items():
        with raw_server(saying(answer)) as port:
            found = failures(how, callees.Request(f"http://127.0.0.1:{port}/?token=X"), 10.0)
        assert found == {f"CallFailed: {words}": 1}
    found = failures(how, callees.Request(f"http://127.0.0.1:{port}/?token=X"), 10.0)
    assert found == {"CallFailed: Connection refused": 1}


def test_an_address_of_the_sixth_version() -> None:
    try:
        with raw_server(answering(OK), socket.AF_INET6) as port:
            for how in HOW:
                assert failures(how, callees.Request(f"http://[::1]:{port}/"), 10.0) == {}
            assert (
                main(
                    [
                        "live",
                        "--url",
                        f"http://[::1]:{port}/",
                        *["--tps", "50", "--total", "2", "--quiet"],
                    ]
                )
                == 0
            )
    except OSError:
        pytest.skip("no address of that kind here")
    assert [path.name for path in Path("results").iterdir()] == [f"live-__1_{port}"]


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("http://[::1", "an invalid host"),
        ("http://h:99999/", "an invalid port"),
        ("http://h:0/", "an invalid port"),
        ("http://h:x/", "an invalid port"),
        ("http://a b/", "a space or a control character"),
        ("http://h/a b", "a space or a control character"),
        ("http://h/a\nb", "a space or a control character"),
        ("http://h/\x1b[31m", "a space or a control character"),
        ("\thttp://h/", "a space or a control character"),
        ("http://", "no host"),
        ("http:///a", "no host"),
        ("http://?a", "no host"),
        ("http://a..b/", "an invalid host"),
        ("http://-/", "an invalid host"),
        ("http://[127.0.0.1]/", "an invalid host"),
        (f"http://{'a' * 64}.org/", "an invalid host"),
        ("http:/h/", "allowed: http://... or https://..."),
        ("h/", "allowed: http://... or https://..."),
        ("", "allowed: http://... or https://..."),
        ("ws://h/", "allowed: http://... or https://..."),
        ("file:///etc/passwd", "allowed: http://... or https://..."),
    ],
)
def test_a_malformed_url_is_refused_at_the_start(
    url: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["live", "--url", url, "--tps", "5", "--total", "1", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert wrong in error
    assert error.count("\n") == 1
    assert error.isprintable() or error[:-1].isprintable()
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--header", "Bearer SECRET"], "a --header without a name and a colon"),
        (["--header", ": SECRET"], "a --header without a name and a colon"),
        (["--header", "A b: SECRET"], "a header's name is no word"),
        (["--header", "A: SECRET\r\nB: c"], "header 'A' holds what no header may"),
        (["--header", "A: SECRET\0"], "header 'A' holds what no header may"),
        (["--header", "A: SECRETé"], "header 'A' holds what no header may"),
        (["--header", "A: 1", "--header", "A: SECRET"], "header 'A' is given twice"),
        (["--header", "A: 1", "--header", "a: SECRET"], "header 'a' is given twice"),
        (["--header", "Content-Length: 5"], "header 'Content-Length' follows from --data"),
        (["--header", "Transfer-Encoding: chunked"], "follows from --data"),
        (["--method", "GET / HTTP/1.1"], "method 'GET / HTTP/1.1'; allowed: a word"),
        (["--method", ""], "method ''; allowed: a word"),
        (["--method", "CONNECT"], "asks a proxy"),
    ],
)
def test_a_request_that_cannot_be_sent_is_refused_without_its_secrets(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["live", "--url", "http://127.0.0.1:9/", "--tps", "5", "--quiet", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "SECRET" not in error
    assert error.count("\n") == 1


def test_credentials_in_both_places_are_refused() -> None:
    with pytest.raises(InputError, match="credentials in the URL and a header 'Authorization'"):
        callees.check_request(callees.Request("http://me:pw@h/", headers={"authorization": "x"}))


def test_a_url_that_cannot_be_read_is_shown_without_what_may_be_secret() -> None:
    for url in (
        "http://u:SECRET@[::1/",
        "http://u:SECRET?x@h/",
        "http://h:x/?SECRET",
        "http://u:SECRET",
    ):
        with pytest.raises(InputError) as caught:
            address(url)
        assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see http://h/a?b=SECRET.", "see http://h/a?***."),
        ("url: /a?b=SECRET (Caused by x)", "url: /a?*** (Caused by x)"),
        ("URL('https://u:SECRET@h:443/a;s=SECRET#SECRET')", "URL('https://***@h/a;***')"),
        ("Authorization: Bearer SECRET", "Authorization: Bearer ***"),
        ("what? nothing", "what? nothing"),
        ("http://[SECRET", "***"),
    ],
)
def test_secrets_of_urls_are_masked_in_messages(text: str, shown: str) -> None:
    assert masked(text) == shown


def redirecting(status: int, location: str) -> Serve:
    return answering(
        f"HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    )


@pytest.mark.parametrize("how", [[], ["--async"]])
def test_redirects_are_said_and_a_run_of_them_has_failed(
    how: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--tps", "100", "--total", "5", "--quiet", "--out", "out", *how]
    with raw_server(
        redirecting(302, "https://u:SECRET@other.org/login;s=SECRET?t=SECRET#SECRET")
    ) as port:
        assert main(["live", "--url", f"http://127.0.0.1:{port}/", *words]) == 1
    said = capsys.readouterr()
    place = "302 to https://other.org/login"
    assert f"5 times Redirected: HTTP {place}, which is not followed" in said.out
    assert f"all 5 answers were {place}; no redirect is followed" in said.out
    assert "none of the 5 calls succeeded" in said.err
    assert json.loads(Path("out/summary.json").read_text())["redirects"] == {place: 5}
    assert "SECRET" not in said.out + said.err


@pytest.mark.parametrize("how", [[], ["--async"]])
def test_of_a_post_302_says_that_it_was_done(
    how: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--method", "POST", "--data", "a=b", "--tps", "100", "--total", "5", "--quiet", *how]
    for status, code in ((302, 0), (303, 0), (307, 1), (301, 1)):
        with raw_server(redirecting(status, "/done?id=SECRET")) as port:
            assert main(["live", "--url", f"http://127.0.0.1:{port}/a", *words]) == code
        said = capsys.readouterr().out
        assert f"all 5 answers were {status} to http://127.0.0.1:{port}/done; no redirect" in said


@pytest.mark.parametrize("location", ["", "http://[", "\x1b[31m", "//", "http://h:99999/"])
def test_an_odd_place_to_go_is_no_accident(location: str) -> None:
    for how in HOW:
        with raw_server(redirecting(302, location)) as port:
            ((found, n),) = failures(
                how, callees.Request(f"http://127.0.0.1:{port}/"), 10.0, 2
            ).items()
        assert n == 2
        assert found.isprintable()


def test_many_places_are_counted_together() -> None:
    seen = callees.Redirects()
    for k in range(100):
        seen.add(f"302 to http://h/{k}")
    assert len(seen.all()) == 11
    assert seen.all()["302 to other places"] == 90


@pytest.mark.parametrize(
    "what", [["--command", "exit 3"], ["--url", "http://127.0.0.1:9/"], ["--call", "calls.py:bad"]]
)
def test_a_run_in_which_nothing_succeeded_has_failed(
    what: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("calls.py").write_text("def bad(k):\n    raise ValueError('see http://h/?token=SECRET')\n")
    assert main(["live", *what, "--tps", "100", "--total", "3", "--quiet", "--out", "out"]) == 1
    said = capsys.readouterr()
    assert said.err == "tpssim: none of the 3 calls succeeded, so this run has failed\n"
    assert json.loads(Path("out/summary.json").read_text())["failed"] == [
        "none of the 3 calls succeeded"
    ]
    assert "SECRET" not in said.out
    assert b"SECRET" not in Path("out/summary.json").read_bytes()


def test_the_default_deadline_of_a_url_stands_in_the_results() -> None:
    with raw_server(answering(OK)) as port:
        words = [
            "live",
            "--url",
            f"http://127.0.0.1:{port}/",
            "--tps",
            "100",
            "--total",
            "2",
            "--quiet",
        ]
        assert main([*words, "--out", "out"]) == 0
        assert "--timeout 30.0 " in json.loads(Path("out/summary.json").read_text())["command"]
        assert main([*words, "--out", "out", "--timeout", "inf"]) == 0
        assert "--timeout inf " in json.loads(Path("out/summary.json").read_text())["command"]


@pytest.mark.parametrize(
    ("how", "end"),
    [
        ([], ["--seconds", "0.3"]),
        (["--workers", "2"], ["--total", "1"]),
        (["--async"], ["--seconds", "0.3"]),
    ],
)
def test_it_says_what_it_waits_for_and_how_to_stop(
    how: list[str], end: list[str], here: Path
) -> None:
    with raw_server(silent) as port:
        words = ["live", "--url", f"http://127.0.0.1:{port}/", "--tps", "5", "--quiet", *how, *end]
        child = subprocess.Popen(
            [sys.executable, "-m", "tpssim", *words], stderr=subprocess.PIPE, text=True, cwd=here
        )
        assert child.stderr is not None
        said = child.stderr.readline()
        assert said.startswith(
            "tpssim: its time is over; "
            if "--seconds" in end
            else "tpssim: all calls are released; "
        )
        assert "in hand" in said
        assert said.endswith("waited for, each at most 30 s; Ctrl-C twice ends it at once\n")
        child.send_signal(signal.SIGINT)
        assert "a second one ends it at once" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60.0)
        assert child.returncode == 130
    assert not [path.name for path in (here / "results").iterdir() if "lock" in path.name]


def test_folders_are_named_by_host_and_path() -> None:
    long = "a" * 300
    urls = [
        "http://u:SECRET@127.0.0.1:PORT/a/b/?SECRET",
        f"http://127.0.0.1:PORT/{long}",
        "http://localhost:PORT/",
    ]
    with raw_server(answering(OK)) as port:
        for url in urls:
            url = url.replace("PORT", str(port))
            assert main(["live", "--url", url, *["--tps", "100", "--total", "1", "--quiet"]]) == 0
    plain, named, cut = sorted((path.name for path in Path("results").iterdir()), key=len)
    assert {plain, named} == {f"live-127.0.0.1_{port}_a_b", f"live-localhost_{port}"}
    assert len(cut) == 60
    assert cut.startswith(f"live-127.0.0.1_{port}_aaa")
    assert address("http://h:80/").place == address("http://H/").place == "h"


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(
    ("header", "wait"),
    [(b"Retry-After: 7\r\n", 7.0), (b"retry-after: soon\r\n", None), (b"", None)],
)
def test_a_refusal_says_when_to_come_back(how: str, header: bytes, wait: float | None) -> None:
    answer = b"HTTP/1.1 429 Too Many Requests\r\n" + header + b"Content-Length: 0\r\n\r\n"

    def asks(port: int) -> None:
        request = callees.Request(f"http://127.0.0.1:{port}/")
        if how == "blocking":
            with callees.url(request, 10.0, 1) as call:
                call(0)

        async def main() -> None:
            async with callees.async_url(request, 10.0) as call:
                await call(0)

        asyncio.run(main())

    with raw_server(answering(answer, [])) as port, pytest.raises(Rejected) as caught:
        asks(port)
    assert caught.value.retry_after == wait
    assert str(caught.value) == ("HTTP 429" if wait is None else "HTTP 429 with Retry-After")
