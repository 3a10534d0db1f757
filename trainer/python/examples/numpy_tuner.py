#!/usr/bin/env python3
"""Tunes a pacing network by proximal policy optimisation, in numpy alone.

    PYTHONPATH=trainer/python /usr/bin/python3 trainer/python/examples/numpy_tuner.py /run/weir/tuner.sock

and in Weir's configuration ``adapter = "/run/weir/tuner.sock"`` under the model's ``[model.adapt]``.

The policy is Gaussian around the network's output with the deviation that the datapath explores by (Schulman et al.
2017, the clipped surrogate). In place of a value network stands ridge regression of the discounted return on the
inputs, which has a closed form and is good enough to take most of the variance out of the advantage. It is a start for
a tuner of your own, not Weir's best: that is the built-in head ``ppo``.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass

import numpy as np

from weir_adapter import Adapter, Batch, Model, Report, onnx, serve
from weir_adapter.network import Adam, Vector


@dataclass(frozen=True)
class Options:
    """What is turned to tune the tuner."""

    learning_rate: float = 1e-3
    epochs: int = 4
    clip: float = 0.2
    """How far a probability may move from the acting policy's in one batch, as a ratio."""
    discount: float = 0.9
    """Of the reward of the next decision: a rate change shows within a few round trips."""
    norm_max: float = 0.5
    rows_min: int = 32
    """Fewer explored rows are noise: nothing is learned from them."""


class NumpyTuner(Adapter):
    """One pacing network under proximal policy optimisation."""

    def __init__(self, model: Model, options: Options | None = None) -> None:
        self._options = options or Options()
        self._network = onnx.read(model.onnx)
        self._adam = Adam(self._network.parameters())
        if (self._network.inputs, self._network.outputs) != (model.inputs, 1):
            raise ValueError(f"expected a network of {model.inputs} inputs and 1 output")

    def adapt(self, batch: Batch) -> Report:
        explored = np.flatnonzero(batch.explored)
        if len(explored) < self._options.rows_min:
            return Report(loss=0.0, rows=0, steps=0)
        advantages = self._advantages(batch)[explored]
        inputs = batch.inputs[explored].astype(np.float64)
        actions = batch.actions[explored].astype(np.float64)
        noises = batch.noises[explored].astype(np.float64)
        weights = batch.weights[explored] / batch.weights[explored].sum()
        variance = exploration_variance(noises, batch.log_probs[explored].astype(np.float64))
        loss = norm = 0.0
        for _ in range(self._options.epochs):
            values = self._network.activations(inputs)
            behind = actions - values[-1][:, 0]
            # Both policies have one deviation, so only the squares are left of the ratio of their densities.
            ratio = np.exp(np.clip((noises**2 - behind**2) / (2.0 * variance), -20.0, 20.0))
            clip = self._options.clip
            held = np.clip(ratio, 1.0 - clip, 1.0 + clip)
            loss = -float((weights * np.minimum(ratio * advantages, held * advantages)).sum())
            # Where the held ratio is the smaller one its slope is zero: such a row has moved far enough.
            moves = ratio * advantages <= held * advantages
            slope = -weights * np.where(moves, advantages * ratio * behind / variance, 0.0)
            gradients = self._network.gradients(values, slope[:, None])
            norm = self._adam.step(gradients, self._options.learning_rate, self._options.norm_max)
        return Report(loss=loss, rows=len(explored), steps=self._options.epochs, gradient_norm=norm)

    def evaluate(self, batch: Batch) -> float:
        # The policy's own mean output: flat once the policy no longer moves, whatever the traffic's reward does.
        return float(self._network(batch.inputs).mean()) if len(batch) else 0.0

    def freeze(self) -> bytes:
        return onnx.write(self._network)

    def _advantages(self, batch: Batch) -> Vector:
        """How much better than usual each row turned out, scaled to a deviation of 1."""
        returns = np.asarray(batch.rewards, np.float64).copy()
        for rows in batch.trajectories():
            for at in range(rows.stop - 2, rows.start - 1, -1):
                returns[at] += self._options.discount * returns[at + 1]
        design = np.hstack([batch.inputs, np.ones((len(batch), 1))]).astype(np.float64)
        # What is left of a trajectory shortens towards its end, and so does the return: the baseline must know.
        left = np.concatenate([np.arange(rows.stop - rows.start, 0, -1) for rows in batch.trajectories()])
        design = np.hstack([design, self._options.discount ** left[:, None]])
        ridge = 1e-3 * len(batch) * np.eye(design.shape[1])
        baseline = design @ np.linalg.solve(design.T @ design + ridge, design.T @ returns)
        advantages: Vector = returns - baseline
        advantages -= advantages.mean()
        return advantages / max(float(advantages.std()), 1e-8)


def exploration_variance(noises: Vector, log_probs: Vector) -> float:
    """The variance of the noise, from how its probability falls with its square.

    A Gaussian's logarithm is a line over the square, with a slope of -1 / (2 variance): exact even where the noise is
    bounded, which its own variance is not.
    """
    squares = noises**2
    spread = float(((squares - squares.mean()) ** 2).sum())
    slope = float(((squares - squares.mean()) * (log_probs - log_probs.mean())).sum()) / max(spread, 1e-300)
    return -0.5 / slope if slope < 0.0 else max(float(squares.mean()), 1e-12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("socket", help="where to listen")
    parser.add_argument("--learning-rate", type=float, default=Options.learning_rate)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    options = Options(learning_rate=arguments.learning_rate)
    serve(arguments.socket, lambda model: NumpyTuner(model, options), name="numpy_tuner")


if __name__ == "__main__":
    main()
