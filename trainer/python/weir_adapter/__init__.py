"""Tune one of Weir's models from Python.

A tuner is a subclass of :class:`Adapter` with three methods, LiteFlow's three user interfaces:

- ``adapt(batch)`` learns from one step's transitions;
- ``evaluate(batch)`` returns the *stability value*, whose flatness tells Weir that learning has converged;
- ``freeze()`` returns the float network as it is now, as ONNX bytes.

:func:`serve` answers Weir's calls on a Unix socket. ``docs/adapter-protocol.md`` in Weir's repository describes what
crosses it; ``examples/numpy_tuner.py`` is a whole tuner.
"""

from . import onnx
from .adapter import Adapter, Report
from .batch import Batch
from .network import Layer, Network
from .onnx import OnnxError
from .protocol import Model, ProtocolError
from .server import Server, serve

__all__ = [
    "Adapter",
    "Batch",
    "Layer",
    "Model",
    "Network",
    "OnnxError",
    "ProtocolError",
    "Report",
    "Server",
    "onnx",
    "serve",
]
