"""Downloads one file, verified or at least bounded, and never waits without end.

`keras.utils.get_file` has no time-out: behind a silent firewall it hangs. pooch has one for each
operation on a socket, but bounds neither the name look-up, nor a trickle, nor an endless file.
"""

import contextlib
import hashlib
import http.client
import io
import math
import os
import secrets
import threading
import time
import zlib

from utils.data.web import open_address, plain
from utils.location import shown

_CHUNK = 1 << 16  # bytes
_LEAST_RATE = 50_000  # bytes a second; a slower connection counts as stalled


def download(url, path, *, sha256, size, timeout=20.0, report=print):
    """Downloads a file; `path` appears only when it is complete and verified.

    The bytes go to a `.part` file beside `path`, which is renamed at the end and removed on any
    failure, so a partial download is never mistaken for a complete one.

    Args:
        url: Address of the file.
        path: `pathlib.Path` to create or replace. Its folder must exist.
        sha256: Expected SHA-256 of the file, in hexadecimal.
        size: Expected number of bytes.
        timeout: Seconds, above 0 and at most 3,600. Limit for name look-up, connection and answer
            together, and for any silence afterwards. Below 50 kB/s over that time the download is
            given up, too.
        report: Function that takes one line of text; called every 10 % of the way.

    Raises:
        OSError: If the server cannot be reached, stalls or breaks off, if the file is not the
            expected one, or if it cannot be written.
        ValueError: If `timeout` is out of its range.
    """
    # A name that nobody can guess, and a file that is new: others may write to a folder in /tmp.
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        answer = open_address(url, timeout)
        with answer.response as response, part.open("xb") as file:
            if _announced(response) > size:
                raise OSError(
                    f"what comes from {url} is not the expected file: {_announced(response):,} "
                    f"bytes are announced, expected {size:,} bytes"
                )
            received, digest = _copy(answer, file, size, timeout, report)
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
        max_seconds: float, above 0 and at most 3,600, limit of the whole transfer.
        timeout: float, as for `download`.

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
    if not 0 < max_seconds <= 3600:
        raise ValueError(f"max_seconds must be above 0 and at most 3600 s, but is {max_seconds}.")
    end = time.monotonic() + max_seconds
    buffer = io.BytesIO()
    answer = open_address(url, min(timeout, max_seconds))
    with answer.response as response:
        received = announced = _announced(response)
        if announced <= max_bytes:
            received, _ = _copy(answer, buffer, max_bytes, timeout, lambda line: None, end)
    if received > max_bytes:
        raise ValueError(
            f"{shown(url)} has more than {max_bytes / 1e6:.1f} MB, the limit. Save it smaller."
        )
    if received < announced:
        raise OSError(
            f"{shown(url)} broke off after {received:,} of {announced:,} bytes. Try again, or "
            f"download the file in a browser and give its path."
        )
    encoding = response.headers.get("Content-Encoding", "")
    return _decoded(buffer.getvalue(), encoding, url, max_bytes)


class _Watch:
    """Ends a transfer that is too slow, silent or too long.

    In a thread, because a read may never return: a server can send the length of the next piece
    letter by letter, and each of them is a sign of life to the socket.
    """

    def __init__(self, stop, timeout, end):
        """
        Args:
            stop: Function that ends a read under way.
            timeout: Seconds, see `download`.
            end: Time of `time.monotonic()` at which to give up in any case.
        """
        self.received, self.verdict = 0, ""
        self._stop, self._timeout, self._end = stop, timeout, end
        self._done = threading.Event()

    def __enter__(self):
        threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._done.set()

    def _run(self):
        before = 0
        while not self._done.wait(max(0.0, min(self._timeout, self._end - time.monotonic()))):
            arrived, before = self.received - before, self.received
            if time.monotonic() >= self._end:
                self.verdict = f"not complete in time: {self.received:,} bytes have arrived"
            elif arrived < _LEAST_RATE * self._timeout:
                self.verdict = (
                    f"too slow: {arrived:,} bytes in {self._timeout:g} s, "
                    f"below {_LEAST_RATE:,} bytes a second"
                )
            if self.verdict:
                self._stop()
                return


def _copy(answer, file, size, timeout, report, end=math.inf):
    """Copies the body of an answer to `file`, at most one chunk more than `size` bytes.

    Args:
        answer: `utils.data.web.Answer`.
        file: binary file to write to.
        size: int, expected number of bytes, or the most that are allowed.
        timeout: seconds, see `download`.
        report: function that takes one line of text.
        end: time of `time.monotonic()` at which to give up in any case.

    Returns:
        `(received, digest)`: number of bytes and their SHA-256 in hexadecimal.
    """
    digest, reported = hashlib.sha256(), 0
    with _Watch(answer.stop, timeout, end) as watch:
        while watch.received <= size:
            try:
                # read1 returns what has arrived; read would wait until the chunk is full.
                chunk, problem = answer.response.read1(_CHUNK), None
            except (http.client.HTTPException, OSError, ValueError) as error:
                chunk, problem = b"", error
            if watch.verdict:
                raise TimeoutError(watch.verdict) from problem
            if isinstance(problem, TimeoutError):
                raise TimeoutError(f"silence for {timeout:g} s after {watch.received:,} bytes")
            if problem:
                raise OSError(f"broken off after {watch.received:,} bytes: {plain(problem)}")
            if not chunk:
                break
            file.write(chunk)
            digest.update(chunk)
            watch.received += len(chunk)
            if watch.received - reported >= size / 10:
                reported = watch.received
                share = f"{reported / 1e6:.1f} of {size / 1e6:.1f} MB ({reported / size:.0%})"
                report(f"  {share}")
    return watch.received, digest.hexdigest()


def _announced(response):
    """The number of bytes that a server says will come: int, 0 where it says nothing of use."""
    try:
        return int(response.headers.get("Content-Length", "0"))
    except ValueError:
        return 0


def _decoded(content, encoding, url, most):
    """The content of an answer without the encoding that the server put it in for the transfer.

    Raises:
        OSError: If it is not in that encoding, or if that is one that is not known here.
        ValueError: If it holds more than `most` bytes.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return content
    # None was asked for. "deflate" is meant to be a zlib stream, and often none.
    forms = {"gzip": [31], "x-gzip": [31], "deflate": [15, -15]}.get(encoding, [])
    for form in forms:
        stream = zlib.decompressobj(form)
        with contextlib.suppress(zlib.error):
            decoded = stream.decompress(content, most + 1)
            if len(decoded) > most:
                raise ValueError(
                    f"{shown(url)} unfolds to more than {most / 1e6:.1f} MB, the limit."
                )
            if stream.eof:
                return decoded
    raise OSError(
        f"{shown(url)} was sent in the encoding {shown(encoding)}, "
        f"{'but damaged' if forms else 'which was not asked for and is not known here'}. Download "
        "the file in a browser and give its path"
    )
