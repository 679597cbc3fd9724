"""Opens a web address: within a time limit, and never a door into the local network.

`urllib.request` follows redirections to wherever they lead, reads their bodies whole, and waits for
every piece of an answer anew. Here a redirection stays on the web: a page out there must not make
this machine ask its own services, its router or a cloud's metadata server, nor by a name that the
page's owner points there. An address that the user gives is asked wherever it is, and leads on in
the local network until a public server was asked. Behind a proxy, which looks the names up, only
what `utils.data.public_hosts.seems_public` can tell is held back.
"""

import contextlib
import functools
import http.client
import queue
import re
import socket
import threading
import urllib.error
import urllib.request
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from utils.data.public_hosts import is_public, seems_public
from utils.location import shown

# Servers such as Wikimedia's refuse the name that Python gives itself.
_USER_AGENT = "resnet-cifar10-course/1.0 (notebook of a course; Python urllib)"
_MOST_REDIRECTIONS = 5
_REDIRECTIONS = (301, 302, 303, 307, 308)


class Answer(NamedTuple):
    """An open answer.

    Attributes:
        response: `http.client.HTTPResponse`, to be closed.
        stop: Function without arguments that ends a read under way in another thread.
    """

    response: http.client.HTTPResponse
    stop: object


def open_address(url, timeout):
    """Returns the server's answer, which must come within `timeout` seconds in all.

    The time-out of a socket holds for each of its operations, but not for the name look-up nor for
    all of them together. So the call runs in a thread, which is left alone when time is up.

    Args:
        url: str, address that begins with http:// or https://.
        timeout: Seconds, above 0 and at most 3,600; for any later silence, too.

    Returns:
        `Answer`.

    Raises:
        OSError: If the server cannot be reached, refuses, is too slow, or redirects to where an
            answer must not come from.
        ValueError: If the address names no server or holds a password, or on a bad `timeout`.
    """
    if not 0 < timeout <= 3600:
        raise ValueError(f"timeout must be above 0 and at most 3600 s, but is {timeout}. Use 20.")
    address = ascii_address(url)  # here, because what the user typed is no fault of the server
    guard, answers = _Guard(), queue.SimpleQueue()

    def call():
        try:
            answers.put(_follow(address, timeout, guard))
        except Exception as error:  # handed over, to be raised below
            answers.put(error)

    threading.Thread(target=call, name="open_address", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        guard.stop()
        raise TimeoutError(f"no answer from {shown(url)} within {timeout:g} s") from None
    if isinstance(answer, Exception):
        raise OSError(
            f"cannot open {shown(url)}: {plain(answer)}. If a browser can, download the file there "
            "and give its path"
        ) from answer
    return Answer(answer, guard.stop)


def plain(error, limit=300):
    """What an error says, for a message: a server may have put anything into it."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error) or repr(error))
    return " ".join(text.split())[:limit]


def ascii_address(url):
    """The address as it is sent: percent-encoded, the host as IDNA, without a fragment.

    Raises:
        ValueError: If it names no server, or holds a user name or password.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
        parts.port  # noqa: B018  raises where it is no number
    except ValueError:  # brackets, or a host that IDNA cannot spell
        host = ""
    user, at, host = host.rpartition("@")
    # Nothing but letters, digits, dots and a port, so that no two readers see two servers in it.
    if not re.fullmatch(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?", host, re.ASCII):
        raise ValueError(f"The address {shown(url)} names no server. Copy it again.")
    if at:
        raise ValueError(
            f"The address {shown(url)} holds a user name or a password, which are not sent from "
            "here. Download the file in a browser and give its path."
        )
    kept = "/%:;=@!$&'()*+,?~"  # delimiters, and what is percent-encoded already
    return urlunsplit((parts.scheme, host, quote(parts.path, kept), quote(parts.query, kept), ""))


def _follow(address, timeout, guard):
    """The answer of an address, or of the one that it redirects to. Bodies on the way stay unread.

    urllib's own handler of redirections is left out: it reads their bodies, however long, and
    follows to ftp:, too.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        _WebHandler(guard),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    for _ in range(_MOST_REDIRECTIONS + 1):
        request = urllib.request.Request(address, headers={"User-Agent": _USER_AGENT})
        try:
            return opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            error.close()
            target = error.headers.get("Location")
            if error.code not in _REDIRECTIONS or not target:
                raise
        # A header is read as Latin-1; browsers write UTF-8.
        target = urljoin(address, target.encode("latin-1", "replace").decode("utf-8", "replace"))
        if not target.lower().startswith(("http://", "https://")):
            raise OSError(f"it redirects to {shown(target)}, which is not an address of the web")
        address = ascii_address(target)
    raise OSError(f"it redirects more than {_MOST_REDIRECTIONS} times")


class _Guard:
    """Knows whether a public server was asked on the way, the socket that is open now, and whether
    time is up."""

    def __init__(self):
        self.public, self.socket, self.stopped = False, None, False

    def admit(self, host, all_public, any_public):
        """Raises OSError if a public server has led, over however many others, to a local one."""
        if self.public and not all_public:
            raise OSError(
                f"it redirects to {shown(host)}, which is in the local network. Give that address "
                "itself if it is yours"
            )
        self.public = self.public or any_public

    def hold(self, connected):
        """Notes the socket of a connection. Raises OSError if it came after the time was up."""
        self.socket = connected
        if self.stopped:
            raise ConnectionAbortedError("given up")

    def stop(self):
        self.stopped = True  # first: a connection that is made meanwhile finds it in hold()
        with contextlib.suppress(OSError, AttributeError):  # closed already, or none yet
            self.socket.shutdown(socket.SHUT_RDWR)


class _Socket(socket.socket):
    """One that another thread can stop: after a shutdown alone, what arrives can still be read."""

    def __init__(self, connected, timeout, guard):
        super().__init__(fileno=connected.detach())
        self.settimeout(timeout)
        self.guard = guard

    def recv_into(self, *args):
        if self.guard.stopped:
            raise ConnectionAbortedError("given up")
        return super().recv_into(*args)


class _Connection(http.client.HTTPConnection):
    """Asks the guard about the very address that it then connects to, not about a name, which may
    mean another address when it is looked up again."""

    guard, proxied = None, False

    def connect(self):
        if self.proxied:
            super().connect()
            connected = self.sock
        else:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            addresses = [place[0] for *_, place in found]
            public = [is_public(address) for address in addresses]
            self.guard.admit(self.host, all(public), any(public))
            connected = _connect(addresses, self.port, self.timeout)
        self.sock = _Socket(connected, self.timeout, self.guard)
        self.guard.hold(self.sock)


class _SecureConnection(http.client.HTTPSConnection, _Connection):
    def connect(self):
        super().connect()
        self.guard.hold(self.sock)  # that of TLS has taken the place of the plain one


class _WebHandler(urllib.request.HTTPSHandler):
    """What of urllib opens http: and https:, with the connections above."""

    def __init__(self, guard):
        super().__init__()
        self.guard = guard

    def http_open(self, request):
        return self.do_open(functools.partial(self._connection, _Connection, request), request)

    def https_open(self, request):
        return self.do_open(
            functools.partial(self._connection, _SecureConnection, request), request
        )

    http_request = urllib.request.HTTPSHandler.https_request

    def _connection(self, kind, request, host, **options):
        connection = kind(host, **options)
        asked = urllib.request.Request(request.full_url).host
        connection.guard, connection.proxied = self.guard, request.host != asked
        if connection.proxied:  # the proxy looks the name up, where we cannot see it
            name = urlsplit(f"//{asked}").hostname
            self.guard.admit(name, seems_public(name), seems_public(name))
        return connection


def _connect(addresses, port, timeout):
    """A socket that is connected to the first of the addresses that answers.

    They share the time: one that stays silent, as where IPv6 leads nowhere, leaves some for the
    next.
    """
    share = timeout / len(addresses)
    for address in addresses[:-1]:
        with contextlib.suppress(OSError):
            return socket.create_connection((address, port), share)
    return socket.create_connection((addresses[-1], port), share)
