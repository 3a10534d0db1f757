"""Just enough of protobuf's wire format for ONNX files: varints, fixed 32 bits, length-delimited fields."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, LENGTH_DELIMITED = 0, 2
_FIXED = {1: 8, 5: 4}

Value = int | bytes


class WireError(ValueError):
    """The bytes are not protobuf, or end too early."""


def varint(number: int) -> bytes:
    """An unsigned integer in groups of seven bits, lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def number_field(field: int, number: int) -> bytes:
    """A varint field; a negative number as its 64-bit two's complement."""
    return varint(field << 3 | VARINT) + varint(number & (1 << 64) - 1)


def bytes_field(field: int, value: bytes | str) -> bytes:
    """A length-delimited field: bytes, a text or a message."""
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | LENGTH_DELIMITED) + varint(len(value)) + value


def fields(message: bytes) -> dict[int, list[Value]]:
    """The values of each field of a message, in the message's order."""
    found: dict[int, list[Value]] = {}
    for field, value in _walk(message):
        found.setdefault(field, []).append(value)
    return found


def _walk(message: bytes) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(message):
        key, at = varint_at(message, at)
        field, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            number, at = varint_at(message, at)
            yield field, number
            continue
        if wire_type == LENGTH_DELIMITED:
            length, at = varint_at(message, at)
        elif wire_type in _FIXED:
            length = _FIXED[wire_type]
        else:
            raise WireError(f"wire type {wire_type}")
        if length > len(message) - at:
            raise WireError("a field ends after its message")
        yield field, message[at : at + length]
        at += length


def varint_at(message: bytes, at: int) -> tuple[int, int]:
    """The varint that starts at ``at``, and where the next byte is."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise WireError("a varint ends after its message")
        number |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return number & (1 << 64) - 1, at
    raise WireError("a varint of more than ten bytes")
