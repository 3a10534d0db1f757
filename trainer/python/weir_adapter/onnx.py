"""Networks from and to ONNX files, for the files that Weir itself writes: a chain of Gemm and activation nodes.

Weir reads more than this (``docs/adapter-protocol.md`` names its operators). A tuner built on a framework reads and
writes with that framework's own tools instead.
"""

from __future__ import annotations

import struct

import numpy as np

from . import protobuf
from .network import Layer, Network, Vector
from .protobuf import Value, bytes_field, fields, number_field

# Field numbers of onnx.proto.
_IR_VERSION, _PRODUCER, _GRAPH, _OPSET = 1, 2, 7, 8
_NODES, _GRAPH_NAME, _INITIALIZERS, _INPUTS, _OUTPUTS = 1, 2, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OPERATOR, _NODE_ATTRIBUTE = 1, 2, 3, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_FLOAT, _ATTRIBUTE_INT, _ATTRIBUTE_TYPE = 1, 2, 3, 20
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 4, 8, 9
_FLOAT = 1

_ACTIVATIONS = {"Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid"}
_OPERATORS = {activation: operator for operator, activation in _ACTIVATIONS.items()}


class OnnxError(ValueError):
    """The model is not one that this reader knows."""


def read(onnx: bytes) -> Network:
    """The network of a file.

    Raises :class:`OnnxError` with the name of what is not understood; nothing is skipped.
    """
    try:
        return _read(onnx)
    except OnnxError:
        raise
    except (ValueError, KeyError, IndexError, struct.error) as error:
        raise OnnxError(f"not an ONNX file: {error!r}") from error


def _read(onnx: bytes) -> Network:
    graph = fields(_bytes(_one(fields(onnx), _GRAPH)))
    tensors = dict(_tensor(_bytes(raw)) for raw in graph.get(_INITIALIZERS, []))
    inputs = [_text(fields(_bytes(raw)), 1) for raw in graph.get(_INPUTS, [])]
    if len(inputs) != 1:
        raise OnnxError(f"{len(inputs)} graph inputs, 1 expected")
    layers: list[Layer] = []
    value = inputs[0]
    for node in (fields(_bytes(raw)) for raw in graph.get(_NODES, [])):
        operator = _text(node, _NODE_OPERATOR)
        operands = [_bytes(raw).decode() for raw in node.get(_NODE_INPUT, [])]
        if not operands or operands[0] != value:
            raise OnnxError(f"node {operator} does not continue the chain")
        if operator == "Gemm":
            layers.append(_gemm(node, operands, tensors))
        elif operator in _ACTIVATIONS and layers and layers[-1].activation == "identity":
            layers[-1].activation = _ACTIVATIONS[operator]
        else:
            raise OnnxError(f"operator {operator} is not supported here")
        value = _text(node, _NODE_OUTPUT)
    return Network(layers)


def write(network: Network) -> bytes:
    """The network as an ONNX file in float32: operator set 17, input ``x`` [batch, inputs], output ``y``."""
    nodes: list[tuple[str, list[str]]] = []
    tensors: list[bytes] = []
    for number, layer in enumerate(network.layers, start=1):
        weights, bias = f"w{number}", f"b{number}"
        tensors += [_write_tensor(weights, layer.weights), _write_tensor(bias, layer.bias)]
        nodes.append(("Gemm", [weights, bias]))
        if layer.activation != "identity":
            nodes.append((_OPERATORS[layer.activation], []))
    graph, value = b"", "x"
    for index, (operator, constants) in enumerate(nodes):
        output = "y" if index == len(nodes) - 1 else f"v{index}"
        node = b"".join(bytes_field(_NODE_INPUT, name) for name in [value, *constants])
        node += bytes_field(_NODE_OUTPUT, output) + bytes_field(_NODE_NAME, f"{operator}_{output}")
        graph += bytes_field(_NODES, node + bytes_field(_NODE_OPERATOR, operator))
        value = output
    graph += bytes_field(_GRAPH_NAME, "weir_adapter")
    graph += b"".join(bytes_field(_INITIALIZERS, tensor) for tensor in tensors)
    graph += bytes_field(_INPUTS, _matrix("x", network.inputs))
    graph += bytes_field(_OUTPUTS, _matrix("y", network.outputs))
    return (
        number_field(_IR_VERSION, 8)
        + bytes_field(_PRODUCER, "weir_adapter")
        + bytes_field(_GRAPH, graph)
        + bytes_field(_OPSET, bytes_field(1, "") + number_field(2, 17))
    )


