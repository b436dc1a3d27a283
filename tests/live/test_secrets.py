"""What is secret of a request stands in nothing that a live run makes or says, in no form."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import threading
import urllib.parse
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.raw_server import Serve, answering, raw_server, request_of

from tpssim.cli.main import main

#: Each in a place of its own. Letters that percent-encoding changes, so that the forms differ.
SECRETS = {
    "user": "us3r/näme of it",
    "password": "pa55:w@rd!",
    "query": "qu3ry&välue",
    "parameter": "p4rameter/value",
    "fragment": "fr4gment",
    "header": "he4der_value/==",
    "cookie": "c00kie_value",
    "body": "b0dy välue\n2",
    "location": "l0cation+value",
    "place": "pl4ce user",
    "answer": "an5wer body",
}


def forms(secret: str) -> Iterator[bytes]:
    """A secret as it may be found: plain, percent-encoded once and twice, base64 at each of its
    offsets.
    """
    raw = secret.encode()
    yield raw
    yield json.dumps(secret)[1:-1].encode()
    for safe in ("/", ""):
        once = urllib.parse.quote(secret, safe)
        yield once.encode()
        yield once.lower().encode()
        yield urllib.parse.quote(once, "").encode()
    yield urllib.parse.quote_plus(secret).encode()
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + raw)
        # what does not depend on its neighbours
        yield coded[(0, 2, 3)[before] : len(coded) // 4 * 4 - 4]


def unpacked(data: bytes) -> Iterator[bytes]:
    """A file's bytes, and the texts of a PNG."""
    yield data
    at = data.find(b"\x89PNG\r\n\x1a\n")
    if at != 0:
        return
    at = 8
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        chunk = data[at + 8 : at + 8 + size]
        at += 12 + size
        if kind == b"zTXt":
            yield zlib.decompress(chunk.partition(b"\0")[2][1:])
        elif kind == b"iTXt":
            _, _, rest = chunk.partition(b"\0")
            text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
            yield zlib.decompress(text) if rest[0] else text


def given_away(texts: dict[str, bytes], folder: Path) -> list[tuple[str, str]]:
    """(secret, where it is found)."""
    found = dict(texts)
    for path in folder.rglob("*"):
        found[f"name of {path}"] = str(path.relative_to(folder)).encode()
        if path.is_file():
            for k, text in enumerate(unpacked(path.read_bytes())):
                found[f"{path} ({k})"] = text
    return [
        (name, where)
        for name, secret in SECRETS.items()
        for form in forms(secret)
        if len(form) > 7  # shorter ones are found anywhere by chance
        for where, text in found.items()
        if form in text
    ]


def tpssim(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """A process of its own, as a user starts it: with its panel, and whatever asyncio has to
    say.
    """
    return subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore", "-m", "tpssim", *words],
        cwd=folder,
        capture_output=True,
        timeout=120,
    )


def url(port: int) -> str:
    quoted = {name: urllib.parse.quote(secret, "") for name, secret in SECRETS.items()}
    return (
        f"http://{quoted['user']}:{quoted['password']}@127.0.0.1:{port}/path"
        f";s={quoted['parameter']}"
        f"?token={quoted['query']}#{quoted['fragment']}"
    )


OPTIONS = [
    "--method",
    "POST",
    "--data",
    f"password={SECRETS['body']}",
    "--header",
    f"X-Key: {SECRETS['header']}",
    "--header",
    f"Cookie: a={SECRETS['cookie']}",
    "--tps",
    "40",
    "--total",
    "8",
]
HEAD = "HTTP/1.1 {} X\r\nLocation: http://{}@h/p;s={}?token={}\r\nSet-Cookie: a={}\r\n"
BAD = HEAD + "Content-Length: 11\r\n\r\n{}"


def answer(status: int) -> bytes:
    place, location = (urllib.parse.quote(SECRETS[name], "") for name in ("place", "location"))
    cookie = SECRETS["cookie"]
    return BAD.format(status, place, location, location, cookie, SECRETS["answer"]).encode()


def closing(connection: socket.socket, over: threading.Event) -> None:
    """Says nothing."""


