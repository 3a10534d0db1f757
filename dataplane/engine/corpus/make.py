#!/usr/bin/python3
"""Writes the corpus of frames: one capture per theme, and frames.tsv, which says how each frame must end.

Needs Debian's python3-scapy. The same bytes every time: every field is given, and the only random bytes come from a
seed. `make.py` writes beside itself, `make.py FOLDER` elsewhere.

A line of frames.tsv:
  file     the capture, without .pcap; its frames stand in the order of the lines
  name     of the frame
  side     on which it arrives; `both`: on each in turn
  verdict  how it ends when the file is played from its beginning
  again    how it ends when it comes once more after the whole file
  kind     what the parser calls it
  headers  bytes that the first segment must hold for this answer; with fewer the frame is SplitHeaders
  end      where the packet ends; a frame that was cut before is malformed, bytes after it are padding
  sentence what is odd about it
"""

import random
import struct
import sys
from pathlib import Path

from scapy.config import conf

conf.ipv6_enabled = False  # no look at this machine's interfaces
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import (  # noqa: E402
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, GRE, Dot1AD, Dot1Q, Ether  # noqa: E402
from scapy.packet import Raw  # noqa: E402

SEED = 20261126
CLIENT, SERVER, ROUTER = "10.0.0.1", "192.0.2.7", "192.0.2.1"
CLIENT6, SERVER6, ROUTER6 = "fd00::1", "2001:db8::7", "2001:db8::1"
MAC = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
ETHERNET, VLAN, IPV4, IPV6 = 14, 4, 20, 40

rng = random.Random(SEED)
scenes = {}


def noise(length):
    return bytes(rng.randrange(256) for _ in range(length))


def add(file, name, frame, sentence, kind, headers, end=None, side="both", verdict=None, again=None):
    """Adds a frame to a capture. `end` is where the frame ends, unless given."""
    frame = bytes(frame)
    verdict = verdict or "untracked"
    end = len(frame) if end is None else end
    scenes.setdefault(file, []).append((frame, name, side, verdict, again or verdict, kind, headers, end, sentence))


def ether(tags=()):
    """Ethernet with VLAN tags: 'c' for customer (802.1Q), 's' for service (802.1ad)."""
    packet = Ether(**MAC)
    for number, tag in enumerate(tags):
        packet /= {"c": Dot1Q, "s": Dot1AD}[tag](vlan=100 + number, prio=number)
    return packet


def ip4(**fields):
    return IP(**{"src": CLIENT, "dst": SERVER, "id": 7, "ttl": 64, **fields})


def ip6(**fields):
    return IPv6(**{"src": CLIENT6, "dst": SERVER6, "hlim": 64, "fl": 0x12345, **fields})


def tcp(**fields):
    return TCP(**{"sport": 40000, "dport": 443, "seq": 1000, "ack": 2000, "flags": "A", "window": 512, **fields})


TIMESTAMPS = [("NOP", None), ("NOP", None), ("Timestamp", (0x01020304, 0x0A0B0C0D))]


def vlan():
    data = ip4() / tcp(options=TIMESTAMPS) / noise(40)
    for name, tags, sentence in [
        ("untagged", "", "no tag"),
        ("vlan", "c", "802.1Q"),
        ("qinq", "sc", "802.1ad around 802.1Q"),
        ("double-q", "cc", "802.1Q twice"),
        ("service-alone", "s", "802.1ad alone"),
    ]:
        at = ETHERNET + VLAN * len(tags)
        add("vlan", name, ether(tags) / data, f"TCP behind {sentence}", "Tcp", at + IPV4 + 32)
        add("vlan", name + "-6", ether(tags) / ip6() / tcp() / noise(9), f"TCP over IPv6 behind {sentence}", "Tcp", at + IPV6 + 20)
    at = ETHERNET + 2 * VLAN
    add("vlan", "three-tags", ether("scc") / data, "a third tag is another EtherType", "OtherEtherType", at, at)
    add("vlan", "eight-tags", ether("cccccccc") / data, "so are eight", "OtherEtherType", at, at)
    priority = Ether(**MAC) / Dot1Q(vlan=0, prio=7)
    at = ETHERNET + VLAN
    add("vlan", "priority", priority / data, "a priority tag: VLAN 0", "Tcp", at + IPV4 + 32)
    add("vlan", "tagged-arp", ether("sc") / ARP(op=1, psrc=CLIENT, pdst=SERVER, hwsrc=MAC["src"]), "ARP behind two tags", "Arp", ETHERNET + 8 + 28)
    add("vlan", "tag-and-nothing", bytes(ether("c"))[:16], "the frame ends within the tag", "VlanShort", ETHERNET, verdict="malformed")
    for name, kind in [("mpls", 0x8847), ("pppoe", 0x8864), ("lldp", 0x88CC), ("pause", 0x8808), ("ieee-802.3", 46)]:
        add("vlan", name, Ether(**MAC, type=kind) / noise(46), f"EtherType {kind:#06x}", "OtherEtherType", ETHERNET, ETHERNET)


def ipv4():
    base = ETHERNET + IPV4
    plain = ether() / ip4() / tcp() / noise(30)
    add("ipv4", "tcp", plain, "a data segment", "Tcp", base + 20)
    add("ipv4", "padded", bytes(ether() / ip4() / tcp()) + bytes(6), "an ACK padded to Ethernet's 60 bytes", "Tcp", base + 20, base + 20)
    for words in (1, 5, 10):
        options = b"\x01" * (4 * words - 3) + b"\x07\x03\x04"
        frame = bytes(ether() / ip4(proto=6, ihl=5 + words, len=IPV4 + 4 * words + 20 + 8) / Raw(options) / tcp() / noise(8))
        add("ipv4", f"options-{4 * words}", frame, f"{4 * words} bytes of IP options", "Tcp", base + 4 * words + 20)
    udp = ip4() / UDP(sport=53, dport=5353) / noise(30)
    add("ipv4", "udp", ether() / udp, "UDP", "Udp", base + 8)
    add("ipv4", "udp-no-checksum", ether() / ip4() / UDP(sport=53, dport=5353, chksum=0) / noise(3), "UDP without a checksum", "Udp", base + 8)
    add("ipv4", "udp-padded", bytes(ether() / ip4(len=IPV4 + 20) / UDP(sport=53, dport=5353, len=10) / noise(12)), "UDP that ends before its packet", "Udp", base + 8)
    add("ipv4", "ping", ether() / ip4() / ICMP(id=1, seq=2) / noise(32), "ICMP echo", "Icmp", base + 8)
    add("ipv4", "gre", ether() / ip4() / GRE(proto=0x0800) / ip4() / tcp(), "GRE is not looked into", "OtherTransport", base)
    for name, protocol in [("esp", 50), ("ah", 51), ("sctp", 132), ("ipip", 4), ("protocol-255", 255), ("protocol-0", 0)]:
        add("ipv4", name, ether() / ip4(proto=protocol) / noise(24), f"IP protocol {protocol}", "OtherTransport", base)
    big = bytes(ip4(flags=0) / UDP(sport=53, dport=5353) / noise(2000))[IPV4:]
    for number, at in enumerate(range(0, len(big), 720)):
        more = at + 720 < len(big)
        piece = ether() / ip4(proto=17, flags="MF" if more else 0, frag=at // 8) / Raw(big[at : at + 720])
        add("ipv4", f"fragment-{number}", piece, f"fragment {number} of a datagram", "Fragment", base)
    add("ipv4", "tcp-first-fragment", ether() / ip4(flags="MF") / tcp() / noise(12), "a fragment with a TCP header", "Fragment", base)
    add("ipv4", "tiny-fragment", ether() / ip4(flags="MF") / Raw(bytes(tcp())[:8]), "RFC 1858: eight bytes of TCP", "Fragment", base)
    add("ipv4", "overlap", ether() / ip4(frag=1, proto=6) / noise(24), "RFC 1858: a fragment that begins within the TCP header", "Fragment", base)
    add("ipv4", "ping-of-death", ether() / ip4(frag=8189, proto=1) / noise(100), "a fragment that ends beyond 65 535", "Fragment", base)
    add("ipv4", "reserved-flag", ether() / ip4(flags="evil") / tcp(), "RFC 3514: the reserved bit counts for nothing", "Tcp", base + 20)
    add("ipv4", "dont-fragment", ether() / ip4(flags="DF") / tcp(), "DF", "Tcp", base + 20)
    for name, fields, kind, sentence, headers in [
        ("version-5", {"version": 5}, "Ipv4Version", "version 5 under EtherType IPv4", base),
        ("ihl-4", {"ihl": 4}, "Ipv4HeaderLength", "a header of 16 bytes", base),
        ("ihl-15", {"ihl": 15, "len": 40}, "Ipv4TotalLength", "a header longer than the packet", base),
        ("length-0", {"len": 0}, "Ipv4TotalLength", "no total length: Linux writes so above 64 KB", base),
        ("length-beyond", {"len": 41}, "Ipv4TotalLength", "a total length beyond the frame", base),
        ("length-max", {"len": 65535}, "Ipv4TotalLength", "the greatest total length", base),
        ("no-transport", {"len": 20}, "TcpShort", "a packet that ends with its header", base),
    ]:
        add("ipv4", name, ether() / ip4(**fields) / tcp(), sentence, kind, headers, verdict="malformed")
    add("ipv4", "udp-length-7", ether() / ip4() / UDP(sport=1, dport=2, len=7) / noise(9), "a UDP length below its header", "UdpLength", base + 8, verdict="malformed")
    add("ipv4", "udp-length-beyond", ether() / ip4() / UDP(sport=1, dport=2, len=18) / noise(9), "a UDP length beyond the packet", "UdpLength", base + 8, verdict="malformed")
    add("ipv4", "checksums-wrong", ether() / ip4(chksum=1) / tcp(chksum=1, sport=40001) / noise(5), "wrong checksums are the receiver's to judge", "Tcp", base + 20)


def chain(*extensions, last=None):
    packet = ether() / ip6()
    for extension in extensions:
        packet /= extension
    return packet / (last if last is not None else tcp() / noise(11))


def authentication(words, after=6):
    """RFC 4302 by hand: scapy has no class for it in IPv6."""
    return bytes([after, words - 2, 0, 0]) + bytes(4 * words - 4)


def ipv6():
    base = ETHERNET + IPV6
    hop, routing = IPv6ExtHdrHopByHop(), IPv6ExtHdrRouting(addresses=[ROUTER6])
    destination, whole = IPv6ExtHdrDestOpt(), IPv6ExtHdrFragment(id=9)
    add("ipv6", "tcp", chain(), "a data segment", "Tcp", base + 20)
    add("ipv6", "hop-by-hop", chain(hop), "behind hop-by-hop options", "Tcp", base + 8 + 20)
    add("ipv6", "all-kinds", chain(hop, destination, routing, whole, destination), "behind one of each header", "Tcp", base + 8 + 8 + 24 + 8 + 8 + 20)
    add("ipv6", "atomic-fragment", chain(whole), "RFC 6946: a fragment that is all of its packet", "Tcp", base + 8 + 20)
    add("ipv6", "eight-headers", chain(*[destination] * 8), "eight extension headers", "Tcp", base + 8 * 8 + 20)
    add("ipv6", "nine-headers", chain(*[destination] * 9), "nine are one too many", "LongChain", base + 8 * 8)
    add("ipv6", "hop-by-hop-again", chain(destination, hop), "the order is the receiver's to judge", "Tcp", base + 16 + 20)
    secured = bytes(ether() / ip6(nh=51) / Raw(authentication(6)) / tcp() / noise(4))
    add("ipv6", "authentication", secured, "behind an authentication header", "Tcp", base + 24 + 20)
    for number, (offset, more) in enumerate([(0, 1), (90, 1), (180, 0)]):
        piece = chain(hop, IPv6ExtHdrFragment(id=77, offset=offset, m=more, nh=6), last=Raw(noise(720 if more else 300)))
        add("ipv6", f"fragment-{number}", piece, f"fragment {number} behind hop-by-hop options", "Fragment", base + 16)
    add("ipv6", "udp", chain(last=UDP(sport=53, dport=5353) / noise(20)), "UDP", "Udp", base + 8)
    add("ipv6", "ping", chain(last=ICMPv6EchoRequest(id=1, seq=2, data=noise(16))), "ICMPv6 echo", "Icmp6", base + 4)
    add("ipv6", "solicitation", chain(last=ICMPv6ND_NS(tgt=SERVER6)), "neighbour solicitation", "Ndp", base + 4)
    for name, next_header in [("esp", 50), ("no-next", 59), ("mobility", 135), ("unknown", 253)]:
        add("ipv6", name, ether() / ip6(nh=next_header) / noise(16), f"next header {next_header}", "OtherTransport", base)
    add("ipv6", "empty", ether() / ip6(nh=59, plen=0), "nothing behind the header", "OtherTransport", base)
    add("ipv6", "padded", bytes(chain(last=tcp())) + bytes(30), "padding behind the packet", "Tcp", base + 20, base + 20)
    for name, frame, kind, sentence, headers in [
        ("version-4", ether() / ip6(version=4) / tcp(), "Ipv6Version", "version 4 under EtherType IPv6", base),
        ("length-0", ether() / ip6(plen=0, nh=6) / tcp(), "Ipv6PayloadLength", "no length, and TCP to follow", base),
        ("length-beyond", ether() / ip6(plen=21, nh=6) / tcp(), "Ipv6PayloadLength", "a length beyond the frame", base),
        ("length-max", ether() / ip6(plen=65535, nh=6) / tcp(), "Ipv6PayloadLength", "the greatest length", base),
        ("extension-beyond", ether() / ip6(nh=0) / Raw(b"\x06\x01" + bytes(6)), "Ipv6Extension", "options beyond the packet", base + 8),
        ("extension-max", ether() / ip6(nh=60) / Raw(b"\x06\xff" + bytes(6)) / tcp(), "Ipv6Extension", "options of 2 KB in a short packet", base + 8),
        ("extension-cut", ether() / ip6(nh=43) / Raw(bytes(7)), "Ipv6Extension", "seven bytes of a routing header", base),
        ("chain-cut", chain(hop, last=Raw(b"")), "Ipv6Extension", "a chain that leads to a header that is not there", base + 8),
    ]:
        frame = bytes(frame)
        if name == "chain-cut":
            frame = frame[:54] + b"\x3c" + frame[55:]
        add("ipv6", name, frame, sentence, kind, headers, verdict="malformed")


def icmp():
    """Errors that quote flows. `conversation` has those about a flow of the table."""
    base, base6 = ETHERNET + IPV4 + 8, ETHERNET + IPV6 + 8
    back = {"src": ROUTER, "dst": CLIENT}
    segment = bytes(ip4() / tcp() / noise(40))
    datagram = bytes(ip4() / UDP(sport=5000, dport=5001) / noise(40))
    about = lambda packet, **fields: ether() / ip4(**back) / ICMP(**fields) / Raw(packet)  # noqa: E731
    add("icmp", "port-unreachable", about(datagram, type=3, code=3), "about UDP", "Quote", base + IPV4 + 8)
    add("icmp", "fragmentation-needed", about(segment[:28], type=3, code=4, nexthopmtu=1400), "RFC 1191, about eight bytes of TCP", "Quote", base + 28)
    add("icmp", "time-exceeded", about(segment, type=11, code=0), "about a whole segment", "Quote", base + 28)
    add("icmp", "redirect", about(segment, type=5, code=1, gw=ROUTER), "a redirect quotes as well", "Quote", base + 28)
    add("icmp", "source-quench", about(segment, type=4), "RFC 6633: deprecated, and still about something", "Quote", base + 28)
    add("icmp", "parameter-problem", about(segment, type=12), "a parameter problem", "Quote", base + 28)
    optioned = bytes(ip4(proto=6, ihl=7, len=48) / Raw(b"\x01" * 8) / tcp())
    add("icmp", "quoted-options", about(optioned, type=11, code=0), "the quoted header has options", "Quote", base + 36)
    add("icmp", "extended", about(segment + bytes(128 - len(segment)) + b"\x20\x00\x00\x00", type=11, code=0), "RFC 4884: extensions behind the quotation", "Quote", base + 28)
    add("icmp", "quoted-fragment", about(bytes(ip4(frag=9, proto=6) / noise(8)), type=11, code=1), "a later fragment has no ports", "Icmp", base + 20)
    add("icmp", "quoted-ping", about(bytes(ip4() / ICMP(id=1, seq=1)), type=3, code=1), "about a ping", "Icmp", base + 20)
    add("icmp", "quoted-error", about(bytes(about(segment, type=3, code=1))[ETHERNET:], type=3, code=1), "an error about an error", "Icmp", base + 20)
    add("icmp", "nothing-quoted", about(b"", type=3, code=1), "an error about nothing", "Icmp", base)
    add("icmp", "half-a-header", about(segment[:12], type=3, code=1), "half an IP header quoted", "Icmp", base)
    add("icmp", "header-alone", about(segment[:20], type=3, code=1), "an IP header quoted and nothing more", "Icmp", base + 20)
    add("icmp", "seven-bytes", about(segment[:27], type=3, code=1), "one byte too few of TCP", "Icmp", base + 20)
    add("icmp", "quoted-version", about(b"\x65" + segment[1:], type=3, code=1), "a quoted packet of version 6", "Icmp", base + 20)
    add("icmp", "quoted-ihl", about(b"\x4f" + segment[1:28], type=3, code=1), "a quoted header longer than the quotation", "Icmp", base + 20)
    add("icmp", "short", ether() / ip4(proto=1, len=27) / Raw(bytes(7)), "seven bytes of ICMP", "IcmpShort", ETHERNET + IPV4, verdict="malformed")
    back6 = {"src": ROUTER6, "dst": CLIENT6}
    segment6 = bytes(ip6() / tcp() / noise(40))
    about6 = lambda packet, error: ether() / ip6(**back6) / error / Raw(packet)  # noqa: E731
    add("icmp", "no-route", about6(segment6, ICMPv6DestUnreach(code=0)), "ICMPv6 about TCP", "Quote", base6 + IPV6 + 8)
    add("icmp", "packet-too-big", about6(segment6, ICMPv6PacketTooBig(mtu=1280)), "RFC 8201", "Quote", base6 + IPV6 + 8)
    add("icmp", "hop-limit", about6(segment6, ICMPv6TimeExceeded()), "time exceeded", "Quote", base6 + IPV6 + 8)
    chained = bytes(ip6() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / tcp())
    add("icmp", "quoted-chain", about6(chained, ICMPv6PacketTooBig(mtu=1280)), "the quoted packet has extension headers", "Quote", base6 + IPV6 + 16 + 8)
    add("icmp", "quoted-fragment-6", about6(bytes(ip6() / IPv6ExtHdrFragment(id=1, offset=9, nh=6) / noise(8)), ICMPv6TimeExceeded(code=1)), "a later fragment", "Icmp6", base6 + IPV6 + 8)
    add("icmp", "quoted-v4", about6(segment, ICMPv6DestUnreach(code=0)), "a quoted packet of version 4", "Icmp6", base6 + IPV6)


def tcp_options():
    base = ETHERNET + IPV4
    frame = lambda **fields: ether() / ip4() / tcp(**fields) / noise(6)  # noqa: E731
    syn = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]
    add("tcp", "syn", frame(flags="S", options=syn), "a SYN as Linux writes it", "Tcp", base + 40)
    add("tcp", "fast-open", frame(flags="S", options=syn[:1] + [(34, noise(8))]), "a SYN with a cookie and data", "Tcp", base + 36)
    blocks = tuple(n for block in range(4) for n in (5000 + 100 * block, 5050 + 100 * block))
    add("tcp", "sack-4", frame(options=[("NOP", None), ("NOP", None), ("SAck", blocks)]), "four SACK blocks", "Tcp", base + 56)
    add("tcp", "timestamps", frame(options=TIMESTAMPS), "aligned timestamps", "Tcp", base + 32)
    add("tcp", "unaligned", frame(options=TIMESTAMPS[2:] + TIMESTAMPS[:2]), "timestamps first", "Tcp", base + 32)
    for name, flags in [("xmas", "FPU"), ("null", ""), ("everything", "FSRPAUEC"), ("reset", "R"), ("nonce", "NA")]:
        add("tcp", name, frame(flags=flags), f"flags {flags or 'none'}", "Tcp", base + 20)
    bent = lambda options: bytes(ether() / ip4(len=44) / tcp(dataofs=6) / Raw(options))  # noqa: E731
    for name, options, sentence in [
        ("option-length-0", b"\x08\x00\x01\x01", "an option of length 0 would be read for ever"),
        ("option-length-1", b"\xfe\x01\x01\x01", "an option shorter than itself"),
        ("option-beyond", b"\x08\x0a\x01\x01", "an option beyond the header"),
        ("option-cut", b"\x01\x01\x01\x02", "a kind without a length"),
    ]:
        add("tcp", name, bent(options), sentence, "TcpOption", base + 24, verdict="malformed")
    for name, options, sentence in [
        ("end-then-noise", b"\x00\x08\x00\x00", "what stands behind the end of options counts for nothing"),
        ("sack-of-nothing", b"\x05\x02\x01\x01", "SACK without blocks"),
        ("mss-of-1", b"\x02\x03\x01\x01", "MSS of one byte is skipped"),
    ]:
        add("tcp", name, bent(options), sentence, "Tcp", base + 24)
    for offset, sentence in [(0, "no header"), (4, "a header of 16 bytes"), (6, "a header beyond the packet")]:
        headers = base + 20
        add("tcp", f"offset-{offset}", ether() / ip4() / tcp(dataofs=offset), sentence, "TcpDataOffset", headers, verdict="malformed")
    add("tcp", "short", ether() / ip4(proto=6) / Raw(bytes(19)), "nineteen bytes of TCP", "TcpShort", base, verdict="malformed")


def long():
    """Frames longer than a buffer: jumbo, and what segmentation offload hands about. Equal bytes, to pack well."""
    base, base6 = ETHERNET + IPV4, ETHERNET + IPV6
    add("long", "full", ether() / ip4() / tcp() / (b"f" * 1460), "a full Ethernet frame", "Tcp", base + 20)
    add("long", "full-qinq", ether("sc") / ip4() / tcp() / (b"f" * 1460), "the same behind two tags", "Tcp", base + 8 + 20)
    add("long", "jumbo", ether() / ip4() / tcp() / (b"j" * 8960), "MTU 9 000", "Tcp", base + 20)
    add("long", "jumbo-6", ether() / ip6() / UDP(sport=1, dport=2) / (b"j" * 8952), "MTU 9 000, UDP over IPv6", "Udp", base6 + 8)
    add("long", "gso", ether() / ip4() / tcp(chksum=0) / (b"g" * (65535 - 40)), "the longest IPv4 packet", "Tcp", base + 20)
    add("long", "gso-6", ether() / ip6() / tcp(chksum=0) / (b"g" * (65535 - 20)), "the longest IPv6 packet", "Tcp", base6 + 20)
    big = bytes(ether() / ip6(nh=0, plen=0)) + b"\x06\x00\xc2\x04" + struct.pack(">I", 70000) + bytes(tcp(chksum=0)) + b"b" * 69972
    add("long", "big-tcp", big, "RFC 2675: the length is in an option", "Jumbogram", base6, base6)
    big4 = bytes(ether() / ip4(len=0) / tcp(chksum=0)) + b"b" * 70000
    add("long", "big-tcp-4", big4, "Linux' IPv4 beyond 64 KB has no length", "Ipv4TotalLength", base, verdict="malformed")


def short():
    add("short", "nothing", b"", "no byte at all", "EthernetShort", 0, verdict="empty")
    add("short", "one-byte", b"\x02", "one byte", "EthernetShort", 0, verdict="malformed")
    add("short", "thirteen", bytes(Ether(**MAC))[:13], "one byte less than an Ethernet header", "EthernetShort", 0, verdict="malformed")
    arp = ether() / ARP(op=1, psrc=CLIENT, pdst=SERVER, hwsrc=MAC["src"])
    add("short", "arp", arp, "ARP, 42 bytes", "Arp", ETHERNET + 28)
    add("short", "arp-padded", bytes(arp) + bytes(18), "ARP, padded", "Arp", ETHERNET + 28, ETHERNET + 28)
    long_addresses = bytes(arp)[:18] + b"\xff\xff" + bytes(arp)[20:]
    add("short", "arp-long-addresses", long_addresses, "ARP with addresses beyond its frame", "ArpShort", ETHERNET + 8, verdict="malformed")
    add("short", "header-only", ether(), "an Ethernet header and nothing else", "OtherEtherType", ETHERNET)
    add("short", "ipv4-and-nothing", Ether(**MAC, type=0x0800), "EtherType IPv4 and nothing else", "Ipv4Short", ETHERNET, verdict="malformed")
    add("short", "ipv6-and-nothing", Ether(**MAC, type=0x86DD), "EtherType IPv6 and nothing else", "Ipv6Short", ETHERNET, verdict="malformed")


def conversation():
    """Flows that the table comes to know, and what is said about them."""
    for name, tags, v6 in [("v4", "", False), ("qinq", "sc", False), ("v6", "", True)]:
        port = {"v4": 41001, "qinq": 41002, "v6": 41003}[name]
        at = ETHERNET + VLAN * len(tags) + (IPV6 + 8 if v6 else IPV4)
        seq, ack = 70000, 90000

        def packet(side, segment, payload=b""):
            out = side == "inside"
            ends = {"src": CLIENT6 if v6 else CLIENT, "dst": SERVER6 if v6 else SERVER}
            if not out:
                ends = {"src": ends["dst"], "dst": ends["src"]}
            segment.sport, segment.dport = (port, 443) if out else (443, port)
            head = ip6(**ends) / IPv6ExtHdrDestOpt() if v6 else ip4(**ends)
            return ether(tags) / head / segment / payload

        def say(step, side, sentence, flags, seq, ack, payload=b"", verdict="forwarded", options=()):
            options = list(options)
            headers = at + 20 + (12 if options else 0)
            frame = packet(side, tcp(flags=flags, seq=seq, ack=ack, options=options), payload)
            add("conversation", f"{name}-{step}", frame, sentence, "Tcp", headers, side=side, verdict=verdict, again="forwarded")

        say("syn", "inside", "SYN", "S", seq, 0, verdict="untracked")
        say("syn-ack", "outside", "SYN-ACK", "SA", ack, seq + 1, verdict="untracked")
        say("ack", "inside", "the ACK that makes it a flow", "A", seq + 1, ack + 1)
        say("data", "inside", "data", "PA", seq + 1, ack + 1, noise(100), options=TIMESTAMPS)
        say("answer", "outside", "its ACK, with data", "PA", ack + 1, seq + 101, noise(50), options=TIMESTAMPS)
        say("repeat", "inside", "the data again", "PA", seq + 1, ack + 51, noise(100), options=TIMESTAMPS)
        say("wild", "outside", "an ACK of what was never sent", "A", ack + 51, seq + 5000)
        say("more", "inside", "more data", "PA", seq + 101, ack + 51, noise(60))
        if not v6:
            quoted = bytes(packet("inside", tcp(seq=seq + 101), noise(20)))[at - IPV4 :][:28]
            error = ether(tags) / ip4(src=ROUTER, dst=CLIENT) / ICMP(type=3, code=4, nexthopmtu=1280) / Raw(quoted)
            add("conversation", f"{name}-too-big", error, "an error about data in flight", "Quote", at + 8 + 28, side="outside")
            piece = ether(tags) / ip4(flags="MF") / tcp(sport=port) / noise(12)
            add("conversation", f"{name}-fragment", piece, "a fragment of the flow is not followed", "Fragment", at, side="inside")
        say("fin", "inside", "FIN", "FA", seq + 161, ack + 51)
        say("fin-back", "outside", "FIN of the other side", "FA", ack + 51, seq + 162)
        say("reset", "outside", "and a reset on top", "R", ack + 52, 0)


def write(folder):
    for theme in (vlan, ipv4, ipv6, icmp, tcp_options, long, short, conversation):
        theme()
    lines = ["# Made by make.py, which says what the columns mean."]
    lines.append("\t".join("#file name side verdict again kind headers end sentence".split()))
    for file, frames in scenes.items():
        # Classic pcap, microseconds, Ethernet; a millisecond between two frames.
        capture = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
        for number, (frame, *columns) in enumerate(frames):
            capture += struct.pack("<IIII", 1, number * 1000, len(frame), len(frame)) + frame
            lines.append("\t".join(map(str, [file, *columns])))
        (folder / f"{file}.pcap").write_bytes(capture)
    (folder / "frames.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