def _gemm(node: dict[int, list[Value]], operands: list[str], tensors: dict[str, Vector]) -> Layer:
    attributes = {"alpha": 1.0, "beta": 1.0, "transA": 0.0, "transB": 0.0}
    for raw in node.get(_NODE_ATTRIBUTE, []):
        attribute = fields(_bytes(raw))
        name = _text(attribute, _ATTRIBUTE_NAME)
        if _ATTRIBUTE_FLOAT in attribute:
            attributes[name] = float(struct.unpack("<f", _bytes(_one(attribute, _ATTRIBUTE_FLOAT)))[0])
        elif _ATTRIBUTE_INT in attribute:
            attributes[name] = float(_int(_one(attribute, _ATTRIBUTE_INT)))
    transposed = attributes.pop("transB") == 1.0
    if attributes != {"alpha": 1.0, "beta": 1.0, "transA": 0.0} or len(operands) != 3:
        raise OnnxError(f"a Gemm with {attributes} and {len(operands)} inputs is not supported here")
    try:
        weights, bias = tensors[operands[1]], tensors[operands[2]]
    except KeyError as error:
        raise OnnxError(f"no constant {error}") from error
    return Layer(weights.T.copy() if transposed else weights, bias.reshape(-1), "identity")


def _tensor(raw: bytes) -> tuple[str, Vector]:
    tensor = fields(raw)
    name = _text(tensor, _TENSOR_NAME)
    if _int(_one(tensor, _TENSOR_TYPE)) != _FLOAT:
        raise OnnxError(f"constant {name} is not float")
    shape: list[int] = []
    for dim in tensor.get(_TENSOR_DIMS, []):
        shape += [dim] if isinstance(dim, int) else _packed(dim)
    data = b"".join(_bytes(part) for part in tensor.get(_TENSOR_RAW, tensor.get(_TENSOR_FLOATS, [])))
    single = np.frombuffer(data, "<f4")
    if not np.isfinite(single).all():
        raise OnnxError(f"constant {name} has a value that is no number")
    values = single.astype(np.float64)
    if values.size != int(np.prod(shape)):
        raise OnnxError(f"constant {name} has {values.size} values for shape {shape}")
    return name, values.reshape(shape)


def _write_tensor(name: str, values: Vector) -> bytes:
    dims = b"".join(number_field(_TENSOR_DIMS, dim) for dim in values.shape)
    raw = np.ascontiguousarray(values, "<f4").tobytes()
    return dims + number_field(_TENSOR_TYPE, _FLOAT) + bytes_field(_TENSOR_NAME, name) + bytes_field(_TENSOR_RAW, raw)


def _matrix(name: str, width: int) -> bytes:
    shape = bytes_field(1, bytes_field(2, "batch")) + bytes_field(1, number_field(1, width))
    tensor = number_field(1, _FLOAT) + bytes_field(2, shape)
    return bytes_field(1, name) + bytes_field(2, bytes_field(1, tensor))


def _packed(raw: bytes) -> list[int]:
    numbers, at = [], 0
    while at < len(raw):
        number, at = protobuf.varint_at(raw, at)
        numbers.append(number)
    return numbers


def _one(message: dict[int, list[Value]], field: int) -> Value:
    return message[field][-1]


def _text(message: dict[int, list[Value]], field: int) -> str:
    return _bytes(_one(message, field)).decode()


def _bytes(value: Value) -> bytes:
    if isinstance(value, int):
        raise OnnxError("a number where bytes are expected")
    return value


def _int(value: Value) -> int:
    if not isinstance(value, int):
        raise OnnxError("bytes where a number is expected")
    return value
