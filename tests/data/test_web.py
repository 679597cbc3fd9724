"""Addresses that are hard to read, and servers that lead astray; none touches the internet."""

import re
import shutil
import socket
import socketserver
import ssl
import subprocess
import threading
import time

import pytest

from utils.data import web
from utils.data.download import fetch


def send(handler, content=b"x"):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(content)


def redirecting(target):
    def answer(handler):
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.end_headers()

    return answer


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "http:///cat.png",
        "https://a b/cat.png",
        "http://[x/",
        "http://a.org:port/",
        "http://a.org\\.b.org/",  # two readers, two servers
        "http://127%2e0%2e0%2e1/",
    ],
)
def test_an_address_without_a_server_is_refused(url):
    with pytest.raises(ValueError, match="names no server"):
        fetch(url, max_bytes=10)


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1:9/x", "data:,x"])
def test_a_redirection_to_anything_but_the_web_is_not_followed(serve, target):
    def redirect(handler):
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.end_headers()

    with pytest.raises(OSError, match="redirects to .*not an address of the web"):
        fetch(serve(redirect), max_bytes=10_000)


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
        send(handler)

    url = serve(answer).removesuffix("/file") + typed
    assert fetch(url, max_bytes=10) == b"x"
    assert paths == [sent]


def test_a_host_in_another_script_is_looked_up_as_idna(monkeypatch):
    hosts = []

    def look_up(host, *args, **kwargs):
        hosts.append(host)
        raise socket.gaierror(-2, "unknown")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with pytest.raises(OSError, match="cannot open .*unknown"):
        fetch("http://kätzchen.invalid/a.png", max_bytes=10)
    assert hosts == ["xn--ktzchen-5wa.invalid"]


# --- redirections, in a made-up internet ---------------------------------------------------------

PUBLIC, SECRET = "93.184.215.14", b"the password of the router"


@pytest.fixture
def internet(serve, monkeypatch):
    """Puts a server into a made-up internet: `internet(name, addresses, answer)`.

    Names are looked up in it, and its addresses lead to servers on this machine. Gives the list of
    the addresses that were connected to as `internet.asked`.
    """
    addresses_of, ports = {}, {}

    def look_up(host, port, *args, **kwargs):
        found = addresses_of.get(host, [host])
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    def connect(addresses, port, timeout):
        add.asked.append(addresses[0])
        return socket.create_connection(("127.0.0.1", ports[addresses[0]]), timeout)

    def add(name, addresses, answer):
        addresses_of[name] = addresses
        ports[addresses[0]] = int(serve(answer).rsplit(":", 1)[1].split("/")[0])

    add.asked = []
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(web, "_connect", connect)
    return add


def secret(handler):
    send(handler, SECRET)


LOCAL = [
    "127.0.0.1",  # this machine
    "::1",
    "0.0.0.0",
    "::ffff:127.0.0.1",
    "10.0.0.1",  # private networks
    "172.16.3.4",
    "192.168.1.1",
    "fc00::1",
    "169.254.169.254",  # link-local: the metadata of a cloud's machine
    "fe80::1%eth0",
    "100.64.0.1",  # shared by the customers of a provider
    "224.0.0.1",  # to all in the network
    "ff02::1",
    "fec0::1",  # site-local, the private network of old
    "64:ff9b::a9fe:a9fe",  # 169.254.169.254 by NAT64
    "64:ff9b:1::a9fe:a9fe",
    "2002:7f00:1::",  # 127.0.0.1 by 6to4
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo
    "::127.0.0.1",
]


@pytest.mark.parametrize("address", LOCAL)
def test_a_public_server_leads_to_no_local_one_by_any_name(internet, address):
    """The name is a public one; only its address, asked for after the redirection, is not."""
    internet("rebound.example", [address], secret)
    internet("public.example", [PUBLIC], redirecting("http://rebound.example/"))
    with pytest.raises(OSError, match="'rebound.example', which is in the local network. Give tha"):
        fetch("http://public.example/cat.png", max_bytes=100)
    assert internet.asked == [PUBLIC]
    assert fetch("http://rebound.example/", max_bytes=100) == SECRET  # the remedy: asked directly


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "169.254.169.254"])
def test_a_public_server_leads_to_no_local_address(internet, host):
    internet(host.strip("[]"), [host.strip("[]")], secret)
    internet("public.example", [PUBLIC], redirecting(f"http://{host}/"))
    with pytest.raises(OSError, match="which is in the local network"):
        fetch("http://public.example/cat.png", max_bytes=100)
    assert internet.asked == [PUBLIC]


def test_a_name_with_a_public_and_a_local_address_is_not_followed(internet):
    internet("both.example", ["8.8.8.8", "10.0.0.1"], secret)
    internet("public.example", [PUBLIC], redirecting("http://both.example/"))
    with pytest.raises(OSError, match="'both.example', which is in the local network"):
        fetch("http://public.example/", max_bytes=100)


