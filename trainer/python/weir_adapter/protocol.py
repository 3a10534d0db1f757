"""Frames of the adapter protocol, version 1: what ``docs/adapter-protocol.md`` says, as bytes.

Everything is little-endian. A frame is a header of 12 bytes (body length u32, kind u16, zero u16, call number u32) and
a body. Nothing in here touches a socket.
"""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

MAGIC = b"WEIRADPT"
VERSION = 1
HEADER = struct.Struct("<IHHI")
FRAME_BYTES_MAX = 16 << 20
"""Largest body that either side may send."""
MODEL_BYTES_MAX = 8 << 20
"""Largest ONNX model that Weir takes from ``freeze``."""
TEXT_BYTES_MAX = 1024
"""Largest name or error message."""


class ProtocolError(Exception):
    """The peer does not speak this protocol: the connection is closed."""


class Kind(enum.IntEnum):
    """What a request asks for. Its answer has the same number with bit 15 set."""

    HELLO = 1
    ADAPT = 2
    EVALUATE = 3
    FREEZE = 4
    RESET = 5


ANSWER = 0x8000
ERROR = 0xFFFF


class Code(enum.IntEnum):
    """Why a request was not done."""

    UNSUITABLE = 1
    """This process cannot tune this model, or speaks another version. Weir closes, and tries again much later."""
    FAILED = 2
    """The call failed; the next one may succeed."""
    BUSY = 3
    """No room for another connection now."""


@dataclass(frozen=True)
class Model:
    """What Weir says of the model that is to be tuned."""

    name: str
    """Its name in Weir's configuration."""
    function: str
    """What it decides, such as ``pacing``."""
    schema_hash: int
    """Names the definition of the inputs. Another hash means that the same numbers mean something else."""
    inputs: int
    """Width of the network's input."""
    outputs: int
    """Width of its output."""
    deadline: float
    """Seconds within which Weir wants each call answered; it closes the connection when one takes longer."""
    onnx: bytes
    """The float network to start from."""


class Fields:
    """Takes fields from the front of a body, and refuses one that is too short or has something left over."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes."""
        if count > len(self._body) - self._at:
            raise ProtocolError(f"a body of {len(self._body)} bytes ends inside a field at byte {self._at}")
        field = self._body[self._at : self._at + count]
        self._at += count
        return field

    def number(self, code: str) -> int:
        """The next integer, by its code in :mod:`struct`."""
        layout = struct.Struct("<" + code)
        return int(layout.unpack(self.take(layout.size))[0])

    def text(self) -> str:
        """The next text: its length as u16, then UTF-8."""
        length = self.number("H")
        if length > TEXT_BYTES_MAX:
            raise ProtocolError(f"a text of {length} bytes, at most {TEXT_BYTES_MAX} are allowed")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise ProtocolError(f"a text that is not UTF-8: {error}") from error

    def end(self) -> None:
        """Refuses what is left over."""
        if self._at != len(self._body):
            raise ProtocolError(f"{len(self._body) - self._at} bytes after the last field")


def frame(kind: int, call: int, body: bytes) -> bytes:
    """A whole frame."""
    if len(body) > FRAME_BYTES_MAX:
        raise ProtocolError(f"a body of {len(body)} bytes, at most {FRAME_BYTES_MAX} are allowed")
    return HEADER.pack(len(body), kind, 0, call) + body


def parse_header(header: bytes) -> tuple[int, int, int]:
    """Body length, kind and call number."""
    length, kind, zero, call = HEADER.unpack(header)
    if zero != 0 or length > FRAME_BYTES_MAX:
        raise ProtocolError("not a frame of the adapter protocol")
    return length, kind, call


def parse_hello(body: bytes) -> Model:
    """The body of a ``HELLO``.

    Raises :class:`ProtocolError` where it is none, or one of another version, which its text names.
    """
    fields = Fields(body)
    if fields.take(len(MAGIC)) != MAGIC:
        raise ProtocolError("a hello without the protocol's magic")
    version = fields.number("I")
    if version != VERSION:
        raise ProtocolError(f"expected version {VERSION} of the adapter protocol, found {version}")
    schema_hash = fields.number("Q")
    inputs, outputs, deadline_ms = (fields.number("I") for _ in range(3))
    name, function = fields.text(), fields.text()
    onnx = fields.take(fields.number("I"))
    fields.end()
    return Model(name, function, schema_hash, inputs, outputs, deadline_ms / 1000.0, onnx)


def text(value: str) -> bytes:
    """A text as a body holds it, cut where it is too long."""
    encoded = value.encode()[:TEXT_BYTES_MAX].decode(errors="ignore").encode()
    return struct.pack("<H", len(encoded)) + encoded


def ready(name: str) -> bytes:
    """The body of the answer to ``HELLO``: our version and what we are."""
    return struct.pack("<I", VERSION) + text(name)


def adapted(rows: int, steps: int, loss: float, gradient_norm: float) -> bytes:
    """The body of the answer to ``ADAPT``."""
    return struct.pack("<IIdd", rows, steps, loss, gradient_norm)


def evaluated(stability: float) -> bytes:
    """The body of the answer to ``EVALUATE``."""
    return struct.pack("<d", stability)


def error(code: Code, message: str) -> bytes:
    """The body of an ``ERROR``."""
    return struct.pack("<H", code) + text(message)
