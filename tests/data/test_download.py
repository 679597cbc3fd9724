"""Tests of the download against servers on this machine; none touches the internet."""

import hashlib
import socket
import time

import pytest

from utils.data import download as module
from utils.data.download import download

CONTENT = bytes(range(256)) * 4000  # 1 MB
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


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
    def half(handler):
        header(handler)
        handler.wfile.write(CONTENT[: len(CONTENT) // 2])

    with pytest.raises(OSError, match=r"512,000 bytes.*expected 1,024,000"):
        fetch(serve(half), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_no_partial_file_is_left_when_the_reader_is_interrupted(serve, tmp_path):
    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(serve(whole), tmp_path / "file", report=interrupt)
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (silent, "no answer|timed out"),
        (silent_in_the_middle, "silence for 0.3 s after 1,000 bytes"),
        (trickling, "too slow"),
        (trickling_header, "no answer"),
    ],
)
def test_every_kind_of_stall_ends(serve, tmp_path, answer, message):
    start = time.monotonic()
    with pytest.raises(OSError, match=message):
        fetch(serve(answer), tmp_path / "file", timeout=0.3)
    assert time.monotonic() - start < 3
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_accepts_and_never_answers(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        start = time.monotonic()
        with pytest.raises(OSError, match="no answer|timed out"):
            fetch(f"http://127.0.0.1:{server.getsockname()[1]}/", tmp_path / "f", timeout=0.3)
        assert time.monotonic() - start < 3


def test_a_name_lookup_that_hangs_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: time.sleep(30))
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no answer from 'http://name.invalid/' within 0.3 s"):
        fetch("http://name.invalid/", tmp_path / "file", timeout=0.3)
    assert time.monotonic() - start < 3


def test_an_offline_machine_fails_at_once(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    start = time.monotonic()
    with pytest.raises(OSError, match="cannot open .*name resolution"):
        fetch("http://name.invalid/", tmp_path / "file", timeout=20)
    assert time.monotonic() - start < 2


def test_a_refusal_and_a_garbled_answer_are_os_errors(serve, tmp_path):
    with pytest.raises(OSError, match="404"):
        fetch(serve(lambda handler: handler.send_error(404)), tmp_path / "file")
    with pytest.raises(OSError, match="cannot open"):
        fetch(serve(lambda handler: handler.wfile.write(b"garbage\r\n\r\n")), tmp_path / "file")


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_must_be_positive(tmp_path, timeout):
    with pytest.raises(ValueError, match="timeout must be above 0"):
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
            time.sleep(0.02)

    start = time.monotonic()
    with pytest.raises(TimeoutError, match="not complete in time"):
        module.fetch(serve(trickle), max_bytes=SIZE, max_seconds=0.5)
    assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:image/png;base64," + "A" * 9000, "a"]
)
def test_other_kinds_of_address_are_refused(url):
    with pytest.raises(ValueError, match="must begin with http.*give its path") as caught:
        module.fetch(url, max_bytes=10)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("url", ["http://", "http:///cat.png", "https://a b/cat.png", "http://[x/"])
def test_an_address_without_a_server_is_refused(url):
    with pytest.raises(ValueError, match="names no server"):
        module.fetch(url, max_bytes=10)


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1:9/x", "data:,x"])
def test_a_redirection_to_anything_but_the_web_is_not_followed(serve, target):
    def redirect(handler):
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.end_headers()

    with pytest.raises(OSError, match="not allowed|unknown url type"):
        module.fetch(serve(redirect), max_bytes=10_000)


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("/Kätzchen 1.png", "/K%C3%A4tzchen%201.png"),
        ("/a%20b.png?x=1&y=ü#part", "/a%20b.png?x=1&y=%C3%BC"),
        ("/猫.png?u=http://a/b", "/%E7%8C%AB.png?u=http://a/b"),
    ],
)
def test_letters_and_blanks_are_percent_encoded(serve, typed, sent):
    paths = []

    def answer(handler):
        paths.append(handler.path)
        whole(handler)

    url = serve(answer).removesuffix("/file") + typed
    assert module.fetch(url, max_bytes=SIZE) == CONTENT
    assert paths == [sent]


def test_a_host_in_another_script_is_looked_up_as_idna(monkeypatch):
    hosts = []

    def look_up(host, *args, **kwargs):
        hosts.append(host)
        raise socket.gaierror(-2, "unknown")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(OSError, match="cannot open .*unknown"):
        module.fetch("http://kätzchen.invalid/a.png", max_bytes=10)
    assert hosts == ["xn--ktzchen-5wa.invalid"]


def test_a_server_that_refuses_unknown_clients_is_told_who_asks(serve):
    def answer(handler):
        agent = handler.headers["User-Agent"]
        handler.send_error(403) if "urllib/" in agent.lower() else whole(handler)

    assert module.fetch(serve(answer), max_bytes=SIZE) == CONTENT


def test_a_refusal_says_what_else_can_be_done(serve):
    with pytest.raises(OSError, match="403.*If a browser can, download the file there and give"):
        module.fetch(serve(lambda handler: handler.send_error(403)), max_bytes=SIZE)


def test_limits_of_time_must_be_positive():
    with pytest.raises(ValueError, match="above 0 s"):
        module.fetch("http://127.0.0.1/", max_bytes=10, max_seconds=0)