def damaged(connection: socket.socket, over: threading.Event) -> None:
    """Once; a client that takes the rest for a body reads to the end of the connection."""
    request_of(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nbad header\r\nContent-Length: 0\r\n\r\n")


SERVICES: dict[str, Serve] = {
    "well": answering(answer(200)),
    "redirects": answering(answer(307)),
    "refuses": answering(answer(429)),
    "fails": answering(answer(500)),
    "nonsense": answering(b"no HTTP\r\n\r\n"),
    "a header too long": answering(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70000 + b"\r\n\r\n"),
    "a bad header": damaged,
    "nothing": closing,
}


@pytest.mark.parametrize(
    "how", [[], ["--workers", "2"], ["--async"]], ids=["blocking", "pool", "async"]
)
def test_no_artefact_and_no_message_gives_a_secret_away(
    how: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*OPTIONS, *how, "--quiet"]
    for kind, serve in SERVICES.items():
        with raw_server(serve) as port:
            assert main(["live", "--url", url(port), *words]) == (
                kind not in ("well", "a bad header") or (kind != "well" and how == ["--async"])
            ), kind
    assert main(["live", "--url", url(port), *words, "--json"]) == 1  # nobody is there now
    with raw_server(SERVICES["well"]) as port:
        assert main(["live", "--url", url(port), *words, "--out", "well"]) == 0
    assert main(["report", "well"]) == 0
    assert main(["replay", "well/recording.ndjson", "--controllers", "aimd"]) == 0
    said = capfd.readouterr()
    assert said.out.count("Written to results/live-127.0.0.1_") == len(SERVICES)
    assert {path.suffix for path in tmp_path.rglob("*")} >= {
        *(".png", ".html", ".json", ".ndjson", ".csv", ".npz")
    }
    assert given_away({"stdout": said.out.encode(), "stderr": said.err.encode()}, tmp_path) == []


@pytest.mark.parametrize("kind", ["redirects", "a bad header"])
def test_a_process_of_its_own_says_nothing_more(kind: str, tmp_path: Path) -> None:
    with raw_server(SERVICES[kind]) as port:
        done = tpssim(tmp_path, "live", "--url", url(port), *OPTIONS, "--async")
    assert b"Written to results/live-127.0.0.1_" in done.stdout
    assert given_away({"stdout": done.stdout, "stderr": done.stderr}, tmp_path) == []


@pytest.mark.parametrize(
    "words",
    [
        ["live", "--url", "http://u:{0}@[::1/?{0}", "--tps", "5"],
        ["live", "--url", "http://h:99999/?{0}", "--tps", "5"],
        ["live", "--url", "http://u:{0}@h/", "--header", "{0}", "--tps", "5"],
        [
            "live",
            "--url",
            "http://u:{0}@h/?{0}",
            "--header",
            "A: {0}\r",
            "--data",
            "{0}",
            "--tps",
            "5",
        ],
        ["live", "--url", "http://u:{0}@h/?{0}", "--data", "{0}", "--tps", "-5"],
        ["live", "--url", "http://u:{0}@h/?{0}", "--body", "{0}", "--tps", "5"],
        ["live", "--url", "http://u:{0}@h/?{0}", "--headers={0}", "--tps", "5"],
        ["live", "http://u:{0}@h/?{0}", "--tps", "5"],
        ["live", "--command", "curl -u {0}", "--method", "POST", "--tps", "5"],
    ],
)
def test_no_refusal_gives_a_secret_away(
    words: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([word.format("SECRET") for word in words]) == 2
    said = capfd.readouterr()
    assert said.err.count("\n") == 1
    assert "SECRET" not in said.out + said.err


def test_a_shell_command_is_named_by_its_program(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("send.sh").write_text("#!/bin/sh\n")
    Path("send.sh").chmod(0o755)
    for command, name in (
        ("TOKEN=SECRET /bin/echo -H 'Authorization: SECRET'", "live-echo"),
        ("./send.sh", "live-._send.sh"),
    ):
        assert main(["live", "--command", command, "--tps", "40", "--total", "2"]) == 0
        said = capfd.readouterr()
        assert f"Written to results/{name}" in said.out
        assert "SECRET" not in said.out + said.err
    for path in tmp_path.rglob("*"):
        assert "SECRET" not in path.name
        if path.is_file():
            assert not any(b"SECRET" in text for text in unpacked(path.read_bytes()))


def test_the_test_finds_what_it_looks_for(tmp_path: Path) -> None:
    """In each form, and in the compressed texts of a picture."""
    import matplotlib.figure

    for k, secret in enumerate(SECRETS.values()):
        raw = secret.encode()
        for j, text in enumerate(
            (raw, urllib.parse.quote(secret, "").encode(), base64.b64encode(b"me:" + raw + b"x"))
        ):
            assert given_away({"text": b"before " + text}, tmp_path), (k, j)
    figure = matplotlib.figure.Figure()
    long = SECRETS["header"] + "x" * 2000
    figure.savefig(tmp_path / "a.png", metadata={"Title": long, "Comment": SECRETS["cookie"]})
    assert {name for name, _ in given_away({}, tmp_path)} == {"header", "cookie"}
