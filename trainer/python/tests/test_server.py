"""The server against a peer that speaks and misspeaks."""

import logging
import os
import pathlib
import socket
import tempfile
import threading
import time
import unittest

import numpy as np

from tests.test_protocol import body
from weir_adapter import Adapter, Batch, Model, Report, Server, protocol
from weir_adapter.protocol import ANSWER, ERROR, HEADER, Code, Kind

CONNECTIONS_MAX = 16


class Counting(Adapter):
    """Freezes the model that it was made with, and counts."""

    def __init__(self, model: Model) -> None:
        if model.function != "pacing":
            raise ValueError(f"only pacing, not {model.function}")
        self.model = model
        self.calls = 0

    def adapt(self, batch: Batch) -> Report:
        self.calls += 1
        if self.calls == 2:
            raise RuntimeError("the second call")
        return Report(loss=float("nan") if self.calls == 3 else 0.5, rows=len(batch), steps=1)

    def evaluate(self, batch: Batch) -> float:
        return float(np.sum(batch.rewards))

    def freeze(self) -> bytes:
        return self.model.onnx


class Peer:
    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5.0)
        self.socket.connect(path)
        self.call = 0

    def send(self, kind: int, sent: bytes) -> None:
        self.call += 1
        self.socket.sendall(protocol.frame(kind, self.call, sent))

    def receive(self) -> tuple[int, int, bytes] | None:
        head = self._exactly(HEADER.size)
        if head is None:
            return None
        length, kind, call = protocol.parse_header(head)
        return kind, call, self._exactly(length) or b""

    def _exactly(self, count: int) -> bytes | None:
        found = b""
        while len(found) < count:
            try:
                more = self.socket.recv(count - len(found))
            except ConnectionResetError:  # It closed without reading all that was sent.
                return None
            if not more:
                return None
            found += more
        return found

    def ask(self, kind: int, sent: bytes) -> tuple[int, bytes]:
        self.send(kind, sent)
        answer = self.receive()
        assert answer is not None and answer[1] == self.call, answer
        return answer[0], answer[2]


class Serving(unittest.TestCase):
    def setUp(self) -> None:
        logging.disable(logging.CRITICAL)
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "x.sock")
        self.server = Server(self.path, Counting, name="counting", connections_max=CONNECTIONS_MAX)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.peers: list[Peer] = []

    def tearDown(self) -> None:
        for peer in self.peers:
            peer.socket.close()
        self.server.close()
        self.thread.join(5.0)
        self.assertFalse(self.thread.is_alive())
        self.assertFalse(os.path.lexists(self.path))
        self.folder.cleanup()
        logging.disable(logging.NOTSET)

    def peer(self) -> Peer:
        peer = Peer(self.path)
        self.peers.append(peer)
        return peer

    def greeted(self) -> Peer:
        peer = self.peer()
        self.assertEqual(peer.ask(Kind.HELLO, body("hello")), (Kind.HELLO | ANSWER, protocol.ready("counting")))
        return peer

    def test_calls_and_failures_of_calls(self) -> None:
        peer = self.greeted()
        batch = body("adapt")
        nan = float("nan")
        kind, answer = peer.ask(Kind.ADAPT, batch)
        self.assertEqual((kind, answer[:16]), (Kind.ADAPT | ANSWER, protocol.adapted(3, 1, 0.5, nan)[:16]))
        error = protocol.error(Code.FAILED, "RuntimeError: the second call")
        self.assertEqual(peer.ask(Kind.ADAPT, batch), (ERROR, error))
        self.assertEqual(peer.ask(Kind.ADAPT, batch)[0], ERROR)
        self.assertEqual(peer.ask(Kind.ADAPT, batch)[0], Kind.ADAPT | ANSWER)
        self.assertEqual(peer.ask(Kind.EVALUATE, batch), (Kind.EVALUATE | ANSWER, protocol.evaluated(2.25)))
        self.assertEqual(peer.ask(Kind.FREEZE, b""), (Kind.FREEZE | ANSWER, body("reset")))

    def test_reset_makes_a_new_tuner_where_it_is_not_overridden(self) -> None:
        peer = self.greeted()
        peer.ask(Kind.ADAPT, body("adapt"))
        self.assertEqual(peer.ask(Kind.RESET, b"another model"), (Kind.RESET | ANSWER, b""))
        # A new one's first call, which the old one's second would not be.
        self.assertEqual(peer.ask(Kind.ADAPT, body("adapt"))[0], Kind.ADAPT | ANSWER)
        self.assertEqual(peer.ask(Kind.FREEZE, b""), (Kind.FREEZE | ANSWER, b"another model"))

    def test_a_model_that_it_cannot_tune_is_refused(self) -> None:
        hello = body("hello").replace(b"pacing", b"racing")
        kind, answer = self.peer().ask(Kind.HELLO, hello)
        self.assertEqual(kind, ERROR)
        self.assertEqual(answer, protocol.error(Code.UNSUITABLE, "ValueError: only pacing, not racing"))

    def test_who_does_not_keep_to_the_protocol_is_told_and_left(self) -> None:
        for kind, sent in [(Kind.ADAPT, body("adapt")), (Kind.HELLO, b"hello"), (77, b"")]:
            peer = self.peer()
            self.assertEqual(peer.ask(kind, sent)[0], ERROR)
            self.assertIsNone(peer.receive())
        for kind, sent in [(Kind.HELLO, body("hello")), (Kind.EVALUATE, b"no batch"), (99, b"")]:
            peer = self.greeted()
            self.assertEqual(peer.ask(kind, sent)[0], ERROR)
            self.assertIsNone(peer.receive())
        peer = self.peer()
        peer.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
        self.assertIsNone(peer.receive())
        self.greeted()

    def test_one_connection_too_many_is_told_so(self) -> None:
        served = [self.greeted() for _ in range(CONNECTIONS_MAX)]
        more = self.peer()
        self.assertEqual(more.receive(), (ERROR, 0, protocol.error(Code.BUSY, "too many connections")))
        self.assertIsNone(more.receive())
        served[0].socket.close()
        for _ in range(100):  # The slot is free once its thread has seen the end.
            peer = self.peer()
            try:
                peer.send(Kind.HELLO, body("hello"))
                answer = peer.receive()
            except BrokenPipeError:
                answer = None
            if answer is None or answer[0] == ERROR:
                time.sleep(0.01)
            if answer is not None and answer[0] != ERROR:
                return
        self.fail("the slot did not become free")

    def test_a_socket_in_use_and_a_file_stay(self) -> None:
        with self.assertRaises(FileExistsError):
            Server(self.path, Counting, name="second")
        self.greeted()
        file = pathlib.Path(self.folder.name, "file")
        file.write_text("kept")
        with self.assertRaises(FileExistsError):
            Server(str(file), Counting, name="third")
        self.assertEqual(file.read_text(), "kept")

    def test_the_socket_is_not_for_everybody(self) -> None:
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o660)


class Leftover(unittest.TestCase):
    def test_a_dead_process_socket_makes_way(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.sock")
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(path)
            server = Server(path, Counting, name="next")
            server.close()
            self.assertFalse(os.path.lexists(path))


if __name__ == "__main__":
    unittest.main()
