"""The example tuner's own mathematics; that it learns is tested from Weir's side, through the socket."""

import importlib.util
import pathlib
import sys
import unittest

import numpy as np

from weir_adapter import Batch, Model, onnx
from weir_adapter.network import Layer, Network

EXAMPLE = pathlib.Path(__file__).parents[1] / "examples" / "numpy_tuner.py"
_spec = importlib.util.spec_from_file_location("numpy_tuner", EXAMPLE)
assert _spec is not None and _spec.loader is not None
numpy_tuner = importlib.util.module_from_spec(_spec)
sys.modules["numpy_tuner"] = numpy_tuner
_spec.loader.exec_module(numpy_tuner)

SIGMA = 0.3


def batch(rows: int, explored: bool = True) -> Batch:
    rng = np.random.default_rng(1)
    noises = np.where(explored, SIGMA * rng.normal(size=rows), 0.0)
    log_probs = -0.5 * (noises / SIGMA) ** 2 - np.log(SIGMA * np.sqrt(2 * np.pi))
    return Batch(
        inputs=rng.normal(size=(rows, 2)).astype("f4"),
        actions=noises.astype("f4"),
        noises=noises.astype("f4"),
        log_probs=log_probs.astype("f4") if explored else np.zeros(rows, "f4"),
        rewards=(0.5 + noises).astype("f4"),
        weights=np.ones(rows, "f4"),
        continues=np.arange(rows) % 5 != 0,
        explored=np.full(rows, explored),
        remembered=np.zeros(rows, bool),
    )


def model(outputs: int = 1) -> Model:
    network = Network([Layer(np.zeros((2, outputs)), np.zeros(outputs), "identity")])
    return Model("x", "pacing", 1, 2, outputs, 1.0, onnx.write(network))


class Tuner(unittest.TestCase):
    def test_the_variance_is_found_even_of_bounded_noise(self) -> None:
        noises = SIGMA * np.random.default_rng(2).normal(size=1000)
        log_probs = -0.5 * (noises / SIGMA) ** 2 - 1.0
        bounded = np.abs(noises) < SIGMA
        for kept in (np.full(1000, True), bounded):
            found = numpy_tuner.exploration_variance(noises[kept], log_probs[kept])
            self.assertAlmostEqual(found, SIGMA**2, places=6)
        self.assertGreater(numpy_tuner.exploration_variance(np.zeros(5), np.zeros(5)), 0.0)

    def test_more_of_what_paid(self) -> None:
        tuner = numpy_tuner.NumpyTuner(model())
        report = tuner.adapt(batch(400))
        self.assertEqual((report.rows, report.steps), (400, 4))
        self.assertGreater(tuner.evaluate(batch(400)), 0.0)

    def test_what_did_not_explore_teaches_nothing(self) -> None:
        tuner = numpy_tuner.NumpyTuner(model())
        before = tuner.freeze()
        for uninformative in (batch(400, explored=False), batch(8), batch(0)):
            self.assertEqual(tuner.adapt(uninformative).rows, 0)
        self.assertEqual(tuner.freeze(), before)
        self.assertEqual(tuner.evaluate(batch(0)), 0.0)

    def test_one_output_only(self) -> None:
        with self.assertRaisesRegex(ValueError, "1 output"):
            numpy_tuner.NumpyTuner(model(outputs=2))


if __name__ == "__main__":
    unittest.main()
