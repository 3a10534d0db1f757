"""Frames against the file that Weir's own side is held to."""

import pathlib
import struct
import unittest

import numpy as np

from weir_adapter import protocol
from weir_adapter.batch import Batch
from weir_adapter.protocol import ANSWER, ERROR, HEADER, Code, Kind, ProtocolError

FRAMES = pathlib.Path(__file__).parents[2] / "tests" / "adapter" / "frames.txt"


def golden() -> dict[str, bytes]:
    frames: dict[str, bytes] = {}
    name = ""
    for line in FRAMES.read_text().splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            frames[name] = b""
        elif "|" in line:
            frames[name] += bytes.fromhex(line.split("|")[1])
    return frames


def body(name: str) -> bytes:
    return golden()[name][HEADER.size :]


class Golden(unittest.TestCase):
    def test_requests_are_read(self) -> None:
        frames = golden()
        for call, kind in enumerate(Kind, start=1):
            frame = frames[kind.name.lower()]
            self.assertEqual(protocol.parse_header(frame[: HEADER.size]), (len(frame) - HEADER.size, kind, call))
        model = protocol.parse_hello(body("hello"))
        self.assertEqual((model.name, model.function), ("aurora", "pacing"))
        self.assertEqual((model.inputs, model.outputs), (2, 1))
        self.assertEqual((model.schema_hash, model.deadline), (0x1122334455667788, 0.4))
        self.assertEqual(model.onnx, body("reset"))

    def test_a_batch_is_read(self) -> None:
        batch = Batch.parse(body("adapt"), 2)
        self.assertEqual(body("adapt"), body("evaluate"))
        np.testing.assert_array_equal(batch.inputs, [[0.5, -1.0], [2.0, 3.0], [-4.0, 0.125]])
        np.testing.assert_array_equal(batch.actions, [1.5, -0.5, 0.0])
        np.testing.assert_array_equal(batch.noises, [0.25, 0.0, -0.5])
        np.testing.assert_array_equal(batch.log_probs, [-0.5, 0.0, -0.5])
        np.testing.assert_array_equal(batch.rewards, [0.75] * 3)
        np.testing.assert_array_equal(batch.weights, [1.0] * 3)
        np.testing.assert_array_equal(batch.continues, [False, True, False])
        np.testing.assert_array_equal(batch.explored, [True, False, True])
        np.testing.assert_array_equal(batch.remembered, [False, False, True])
        self.assertEqual(list(batch.trajectories()), [slice(0, 2), slice(2, 3)])

    def test_answers_are_written(self) -> None:
        frames = golden()
        for name, kind, call, written in [
            ("ready", Kind.HELLO | ANSWER, 1, protocol.ready("scripted")),
            ("adapted", Kind.ADAPT | ANSWER, 2, protocol.adapted(2, 4, 0.25, 0.5)),
            ("evaluated", Kind.EVALUATE | ANSWER, 3, protocol.evaluated(0.125)),
            ("frozen", Kind.FREEZE | ANSWER, 4, body("reset")),
            ("done", Kind.RESET | ANSWER, 5, b""),
            ("error", ERROR, 2, protocol.error(Code.FAILED, "no rows")),
        ]:
            with self.subTest(name):
                self.assertEqual(protocol.frame(kind, call, written), frames[name])


class Refusals(unittest.TestCase):
    def test_every_cut_of_a_hello_and_of_a_batch(self) -> None:
        hello, batch = body("hello"), body("adapt")
        for length in range(len(hello)):
            with self.assertRaises(ProtocolError):
                protocol.parse_hello(hello[:length])
        for length in range(len(batch)):
            with self.assertRaises(ProtocolError):
                Batch.parse(batch[:length], 2)
        for parse in (lambda: protocol.parse_hello(hello + b"x"), lambda: Batch.parse(batch + b"x", 2)):
            with self.assertRaises(ProtocolError):
                parse()

    def test_another_version_is_named(self) -> None:
        hello = bytearray(body("hello"))
        hello[8] = 2
        with self.assertRaisesRegex(ProtocolError, "expected version 1 .* found 2"):
            protocol.parse_hello(bytes(hello))

    def test_batches_that_are_none(self) -> None:
        good = body("adapt")
        with self.assertRaises(ProtocolError):
            Batch.parse(good, 3)
        first_continues = good[:-3] + b"\x01" + good[-2:]
        with self.assertRaisesRegex(ProtocolError, "continues"):
            Batch.parse(first_continues, 2)
        with self.assertRaisesRegex(ProtocolError, "rows"):
            Batch.parse(struct.pack("<II", 2**31, 7), 2)

    def test_an_unknown_column_is_passed_over(self) -> None:
        more = body("adapt") + struct.pack("<HBBI", 99, 2, 0, 2) + bytes(6)
        more = more[:4] + struct.pack("<I", 8) + more[8:]
        self.assertEqual(len(Batch.parse(more, 2)), 3)

    def test_frames_that_are_none(self) -> None:
        with self.assertRaises(ProtocolError):
            protocol.parse_header(b"HTTP/1.1 200")
        with self.assertRaises(ProtocolError):
            protocol.parse_header(HEADER.pack(protocol.FRAME_BYTES_MAX + 1, 1, 0, 1))
        with self.assertRaises(ProtocolError):
            protocol.frame(1, 1, bytes(protocol.FRAME_BYTES_MAX + 1))

    def test_a_long_text_is_cut_between_characters(self) -> None:
        text = protocol.text("é" * 1000)
        self.assertEqual(protocol.Fields(text).text(), "é" * 512)


if __name__ == "__main__":
    unittest.main()
