"""Answers Weir's calls on a Unix socket: one thread and one :class:`Adapter` per connection."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import signal
import socket
import stat
import threading
from collections.abc import Callable

from . import protocol
from .adapter import Adapter, Report
from .batch import Batch
from .protocol import ANSWER, Code, Kind, Model, ProtocolError

Factory = Callable[[Model], Adapter]
"""Makes a tuner for a model. What it raises tells Weir that this process cannot tune that model."""

log = logging.getLogger("weir_adapter")


class Server:
    """Listens at ``path`` and serves until :meth:`close`.

    ``name`` is what Weir calls this process in its log. A socket that a dead process left at ``path`` makes way; one
    that a process listens at does not. The socket has mode 0660.
    """

    def __init__(self, path: str, factory: Factory, *, name: str, connections_max: int = 8) -> None:
        self._factory = factory
        self._name = name
        self._slots = threading.BoundedSemaphore(connections_max)
        self._path = path
        _make_way(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Bound under another name and moved, so that it is never there without its mode.
        draft = f"{path}.{os.getpid()}"
        try:
            self._listener.bind(draft)
            os.chmod(draft, 0o660)
            self._listener.listen(connections_max)
            self._own = _identity(draft)
            os.rename(draft, path)
        except OSError:
            self._listener.close()
            if os.path.lexists(draft):
                os.unlink(draft)
            raise

    def serve_forever(self) -> None:
        """Accepts connections until :meth:`close`."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            if not self._slots.acquire(blocking=False):
                _refuse(connection, Code.BUSY, "too many connections")
                continue
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Stops listening and takes the socket away. Connections end with their peers or with the process."""
        try:
            # Wakes a thread that waits in accept, which close alone does not.
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        if os.path.lexists(self._path) and _identity(self._path) == self._own:
            os.unlink(self._path)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                _Connection(connection, self._factory, self._name).run()
        except (ProtocolError, OSError) as error:
            log.warning("connection closed: %s", error)
        finally:
            self._slots.release()


class _Connection:
    """One Weir, one model."""

    def __init__(self, connection: socket.socket, factory: Factory, name: str) -> None:
        self._socket = connection
        self._factory = factory
        self._name = name
        self._model: Model | None = None
        self._adapter: Adapter | None = None

    def run(self) -> None:
        """Answers requests until the peer closes."""
        while True:
            request = self._receive()
            if request is None:
                return
            kind, call, body = request
            code = Code.UNSUITABLE if kind == Kind.HELLO else Code.FAILED
            try:
                answer = self._answer(kind, body)
                answered = protocol.frame(kind | ANSWER, call, answer)
            except ProtocolError as error:
                self._socket.sendall(protocol.frame(protocol.ERROR, call, protocol.error(code, str(error))))
                raise
            except Exception as error:  # A tuner's own failure is Weir's to know, and no reason to end.
                log.exception("%s failed", Kind(kind).name.lower())
                message = f"{type(error).__name__}: {error}"
                answered = protocol.frame(protocol.ERROR, call, protocol.error(code, message))
            self._socket.sendall(answered)

    def _answer(self, kind: int, body: bytes) -> bytes:
        if kind == Kind.HELLO and self._model is None:
            hello = protocol.parse_hello(body)
            self._adapter = self._factory(hello)
            self._model = hello
            log.info("tuning model %s", hello.name)
            return protocol.ready(self._name)
        model, adapter = self._model, self._adapter
        if model is None or adapter is None or kind not in tuple(Kind) or kind == Kind.HELLO:
            raise ProtocolError(f"a request of kind {kind} out of order")
        if kind == Kind.ADAPT:
            report = adapter.adapt(Batch.parse(body, model.inputs))
            if not isinstance(report, Report):
                raise TypeError("adapt must return a Report")
            loss = _finite(report.loss, "the loss")
            return protocol.adapted(report.rows, report.steps, loss, report.gradient_norm)
        if kind == Kind.EVALUATE:
            batch = Batch.parse(body, model.inputs)
            return protocol.evaluated(_finite(adapter.evaluate(batch), "the stability value"))
        if kind == Kind.FREEZE:
            onnx = adapter.freeze()
            if len(onnx) > protocol.MODEL_BYTES_MAX:
                raise ValueError(f"a model of {len(onnx)} bytes, at most {protocol.MODEL_BYTES_MAX} are allowed")
            return bytes(onnx)
        try:
            adapter.reset(body)
        except NotImplementedError:
            self._adapter = self._factory(dataclasses.replace(model, onnx=body))
        return b""

    def _receive(self) -> tuple[int, int, bytes] | None:
        """The next request: kind, call number, body. ``None`` where the peer has closed."""
        header = self._read(protocol.HEADER.size)
        if header is None:
            return None
        length, kind, call = protocol.parse_header(header)
        body = self._read(length)
        if body is None:
            raise ProtocolError("the connection ended inside a frame")
        return kind, call, body

    def _read(self, count: int) -> bytes | None:
        """``count`` bytes; ``None`` where the peer has closed before the first."""
        chunks = bytearray(count)
        view, have = memoryview(chunks), 0
        while have < count:
            got = self._socket.recv_into(view[have:])
            if got == 0:
                if have == 0:
                    return None
                raise ProtocolError("the connection ended inside a frame")
            have += got
        return bytes(chunks)


def serve(path: str, factory: Factory, *, name: str) -> None:
    """Serves at ``path`` until SIGTERM or SIGINT. For the main thread of a process that does nothing else."""
    server = Server(path, factory, name=name)

    def stop(_signal: int, _frame: object) -> None:
        server.close()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info("listening at %s", path)
    try:
        server.serve_forever()
    finally:
        server.close()


def _finite(value: float, what: str) -> float:
    value = float(value)
    if not math.isfinite(value):
        raise ValueError(f"{what} is {value}")
    return value


def _identity(path: str) -> tuple[int, int]:
    """Device and inode: what stands at a path later may be another process's."""
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def _make_way(path: str) -> None:
    """Makes sure that nobody listens at ``path``, and that nothing but a dead socket is replaced."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(f"{path} is there and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return
    raise FileExistsError(f"another process listens at {path}")


def _refuse(connection: socket.socket, code: Code, message: str) -> None:
    with connection:
        try:
            connection.settimeout(0.0)
            connection.send(protocol.frame(protocol.ERROR, 0, protocol.error(code, message)))
        except OSError:
            pass  # A peer that is gone need not be told.
