#!/usr/bin/env bash
# Installs what building, testing and the demo need on Debian 12, and says what it does.
# Safe to run again: it only acts on what is missing. Rust itself (cargo, rustc >= 1.92) must be there.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }

# package: why
packages=(
    build-essential     # C compiler for the DPDK shim
    pkg-config          # finds libdpdk
    libdpdk-dev         # DPDK headers and libraries (22.11)
    dpdk                # DPDK drivers (plugins)
    dpdk-dev            # dpdk-testpmd, which the path bench compares with
    libclang-dev        # bindgen reads the DPDK headers
    clang               # compiles the BPF programs
    libbpf-dev          # headers for them
    libelf-dev          # libbpf reads objects by it
    zlib1g-dev          # and by this
    iproute2            # namespaces, veth, taps
    ethtool             # turns segmentation offload off on test links
    iputils-ping        # RTT beside the flows
    iperf3              # real TCP
    tshark              # independent check of checksums in captures
    python3-scapy       # writes the corpus of frames
    python3-numpy       # the example adapter process (trainer/python)
    curl                # scrapes metrics in tests
)
python3 -m pip --version >/dev/null 2>&1 || packages+=(python3-pip)
scripts/need.sh "${packages[@]}"
say "all ${#packages[@]} packages are installed"

command -v cargo >/dev/null || { say "cargo is missing: install Rust 1.92 or newer (rustup), then run again"; exit 1; }

scripts/fetch-ort.sh
