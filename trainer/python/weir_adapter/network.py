"""A fully connected network in float64, with the one thing that a tuner needs beside its value: its gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]

# Each activation, and its derivative as a function of the activation's *value*.
ACTIVATIONS: dict[str, tuple[Callable[[Vector], Vector], Callable[[Vector], Vector]]] = {
    "identity": (lambda z: z, lambda h: np.ones_like(h)),
    "relu": (lambda z: np.maximum(z, 0.0), lambda h: (h > 0.0).astype(np.float64)),
    "tanh": (np.tanh, lambda h: 1.0 - h * h),
    "sigmoid": (lambda z: 1.0 / (1.0 + np.exp(-z)), lambda h: h * (1.0 - h)),
}


@dataclass
class Layer:
    """``activation(x @ weights + bias)``."""

    weights: Vector
    """[inputs, outputs]"""
    bias: Vector
    """[outputs]"""
    activation: str
    """A key of :data:`ACTIVATIONS`."""


class Network:
    """Layers, each fed by the one before."""

    def __init__(self, layers: list[Layer]) -> None:
        """Raises ``ValueError`` where shapes do not chain."""
        if not layers:
            raise ValueError("a network without layers")
        width = layers[0].weights.shape[0]
        for layer in layers:
            if layer.weights.ndim != 2 or layer.weights.shape[0] != width:
                raise ValueError(f"weights of shape {layer.weights.shape} after a width of {width}")
            width = layer.weights.shape[1]
            if layer.bias.shape != (width,):
                raise ValueError(f"a bias of shape {layer.bias.shape} for {width} outputs")
        self.layers = layers

    @property
    def inputs(self) -> int:
        """Width of the input."""
        return int(self.layers[0].weights.shape[0])

    @property
    def outputs(self) -> int:
        """Width of the output."""
        return int(self.layers[-1].weights.shape[1])

    def parameters(self) -> list[Vector]:
        """Weights and bias of each layer, the arrays themselves: what is written to them is what the network has."""
        return [array for layer in self.layers for array in (layer.weights, layer.bias)]

    def __call__(self, rows: ArrayLike) -> Vector:
        """[rows, outputs] for [rows, inputs]."""
        return self.activations(rows)[-1]

    def activations(self, rows: ArrayLike) -> list[Vector]:
        """The rows, then each layer's values: what :meth:`gradients` needs."""
        values = [np.asarray(rows, np.float64)]
        for layer in self.layers:
            function, _ = ACTIVATIONS[layer.activation]
            values.append(function(values[-1] @ layer.weights + layer.bias))
        return values

    def gradients(self, values: list[Vector], slope: Vector) -> list[Vector]:
        """The gradient of a loss in :meth:`parameters`' order.

        ``values`` are :meth:`activations` of the rows; ``slope`` [rows, outputs] is the loss' derivative by the output.
        """
        found: list[Vector] = []
        for layer, before, after in reversed(list(zip(self.layers, values[:-1], values[1:]))):
            _, derivative = ACTIVATIONS[layer.activation]
            slope = slope * derivative(after)
            found += [slope.sum(axis=0), before.T @ slope]
            slope = slope @ layer.weights.T
        return found[::-1]


class Adam:
    """Adam (Kingma and Ba 2015) on arrays that it changes in place, with the gradient's norm clipped first."""

    def __init__(self, parameters: list[Vector], *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8):
        self._parameters = parameters
        self._first = [np.zeros_like(array) for array in parameters]
        self._second = [np.zeros_like(array) for array in parameters]
        self._betas = (beta1, beta2)
        self._epsilon = epsilon
        self._steps = 0

    def step(self, gradients: list[Vector], rate: float, norm_max: float) -> float:
        """One step down; the gradient's norm before it was clipped.

        Does nothing where that is not finite: one such step would spoil the network for good.
        """
        norm = float(np.sqrt(sum(float((gradient * gradient).sum()) for gradient in gradients)))
        if not np.isfinite(norm):
            return norm
        self._steps += 1
        beta1, beta2 = self._betas
        scale = min(1.0, norm_max / max(norm, 1e-12))
        corrected = rate * np.sqrt(1.0 - beta2**self._steps) / (1.0 - beta1**self._steps)
        moments = zip(self._parameters, gradients, self._first, self._second)
        for array, gradient, first, second in moments:
            gradient = gradient * scale
            first += (1.0 - beta1) * (gradient - first)
            second += (1.0 - beta2) * (gradient * gradient - second)
            array -= corrected * first / (np.sqrt(second) + self._epsilon)
        return norm
