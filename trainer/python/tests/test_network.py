"""Values, gradients and files of a network."""

import pathlib
import unittest

import numpy as np

from weir_adapter import onnx
from weir_adapter.network import ACTIVATIONS, Adam, Layer, Network
from weir_adapter.onnx import OnnxError

SHIPPED = pathlib.Path(__file__).parents[3] / "conf" / "models" / "aurora.onnx"


def network(widths: list[int], activations: list[str], seed: int = 1) -> Network:
    rng = np.random.default_rng(seed)
    layers = [
        Layer(rng.normal(size=(a, b)), rng.normal(size=b), activation)
        for a, b, activation in zip(widths[:-1], widths[1:], activations)
    ]
    return Network(layers)


class Gradients(unittest.TestCase):
    def test_gradients_are_central_differences(self) -> None:
        for hidden in ACTIVATIONS:
            with self.subTest(hidden):
                net = network([3, 4, 2], [hidden, "identity"])
                rng = np.random.default_rng(2)
                rows, wanted = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))

                def loss(net=net, rows=rows, wanted=wanted) -> float:
                    return float(((net(rows) - wanted) ** 2).sum())

                values = net.activations(rows)
                gradients = net.gradients(values, 2.0 * (values[-1] - wanted))
                for array, gradient in zip(net.parameters(), gradients):
                    for at in np.ndindex(array.shape):
                        step, kept = 1e-6, array[at]
                        array[at] = kept + step
                        above = loss()
                        array[at] = kept - step
                        below = loss()
                        array[at] = kept
                        self.assertAlmostEqual((above - below) / (2 * step), gradient[at], delta=1e-4)

    def test_adam_fits_and_refuses_a_gradient_that_is_no_number(self) -> None:
        net = network([2, 8, 1], ["tanh", "identity"])
        adam = Adam(net.parameters())
        rows = np.random.default_rng(3).normal(size=(200, 2))
        wanted = np.sin(rows[:, :1])
        for _ in range(500):
            values = net.activations(rows)
            adam.step(net.gradients(values, 2.0 * (values[-1] - wanted) / len(rows)), 0.02, 10.0)
        self.assertLess(float(((net(rows) - wanted) ** 2).mean()), 0.01)
        before = [array.copy() for array in net.parameters()]
        norm = adam.step([np.full_like(array, np.nan) for array in net.parameters()], 0.02, 10.0)
        self.assertFalse(np.isfinite(norm))
        for array, kept in zip(net.parameters(), before):
            np.testing.assert_array_equal(array, kept)

    def test_shapes_must_chain(self) -> None:
        with self.assertRaisesRegex(ValueError, "after a width of 4"):
            Network([Layer(np.zeros((2, 4)), np.zeros(4), "tanh"), Layer(np.zeros((3, 1)), np.zeros(1), "tanh")])


class Files(unittest.TestCase):
    def test_there_and_back(self) -> None:
        net = network([3, 5, 4, 2], ["relu", "sigmoid", "tanh"])
        again = onnx.read(onnx.write(net))
        rows = np.random.default_rng(4).normal(size=(50, 3))
        np.testing.assert_allclose(again(rows), net(rows), atol=1e-6)
        self.assertEqual([layer.activation for layer in again.layers], ["relu", "sigmoid", "tanh"])

    def test_the_shipped_model_is_read(self) -> None:
        net = onnx.read(SHIPPED.read_bytes())
        self.assertEqual((net.inputs, net.outputs), (30, 1))
        self.assertEqual([layer.activation for layer in net.layers], ["tanh", "tanh", "identity"])

    def test_what_is_no_such_model_is_refused(self) -> None:
        good = onnx.write(network([3, 5, 1], ["tanh", "identity"]))
        for bad in (b"", b"\xff" * 40, good[: len(good) // 2], good.replace(b"Tanh", b"Sinh")):
            with self.assertRaises(OnnxError):
                onnx.read(bad)

    def test_any_changed_byte_is_read_or_refused(self) -> None:
        good = onnx.write(network([2, 2, 1], ["tanh", "identity"]))
        for at in range(len(good)):
            changed = bytearray(good)
            changed[at] ^= 0x41
            try:
                onnx.read(bytes(changed))
            except OnnxError:
                pass


if __name__ == "__main__":
    unittest.main()
