"""A TCP server on the loopback, for tests of port-forward."""

from __future__ import annotations

import socket
import socketserver
import threading

import pytest


class Echo(socketserver.ThreadingTCPServer):
    """Sends back what it gets; when its client has ended its half it says good-bye, and closes."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), None)
        self.port = self.server_address[1]
        self.begun = self.ended = 0

    def finish_request(self, request: socket.socket, client_address: object) -> None:
        self.begun += 1
        try:
            while data := request.recv(65536):
                if data == b"reset":
                    request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    return
                request.sendall(data)
            request.sendall(b"bye")
        except ConnectionError:
            return
        finally:
            request.close()
            self.ended += 1


@pytest.fixture
def echo():
    with Echo() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def free_port():
    """Of which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
