"""A headless Chromium that tests drive by its own protocol, with what Jupyter installs anyway.

Selenium or Playwright would do the same and cost 10 to 45 MB and a driver that fits the browser;
the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) takes one WebSocket.
"""

import contextlib
import functools
import hashlib
import itertools
import json
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

websocket = pytest.importorskip("websocket", reason="websocket-client is not installed")

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The sandbox needs rights that containers lack; the other options keep the browser off the network.
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-extensions "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--disable-dev-shm-usage --hide-scrollbars --remote-debugging-port=0 about:blank"
).split()
AXE = "axe-core@4.10.3"  # the rules of accessibility, MPL 2.0, fetched and not kept here
AXE_SHA256 = "0f2b4d7dcdf7d1219df8d1959ad68e565f51d14c3f0d88bb71cd59abeb956292"
ROOT = Path(__file__).resolve().parent.parent


class Browser:
    """One page of a headless browser.

    Attributes:
        requests: addresses of all requests but those for embedded data.
        complaints: errors, warnings and uncaught exceptions of the page's console.
    """

    def __init__(self, address):
        self.socket = websocket.create_connection(address, timeout=30, suppress_origin=True)
        self.numbers = itertools.count(1)
        self.requests, self.complaints, self.events = [], [], []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method, **parameters):
        """Sends a command and returns its result; notes what the page does meanwhile."""
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._note(message.get("method"), message.get("params"))

    def _note(self, event, parameters):
        if event == "Network.requestWillBeSent":
            address = parameters["request"]["url"]
            if not address.startswith("data:"):
                self.requests.append(address)
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(parameters["exceptionDetails"])
        elif event == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning"):
            self.complaints.append(parameters["args"])
        elif event == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning"):
            self.complaints.append(parameters["entry"])

    def run(self, script):
        """The value of a JavaScript expression; of a promise, what it comes to."""
        found = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"])
        return found["result"].get("value")

    def wait_for(self, condition, seconds=60):
        """Waits until a JavaScript expression is true."""
        until = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < until, f"{condition} is still false after {seconds} s"
            time.sleep(0.02)

    def open(self, path, width=1280, height=900, scheme="light"):
        """Opens a file in a window of a size, in a color scheme, with motion reduced."""
        self._set_size(width, height)
        features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
        self.send(
            "Emulation.setEmulatedMedia",
            features=[{"name": name, "value": value} for name, value in features.items()],
        )
        self.requests.clear()
        self.complaints.clear()
        self.run("window.isLeft = true")  # by it the page that is left is known from the new one
        self.send("Page.navigate", url=Path(path).resolve().as_uri())
        self.wait_for("!window.isLeft && document.readyState === 'complete'")
        self.settle()  # observers of sizes have told the page's scripts nothing before it is drawn

    def resize(self, width, height=900):
        """Gives the window another size, in CSS pixels, and waits until it is drawn so."""
        self._set_size(width, height)
        self.wait_for(f"document.documentElement.clientWidth === {width}")
        self.settle()

    def _set_size(self, width, height):
        """Asks for a size; a narrow window is that of a phone."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def settle(self):
        """Waits until the page has drawn what it was asked to draw."""
        self.run("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")

    def press(self, key):
        """Presses and releases a key, named as in KeyboardEvent.key."""
        codes = {"Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
        codes |= {"End": 35, "Home": 36, "Enter": 13, " ": 32}
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code={" ": "Space"}.get(key, key),
                windowsVirtualKeyCode=codes[key],
                **({"text": {"Enter": "\r", " ": " "}[key]} if key in "Enter " else {}),
            )
        self.settle()

    def click(self, selector):
        """Clicks with the mouse on the middle of an element, after scrolling to it."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.left + b.width / 2, b.top + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.settle()

    def overflow(self):
        """By how many pixels the page is wider than the window."""
        return self.run(
            "document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
        )

    def axe(self):
        """Serious and critical findings of axe-core on the page: (rule, element, what to mend)."""
        self.run(axe_script())
        found = self.run("axe.run({ resultTypes: ['violations'] }).then((all) => all.violations)")
        return [
            (rule["id"], node["html"][:120], node["failureSummary"])
            for rule in found
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]


@contextlib.contextmanager
def open_browser():
    """Starts a browser and ends it; skips the test where there is none."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *OPTIONS, f"--user-data-dir={profile}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = Path(profile) / "DevToolsActivePort"
            until = time.monotonic() + 30
            while not (port.exists() and port.read_text().count("\n")):
                assert process.poll() is None, f"{program} ended with {process.returncode}"
                assert time.monotonic() < until, f"{program} does not answer"
                time.sleep(0.05)
            yield Browser(page_address(port.read_text().split()[0]))
        finally:
            process.terminate()
            process.wait(10)


def page_address(port):
    """The address of the first page's WebSocket."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
        pages = [one for one in json.load(answer) if one["type"] == "page"]
    return pages[0]["webSocketDebuggerUrl"]


@functools.cache
def axe_script():
    """The text of axe-core from the npm registry, kept in build/; skips where it cannot be had."""
    folder = ROOT / "build" / ".cache"
    archive = folder / (AXE.replace("@", "-") + ".tgz")
    if not archive.exists():
        if shutil.which("npm") is None:
            pytest.skip(f"npm, which fetches {AXE}, is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", AXE, "--silent", "--fetch-retries=0", "--fetch-timeout=10000"]
        try:
            subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=30)
        except subprocess.SubprocessError as error:
            pytest.skip(f"{AXE} cannot be had from the npm registry: {error}")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert found == AXE_SHA256, f"{archive} is not {AXE}: its SHA-256 is {found}; remove it"
    with tarfile.open(archive) as content:
        return content.extractfile("package/axe.min.js").read().decode()
