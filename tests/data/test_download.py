"""Tests of the download against servers on this machine; none touches the internet."""

import gzip
import hashlib
import os
import socket
import time
import zlib

import pytest

from utils.data import download as module
from utils.data.download import download

CONTENT = bytes(range(256)) * 4000  # 1 MB
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LONG = 10  # seconds: half of what each server here would keep a client that has no limit


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def header(handler, length=SIZE):
    handler.send_response(200)
    handler.send_header("Content-Length", str(length))
    handler.end_headers()


def whole(handler):
    header(handler)
    handler.wfile.write(CONTENT)


def half(handler):
    header(handler)
    handler.wfile.write(CONTENT[: len(CONTENT) // 2])


def fetch(url, path, *, sha256=SHA256, size=SIZE, timeout=5.0, report=lambda line: None):
    download(url, path, sha256=sha256, size=size, timeout=timeout, report=report)


def test_a_verified_file_arrives_with_plain_progress_lines(serve, tmp_path):
    lines = []
    fetch(serve(whole), tmp_path / "file", report=lines.append)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert 5 <= len(lines) <= 10
    assert lines[-1].strip().startswith(("1.0 of 1.0 MB", "0.9 of 1.0 MB"))
    assert not any("\r" in line or "\n" in line for line in lines)


def test_a_file_is_replaced_only_by_a_verified_one(serve, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="not the expected file.*expected"):
        fetch(serve(whole), path, sha256="0" * 64)
    assert path.read_bytes() == b"old"
    fetch(serve(whole), path)
    assert path.read_bytes() == CONTENT


def test_a_partial_file_is_never_left(serve, tmp_path):
    with pytest.raises(OSError, match=r"512,000 bytes.*expected 1,024,000"):
        fetch(serve(half), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_no_partial_file_is_left_when_the_reader_is_interrupted(serve, tmp_path):
    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(serve(whole), tmp_path / "file", report=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_planted_link_is_not_followed(serve, tmp_path, monkeypatch):
    """In a folder that others may write to, as Keras's in /tmp: no name that they can guess."""
    mine, folder = tmp_path / "mine", tmp_path / "shared"
    mine.write_bytes(b"precious")
    folder.mkdir()
    (folder / f"file.{os.getpid()}.part").symlink_to(mine)
    fetch(serve(whole), folder / "file")
    assert mine.read_bytes() == b"precious" and (folder / "file").read_bytes() == CONTENT
    monkeypatch.setattr(module.secrets, "token_hex", lambda size: "known")
    (folder / "file.known.part").symlink_to(mine)
    with pytest.raises(FileExistsError):
        fetch(serve(whole), folder / "file")
    assert mine.read_bytes() == b"precious"


def test_an_endless_file_is_cut_off(serve, tmp_path):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(CONTENT)

    with pytest.raises(OSError, match="not the expected file"):
        fetch(serve(endless), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def silent(handler):
    time.sleep(30)


def silent_in_the_middle(handler):
    header(handler)
    handler.wfile.write(CONTENT[:1000])
    time.sleep(30)


def trickling(handler):
    header(handler)
    for byte in CONTENT:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.05)


def trickling_header(handler):
    for byte in b"HTTP/1.0 200 OK\r\n" + b"X" * 1000:
        handler.wfile.write(bytes([byte]))
        time.sleep(0.05)


def trickling_in_the_length_of_a_chunk(handler):
    """Every digit is a sign of life, and none of them ends a read."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(400):
        handler.wfile.write(b"0")
        time.sleep(0.05)


def announcing_for_ever(handler):
    while True:
        handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (silent, "no answer|timed out"),
        (silent_in_the_middle, "silence for 1 s after 1,000 bytes|too slow: 1,000 bytes"),
        (trickling, "too slow"),
        (trickling_header, "no answer"),
        (trickling_in_the_length_of_a_chunk, "too slow: 0 bytes in 1 s"),
        (announcing_for_ever, "no answer"),
    ],
)
def test_every_kind_of_stall_ends(serve, tmp_path, answer, message):
    start = time.monotonic()
    with pytest.raises(OSError, match=message):
        fetch(serve(answer), tmp_path / "file", timeout=1.0)
    assert time.monotonic() - start < LONG
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_accepts_and_never_answers(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        start = time.monotonic()
        with pytest.raises(OSError, match="no answer|timed out"):
            fetch(f"http://127.0.0.1:{server.getsockname()[1]}/", tmp_path / "f", timeout=0.3)
        assert time.monotonic() - start < LONG


def test_a_name_lookup_that_hangs_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: time.sleep(30))
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer from 'http://name.invalid/' within 0.3 s"):
        fetch("http://name.invalid/", tmp_path / "file", timeout=0.3)
    assert time.monotonic() - start < LONG


def test_an_offline_machine_fails_at_once(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    start = time.monotonic()
    with pytest.raises(OSError, match="cannot open .*name resolution"):
        fetch("http://name.invalid/", tmp_path / "file", timeout=20)
    assert time.monotonic() - start < LONG


def test_a_refusal_and_a_garbled_answer_are_os_errors(serve, tmp_path):
    with pytest.raises(OSError, match="404"):
        fetch(serve(lambda handler: handler.send_error(404)), tmp_path / "file")
    with pytest.raises(OSError, match="cannot open"):
        fetch(serve(lambda handler: handler.wfile.write(b"garbage\r\n\r\n")), tmp_path / "file")


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 1e9])
def test_a_timeout_must_be_positive(tmp_path, timeout):
    with pytest.raises(ValueError, match="timeout must be above 0 and at most 3600"):
        fetch("http://127.0.0.1:9/", tmp_path / "file", timeout=timeout)


# --- small files, read into memory ---------------------------------------------------------------


def test_a_small_file_is_read_whole(serve):
    assert module.fetch(serve(whole), max_bytes=SIZE) == CONTENT


def test_a_file_above_the_limit_is_given_up(serve):
    with pytest.raises(ValueError, match=r"/file' has more than 0\.5 MB"):
        module.fetch(serve(whole), max_bytes=500_000)


def test_a_trickle_ends_in_time(serve):
    def trickle(handler):
        header(handler)
        for _ in range(200):
            handler.wfile.write(b"x" * 5000)
            time.sleep(0.1)

    start = time.monotonic()
    with pytest.raises(TimeoutError, match="not complete in time"):
        module.fetch(serve(trickle), max_bytes=SIZE, max_seconds=0.5)
    assert time.monotonic() - start < LONG


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:image/png;base64," + "A" * 9000, "a"]
)
def test_other_kinds_of_address_are_refused(url):
    with pytest.raises(ValueError, match="must begin with http.*give its path") as caught:
        module.fetch(url, max_bytes=10)
    assert len(str(caught.value)) < 300


def test_a_server_that_refuses_unknown_clients_is_told_who_asks(serve):
    def answer(handler):
        agent = handler.headers["User-Agent"]
        handler.send_error(403) if "urllib/" in agent.lower() else whole(handler)

    assert module.fetch(serve(answer), max_bytes=SIZE) == CONTENT


def test_a_refusal_says_what_else_can_be_done(serve):
    with pytest.raises(OSError, match="403.*If a browser can, download the file there and give"):
        module.fetch(serve(lambda handler: handler.send_error(403)), max_bytes=SIZE)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_limits_of_time_must_be_positive(seconds):
    with pytest.raises(ValueError, match="max_seconds must be above 0 and at most 3600"):
        module.fetch("http://127.0.0.1/", max_bytes=10, max_seconds=seconds)


def test_a_huge_length_is_refused_before_anything_is_read(serve, tmp_path):
    asked = []

    def boast(handler):
        asked.append(handler.path)
        header(handler, 10**15)
        time.sleep(30)

    url, start = serve(boast), time.monotonic()
    with pytest.raises(ValueError, match=r"has more than 0\.0 MB"):
        module.fetch(url, max_bytes=1000)
    with pytest.raises(OSError, match="1,000,000,000,000,000 bytes are announced, expected 1,024"):
        fetch(url, tmp_path / "file")
    assert time.monotonic() - start < LONG and len(asked) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", ["-5", "many", "9" * 5000])
def test_a_length_that_is_none_is_not_believed(serve, length):
    def answer(handler):
        header(handler, length)
        handler.wfile.write(CONTENT)

    assert module.fetch(serve(answer), max_bytes=SIZE) == CONTENT


def encoded(encoding, content):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Encoding", encoding)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("gzip", gzip.compress(CONTENT)),
        ("X-GZip", gzip.compress(CONTENT)),
        ("deflate", zlib.compress(CONTENT)),
        ("deflate", zlib.compress(CONTENT)[2:-4]),  # without the frame, as some servers send it
        ("identity", CONTENT),
    ],
    # Else old versions of pytest name the tests by the bytes, and gzip writes the time into them:
    # two processes would collect different tests.
    ids=["gzip", "x-gzip", "deflate", "deflate without frame", "identity"],
)
def test_an_answer_in_an_encoding_is_unfolded(serve, encoding, content):
    assert module.fetch(serve(encoded(encoding, content)), max_bytes=SIZE) == CONTENT


def test_an_answer_that_unfolds_to_too_much_or_not_at_all(serve):
    bomb = gzip.compress(bytes(10**8))
    assert len(bomb) < SIZE
    with pytest.raises(ValueError, match=r"unfolds to more than 1\.0 MB"):
        module.fetch(serve(encoded("gzip", bomb)), max_bytes=SIZE)
    for encoding, content, words in (
        ("gzip", gzip.compress(CONTENT)[:-20], "'gzip', but damaged"),
        ("gzip", CONTENT, "'gzip', but damaged"),
        ("br", CONTENT, "'br', which was not asked for.*Download the file in a browser"),
    ):
        with pytest.raises(OSError, match=words):
            module.fetch(serve(encoded(encoding, content)), max_bytes=SIZE)


def test_the_archive_is_never_unfolded(serve, tmp_path):
    """Some servers name the archive's own compression as one of the transfer."""
    content = gzip.compress(CONTENT)
    fetch(
        serve(encoded("x-gzip", content)),
        tmp_path / "file",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
    )
    assert (tmp_path / "file").read_bytes() == content


def test_a_small_file_that_breaks_off_is_no_file(serve):
    with pytest.raises(OSError, match="broke off after 512,000 of 1,024,000 bytes"):
        module.fetch(serve(half), max_bytes=SIZE)
    assert module.fetch(serve(whole), max_bytes=SIZE) == CONTENT