@pytest.mark.parametrize(
    "address", ["::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::", "2606:4700::1111"]
)
def test_a_public_address_of_ipv6_is_public(internet, address):
    internet("router.example", ["192.168.1.1"], secret)
    internet("public.example", [address], redirecting("http://router.example/"))
    with pytest.raises(OSError, match="'router.example', which is in the local network"):
        fetch("http://public.example/", max_bytes=100)


def test_the_second_redirection_is_watched_as_the_first(internet):
    internet("router.example", ["192.168.1.1"], secret)
    internet("more.example", ["8.8.8.8"], redirecting("http://router.example/"))
    internet("public.example", [PUBLIC], redirecting("http://more.example/"))
    with pytest.raises(OSError, match="'router.example', which is in the local network"):
        fetch("http://public.example/", max_bytes=100)
    assert internet.asked == [PUBLIC, "8.8.8.8"]


@pytest.mark.parametrize("first", ["127.0.0.1", "192.168.1.1"])
def test_a_local_server_leads_over_a_public_one_to_no_local_one(internet, first):
    internet("metadata.example", ["169.254.169.254"], secret)
    internet("evil.example", [PUBLIC], redirecting("http://metadata.example/"))
    internet("mine.example", [first], redirecting("http://evil.example/"))
    with pytest.raises(OSError, match="'metadata.example', which is in the local network"):
        fetch("http://mine.example/", max_bytes=100)
    assert internet.asked == [first, PUBLIC]


def test_a_name_that_changes_its_address_is_connected_to_where_it_was_checked(
    internet, monkeypatch
):
    """Looked up once, not once for the check and once for the connection."""
    internet("public.example", [PUBLIC], send)
    look_up, names = socket.getaddrinfo, []

    def count(host, *args, **kwargs):
        names.append(host)
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", count)
    assert fetch("http://public.example/", max_bytes=10) == b"x"
    assert names == ["public.example", "127.0.0.1"]  # the second is this test's own server


def test_public_redirections_are_followed_also_relative_ones_in_other_letters(internet):
    paths = []

    def answer(handler):
        paths.append(handler.path)
        send(handler)

    internet("cdn.example", ["8.8.8.8"], answer)
    target = "http://cdn.example/Kätzchen 1.png".encode().decode("latin-1")
    internet("public.example", [PUBLIC], redirecting(target))
    assert fetch("http://public.example/", max_bytes=10) == b"x"
    assert paths == ["/K%C3%A4tzchen%201.png"]


def test_a_local_server_that_the_user_names_may_redirect(serve):
    def answer(handler):
        send(handler) if handler.path == "/there" else redirecting("/there")(handler)

    assert fetch(serve(answer), max_bytes=10) == b"x"
    assert fetch(serve(redirecting(serve(send))), max_bytes=10) == b"x"


def test_a_circle_of_redirections_ends(serve):
    asked = []

    def answer(handler):
        asked.append(handler.path)
        redirecting("/file")(handler)

    with pytest.raises(OSError, match="redirects more than 5 times"):
        fetch(serve(answer), max_bytes=10)
    assert len(asked) == 6


def test_what_a_redirection_says_beside_its_target_is_not_read(serve):
    sent = []

    def endless(handler):
        if handler.path == "/there":
            return send(handler)
        redirecting("/there")(handler)
        while True:
            handler.wfile.write(bytes(100_000))
            sent.append(100_000)

    start = time.monotonic()
    assert fetch(serve(endless), max_bytes=10) == b"x"
    assert time.monotonic() - start < 15 and sum(sent) < 10**8


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("http://user:secret@a.org/", "holds a user name or a password"),
        ("http://[x/", "Invalid IPv6|names no server"),
        ("http://a b/", "names no server"),
    ],
)
def test_a_redirection_to_a_bad_address_is_an_error_of_the_server(serve, target, words):
    with pytest.raises(OSError, match=f"cannot open .*({words})") as caught:
        fetch(serve(redirecting(target)), max_bytes=10)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1.", "127.1", "2130706433", "0x7f.1", "[64:ff9b::a9fe:a9fe]"),
        *("localhost", "localhost.", "router", "metadata.google.internal.", "a.local", "nas.lan"),
        *("fritz.box", "a.home.arpa", "a.home", "a.intranet", "a.corp", "a.localdomain"),
    ],
)
def test_behind_a_proxy_a_public_server_leads_to_no_local_one(serve, monkeypatch, host):
    """The proxy looks the names up, so that only what can be told from a name is held back."""
    asked = []

    def proxy(handler):
        asked.append(handler.path)
        redirecting(f"http://{host}/")(handler)

    monkeypatch.setenv("http_proxy", serve(proxy).removesuffix("/file"))
    monkeypatch.setenv("no_proxy", "")
    name = re.escape(host.strip("[]"))
    with pytest.raises(OSError, match=f"'{name}', which is in the local network"):
        fetch("http://public.example/", max_bytes=100)
    assert asked == ["http://public.example/"]


def test_behind_a_proxy_the_web_is_there(serve, monkeypatch):
    monkeypatch.setenv("http_proxy", serve(send).removesuffix("/file"))
    monkeypatch.setenv("no_proxy", "")
    for host in ("public.example", "93.184.215.14", "router"):
        assert fetch(f"http://{host}/", max_bytes=100) == b"x"


