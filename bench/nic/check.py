# SPDX-License-Identifier: MIT OR Apache-2.0
"""Holds Weir's books against QEMU's captures: check.py FOLDER QUEUES, for bench/nic/run.sh.

FOLDER has `results`, which the guest wrote, and four captures: `to0`, `from0` (port 0, inside) and `to1`, `from1` (port 1,
outside), `to` being what the network sent to the card and `from` what the card sent. Exit status 1 and a line for each
thing that does not hold.
"""

import collections
import json
import pathlib
import re
import struct
import sys

SIDES = ("inside", "outside")
# Every flow and direction of the test must carry at least so much: nothing that a lost handshake leaves behind.
BYTES_MIN = 200_000
# A port of a pair that shares the flows by their hash, of eight flows and as many control connections.
QUEUE_FRAMES_MIN = 100

# Ethernet's shortest frame without its checksum: a card pads what is shorter, as ARP, with zeros.
SHORTEST = 60

wrong = []


def expect(holds, text):
    if not holds:
        wrong.append(text)


def sections(file):
    """The parts of `results`, by their headings."""
    parts = re.split(r"^== (.*)\n", file.read_text().replace("\r", ""), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


class Metrics:
    """A page in Prometheus' format."""

    LINE = re.compile(r"^(\w+)(?:\{(.*)\})? ([^ ]+)$")

    def __init__(self, page):
        self.samples = []
        for line in page.splitlines():
            found = self.LINE.match(line)
            if found:
                labels = dict(re.findall(r'(\w+)="([^"]*)"', found[2] or ""))
                self.samples.append((found[1], labels, float(found[3])))

    def values(self, name, **wanted):
        return [
            value
            for one, labels, value in self.samples
            if one == "weir_" + name and wanted.items() <= labels.items()
        ]

    def sum(self, name, **wanted):
        values = self.values(name, **wanted)
        expect(values, f"weir_{name} {wanted} is not among the metrics")
        return int(sum(values))

    def balance(self):
        """Frames whose whereabouts are not known: received + originated + steered in - ended - held - steered out."""
        gone = self.sum("received_frames_total") + self.sum("originated_frames_total")
        gone += self.sum("steered_in_frames_total") - self.sum("steered_out_frames_total")
        return gone - self.sum("verdicts_total") - self.sum("held_frames")


def frames(file):
    """The frames of a capture, and whether all of it could be read."""
    data = file.read_bytes()
    expect(data[:4] == b"\xd4\xc3\xb2\xa1", f"{file.name} is no capture")
    place, found = 24, []
    while place + 16 <= len(data):
        kept, length = struct.unpack_from("<II", data, place + 8)
        expect(kept == length, f"{file.name}: a frame was cut")
        found.append(data[place + 16 : place + 16 + kept].ljust(SHORTEST, b"\0"))
        place += 16 + kept
    expect(place == len(data), f"{file.name} ends in a frame")
    return found


def main(folder, queues):
    results = sections(folder / "results")
    expect("end" in results, "the guest's results have no end")
    pages = {name: Metrics(text) for name, text in results.items() if name.startswith("metrics")}
    expect(len(pages) == 4, f"{len(pages)} scrapes, not four")
    for name, page in pages.items():
        expect(page.balance() == 0, f"{name}: {page.balance()} frames are missing in the books")
    rest = pages["metrics at rest"]
    expect(rest.sum("held_frames") == 0, "frames are held although nobody sends")

    for flow in ("v4", "v6", "back"):
        report = json.loads(results["iperf3 " + flow])
        ends = report["end"]["streams"]
        for stream in ends:
            received = stream["receiver"]["bytes"]
            expect(received >= BYTES_MIN, f"{flow}: a flow carried {received} bytes")
        rate = sum(stream["receiver"]["bits_per_second"] for stream in ends) / 1e6
        print(f"nic: {flow}: {len(ends)} flows, {rate:.1f} Mb/s together")

    to, sent = ([frames(folder / f"{way}{port}.pcap") for port in (0, 1)] for way in ("to", "from"))
    for port, side in enumerate(SIDES):
        received = rest.sum("received_frames_total", side=side)
        lost = sum(rest.sum(f"port_{what}_total", side=side) for what in ("rx_missed", "rx_errors"))
        left = rest.sum("sent_frames_total", side=side)
        print(
            f"nic: {side}: QEMU saw {len(to[port])} frames go in and {len(sent[port])} come out; Weir received {received},"
            f" sent {left}, and the card lost {lost}"
        )
        expect(received + lost == len(to[port]), f"{side}: what QEMU sent is not what Weir received")
        expect(left == len(sent[port]), f"{side}: what Weir sent is not what QEMU received")
        expect(len(sent[port]) > 1_000, f"{side}: too few frames to say anything")

    # A wire that paces: what comes out at one side went in at the other, byte for byte; the rest was dropped with a reason.
    for port, side in enumerate(SIDES):
        strange = collections.Counter(sent[1 - port]) - collections.Counter(to[port])
        expect(not strange, f"{sum(strange.values())} frames came out that had not gone in at {side}")
    dropped = rest.sum("verdicts_total") - rest.sum("sent_frames_total")
    missing = sum(map(len, to)) - sum(map(len, sent))
    lost = sum(rest.sum(f"port_{what}_total") for what in ("rx_missed", "rx_errors"))
    print(f"nic: {missing} frames did not come out; Weir says that it dropped {dropped} and the card {lost}")
    expect(missing == dropped + lost, "frames are gone for which no counter stands")
    paced = rest.sum("verdicts_total", verdict="paced")
    expect(paced > 1_000, f"{paced} frames were paced")
    decided = rest.sum("pacing_decisions_total", source="model")
    expect(decided > 0, "the model decided nothing")
    print(f"nic: {paced} frames were paced, {decided} decisions by the model")

    by_worker = [int(value) for value in rest.values("received_frames_total", side="inside")]
    expect(len(by_worker) == queues, f"{len(by_worker)} workers, not {queues}")
    if queues > 1:
        print(f"nic: frames by queue, inside: {by_worker}")
        expect(min(by_worker) >= QUEUE_FRAMES_MIN, f"the card does not spread flows: {by_worker}")
    for line in wrong:
        print(f"nic: WRONG: {line}", file=sys.stderr)
    return 1 if wrong else 0


sys.exit(main(pathlib.Path(sys.argv[1]), int(sys.argv[2])))
