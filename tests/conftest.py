"""For all tests: the same random numbers in every run, and a web server on this machine."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import keras
import pytest


@pytest.fixture(autouse=True, scope="module")
def seeded_module():
    """Before what the tests of a module share is made, such as a network."""
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def seeded_test():
    """Keras takes the seeds of initializers from `random`: a test must not hang on luck."""
    keras.utils.set_random_seed(0)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up is what these tests are about: nothing to print."""


@pytest.fixture
def serve(monkeypatch):
    """Starts a server on the loopback address; `answer(handler)` writes the response."""
    monkeypatch.setenv("no_proxy", "*")
    servers = []

    def start(answer):
        handler = type(
            "Handler",
            (BaseHTTPRequestHandler,),
            {"do_GET": answer, "log_message": lambda *args: None},
        )
        server = Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/file"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