# --- what is shown of an address and of an answer ------------------------------------------------


def test_an_address_with_a_password_is_refused_and_the_password_is_not_shown():
    with pytest.raises(
        ValueError, match="holds a user name or a password.*give its path"
    ) as caught:
        fetch("https://user:secret@a.org/cat.png", max_bytes=10)
    assert "secret" not in str(caught.value) and "a.org" in str(caught.value)


def test_what_a_server_says_is_shown_short_and_plain(serve):
    def answer(handler):
        handler.wfile.write(b"HTTP/1.0 500 \x1b[2J" + b"so sorry " * 1000 + b"\r\n\r\n")

    with pytest.raises(OSError, match="so sorry") as caught:
        fetch(serve(answer), max_bytes=10)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


def test_of_several_addresses_the_next_is_tried():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with web._connect(["127.0.0.2", "127.0.0.1"], port, 2.0) as connection:
            assert connection.getpeername() == ("127.0.0.1", port)


def test_a_silent_address_leaves_time_for_the_next(monkeypatch):
    """As where a router drops IPv6: open_address gives all of them together its timeout."""
    connect, waited = socket.create_connection, []

    def with_a_silent_one(place, timeout):
        if place[0] == "127.0.0.2":
            waited.append(timeout)
            raise TimeoutError
        return connect(place, timeout)

    monkeypatch.setattr(socket, "create_connection", with_a_silent_one)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        web._connect(["127.0.0.2", "127.0.0.2", "127.0.0.1"], port, 30.0).close()
    assert len(waited) == 2 and 0 < sum(waited) < 30.0


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_is_limited(timeout):
    with pytest.raises(ValueError, match="timeout must be above 0 and at most 3600 s"):
        web.open_address("http://127.0.0.1/", timeout)


def calls_left():
    """Threads that still wait for an answer, of those that nobody waits for any more."""
    return [thread for thread in threading.enumerate() if thread.name == "open_address"]


@pytest.mark.parametrize("proxied", [False, True])
def test_a_server_that_is_too_slow_is_hung_up_on(serve, monkeypatch, proxied):
    """Seen from this side: the server notices late when its buffers are full."""

    def answer(handler):
        while True:
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    url = serve(answer)
    if proxied:
        monkeypatch.delenv("no_proxy")
        monkeypatch.setenv("http_proxy", url.removesuffix("/file"))
        url = "http://public.example/file"
    with pytest.raises(TimeoutError, match="no answer"):
        fetch(url, max_bytes=10, timeout=0.5)
    for call in calls_left():
        call.join(20)
    assert calls_left() == []


def test_a_connection_that_comes_after_the_time_is_up_is_not_used(serve, monkeypatch):
    """As where the look-up of the name hangs: nobody would end what the server then sends."""
    asked, time_is_up, lookup = [], threading.Event(), socket.getaddrinfo

    def late(*args, **options):
        time_is_up.wait(20)
        return lookup(*args, **options)

    def answer(handler):
        asked.append(handler.path)
        send(handler)

    url = serve(answer)
    monkeypatch.setattr(socket, "getaddrinfo", late)
    with pytest.raises(TimeoutError, match="no answer"):
        fetch(url, max_bytes=10, timeout=0.3)
    (call,) = calls_left()
    time_is_up.set()
    call.join(20)
    assert calls_left() == [] and asked == []


@pytest.fixture
def secure(serve, tmp_path, monkeypatch):
    """Puts TLS before a server of this machine, with a certificate that is trusted in the test."""
    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes the certificate, is not there")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = "-subj /CN=public.example -addext subjectAltName=DNS:public.example,DNS:localhost"
    files = ["-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *names.split(), *files], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    make = socketserver.TCPServer.get_request

    def get_request(server):
        connection, address = make(server)
        return context.wrap_socket(connection, server_side=True), address

    monkeypatch.setattr(socketserver.TCPServer, "get_request", get_request)
    return serve


def test_https_is_read_and_a_silent_server_given_up(secure):
    def answer(handler):
        send(handler)
        if handler.path == "/silent":
            handler.wfile.write(b"y")
            time.sleep(3)

    url = secure(answer).replace("http://127.0.0.1", "https://localhost").removesuffix("/file")
    assert fetch(url, max_bytes=10) == b"x"
    with pytest.raises(TimeoutError, match="silence|too slow|no answer"):
        fetch(f"{url}/silent", max_bytes=10, timeout=0.5)
    with pytest.raises(OSError, match="(?i)certificate"):
        fetch(url.replace("localhost", "127.0.0.1"), max_bytes=10)


def test_https_leads_to_no_local_server_either(secure, internet):
    internet("rebound.example", ["10.0.0.1"], secret)
    internet("public.example", [PUBLIC], redirecting("https://rebound.example/"))
    with pytest.raises(OSError, match="'rebound.example', which is in the local network"):
        fetch("https://public.example/cat.png", max_bytes=100)
    assert internet.asked == [PUBLIC]
