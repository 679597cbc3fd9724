"""Downloads one file, verified or at least bounded, and never waits without end.

`keras.utils.get_file` has no time-out: behind a silent firewall it hangs. pooch has one for each
operation on a socket, but bounds neither the name look-up, nor a trickle, nor an endless file.
"""

import hashlib
import http.client
import io
import math
import os
import queue
import threading
import time
import urllib.request
from urllib.parse import quote, urlsplit, urlunsplit

from utils.location import shown

_CHUNK = 1 << 16  # bytes
_LEAST_RATE = 50_000  # bytes a second; a slower connection counts as stalled
# Servers such as Wikimedia's refuse the name that Python gives itself.
_USER_AGENT = "resnet-cifar10-course/1.0 (notebook of a course; Python urllib)"


def download(url, path, *, sha256, size, timeout=20.0, report=print):
    """Downloads a file; `path` appears only when it is complete and verified.

    The bytes go to a `.part` file beside `path`, which is renamed at the end and removed on any
    failure, so a partial download is never mistaken for a complete one.

    Args:
        url: Address of the file.
        path: `pathlib.Path` to create or replace. Its folder must exist.
        sha256: Expected SHA-256 of the file, in hexadecimal.
        size: Expected number of bytes.
        timeout: Seconds, > 0. Limit for name look-up, connection and answer together, and for
            any silence afterwards. Below 50 kB/s over that time the download is given up, too.
        report: Function that takes one line of text; called every 10 % of the way.

    Raises:
        OSError: If the server cannot be reached, stalls or breaks off, if the file is not the
            expected one, or if it cannot be written.
        ValueError: If `timeout` is not positive.
    """
    if not timeout > 0:
        raise ValueError(f"timeout must be above 0 seconds, but is {timeout}. Use 20, say.")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with _open(url, timeout) as response, part.open("wb") as file:
            received, digest = _copy(response, file, size, timeout, report)
        if (received, digest) != (size, sha256):
            raise OSError(
                f"what came from {url} is not the expected file: {received:,} bytes with SHA-256 "
                f"{digest}, expected {size:,} bytes with {sha256}"
            )
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def fetch(url, *, max_bytes, max_seconds=60.0, timeout=20.0):
    """Reads a small file from the internet into memory, within limits of size and time.

    Args:
        url: address, beginning with http:// or https://; may hold blanks and letters of any script.
        max_bytes: int, a longer answer is given up.
        max_seconds: float, limit of the whole transfer.
        timeout: float > 0, as for `download`.

    Returns:
        bytes.

    Raises:
        OSError: if the server cannot be reached, refuses, stalls, breaks off or takes too long.
        ValueError: on another kind of address, or a file above `max_bytes`.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError(
            f"The address must begin with http:// or https://, got {shown(url)}. Download the "
            "file in a browser and give its path."
        )
    if not (timeout > 0 and max_seconds > 0):
        raise ValueError(f"Both limits must be above 0 s, got {timeout} and {max_seconds}.")
    end = time.monotonic() + max_seconds
    buffer = io.BytesIO()
    with _open(url, min(timeout, max_seconds)) as response:
        received, _ = _copy(response, buffer, max_bytes, timeout, lambda line: None, end)
    if received > max_bytes:
        raise ValueError(
            f"{shown(url)} has more than {max_bytes / 1e6:.1f} MB, the limit. Save it smaller."
        )
    return buffer.getvalue()


def _open(url, timeout):
    """Returns the server's answer, which must come within `timeout` seconds in all.

    The time-out of `urlopen` holds for each operation on a socket, but not for the name look-up
    nor for all of them together. So the call runs in a thread, which is left alone when time is
    up.
    """
    request = urllib.request.Request(_ascii_address(url), headers={"User-Agent": _USER_AGENT})
    # urlopen without its handlers of ftp:, file: and data:, so that no redirection leads there.
    opener = urllib.request.OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    answers = queue.SimpleQueue()

    def call():
        try:
            answers.put(opener.open(request, timeout=timeout))
        except Exception as error:  # handed over, to be raised below
            answers.put(error)

    threading.Thread(target=call, daemon=True).start()
    try:
        answer = answers.get(timeout=timeout)
    except queue.Empty:
        raise TimeoutError(f"no answer from {shown(url)} within {timeout:g} s") from None
    if isinstance(answer, Exception):
        raise OSError(
            f"cannot open {shown(url)}: {answer}. If a browser can, download the file there and "
            "give its path"
        ) from answer
    return answer


_HANDLERS = (
    urllib.request.ProxyHandler,
    urllib.request.UnknownHandler,
    urllib.request.HTTPHandler,
    urllib.request.HTTPSHandler,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.HTTPRedirectHandler,
    urllib.request.HTTPErrorProcessor,
)


def _ascii_address(url):
    """The address as it is sent: percent-encoded, the host as IDNA, without a fragment.

    Raises:
        ValueError: If it names no server.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode()
    except ValueError:  # brackets, or a host that IDNA cannot spell
        host = ""
    if not host or " " in host:
        raise ValueError(f"The address {shown(url)} names no server. Copy it again.")
    kept = "/%:;=@!$&'()*+,?~"  # delimiters, and what is percent-encoded already
    return urlunsplit((parts.scheme, host, quote(parts.path, kept), quote(parts.query, kept), ""))


def _copy(response, file, size, timeout, report, end=math.inf):
    """Copies the body of `response` to `file`, at most one chunk more than `size` bytes.

    Args:
        response: what `urlopen` gives.
        file: binary file to write to.
        size: int, expected number of bytes, or the most that are allowed.
        timeout: seconds, see `download`.
        report: function that takes one line of text.
        end: time of `time.monotonic()` at which to give up in any case.

    Returns:
        `(received, digest)`: number of bytes and their SHA-256 in hexadecimal.
    """
    digest = hashlib.sha256()
    received = reported = window_start = 0
    window_end = time.monotonic() + timeout
    while received <= size:
        try:
            # read1 returns what has arrived; read would wait until the chunk is full.
            chunk = response.read1(_CHUNK)
        except TimeoutError:
            raise TimeoutError(f"silence for {timeout:g} s after {received:,} bytes") from None
        except (http.client.HTTPException, OSError) as error:
            raise OSError(f"broken off after {received:,} bytes: {error!r}") from error
        if not chunk:
            break
        file.write(chunk)
        digest.update(chunk)
        received += len(chunk)
        if time.monotonic() >= end:
            raise TimeoutError(f"not complete in time: {received:,} bytes have arrived")
        if time.monotonic() >= window_end:
            if received - window_start < _LEAST_RATE * timeout:
                raise TimeoutError(
                    f"too slow: {received - window_start:,} bytes in {timeout:g} s, "
                    f"below {_LEAST_RATE:,} bytes a second"
                )
            window_start, window_end = received, time.monotonic() + timeout
        if received - reported >= size / 10:
            reported = received
            report(f"  {received / 1e6:.1f} of {size / 1e6:.1f} MB ({received / size:.0%})")
    return received, digest.hexdigest()
