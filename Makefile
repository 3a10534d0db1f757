# Two commands do everything on a fresh Debian 12 machine as root: `make demo` and `make test`.
# `make nightly` runs the long tiers. Every target installs what it needs, and says so.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# 1: a test that finds its means missing (root, hugepages, QEMU, ONNX Runtime) fails instead of
# skipping. `make test WEIR_REQUIRE_ALL=0` skips them, loudly. What a processor lacks nobody can install: `make test` says
# at its end which executor could not be tested.
export WEIR_REQUIRE_ALL ?= 1
export WEIR_ORT_LIB ?= $(CURDIR)/third_party/ort/libonnxruntime.so

DPDK_PACKAGES := -p weir-dpdk-sys -p weir-dpdk
HUGEPAGES := 256

.PHONY: help
help:
	@echo "make demo     real TCP through Weir on DPDK, paced by a network: one table, one figure (2 minutes)"
	@echo "make test     everything that CI runs"
	@echo "make test-nic weir on a NIC bound to vfio-pci, in a machine that it boots (1 minute; in make test)"
	@echo "make nightly  the long tiers"
	@echo "make test-kernel  Weir's kernel modules on a stock kernel in QEMU (one minute)"
	@echo "make test-uml  the same modules under lockdep in User Mode Linux, goodput beside BBR and CUBIC"
	@echo "make bench    what SPEC.md quotes: tables, JSON and figures in out/bench"
	@echo "make claims-adapt  what adaptation does, in virtual time; make adaptation: on real TCP"
	@echo "make sim      experiments in virtual time: tables, CSV and figures in out/sim; FULL=1 for all"
	@echo "make train    the shipped models from nothing, in out/train: minutes of one core, no Python"
	@echo "make docker   the image built, run without root, checked"
	@echo "make capsule  a capsule pipeline in front of a worker: build, tests, TCP in namespaces"
	@echo "make build    the weir binary, with DPDK: target/release/weir"
	@echo "make setup    install what is missing"

.PHONY: setup
setup:
	scripts/setup.sh

.PHONY: hugepages
hugepages:
	scripts/hugepages.sh $(HUGEPAGES)

.PHONY: build
build: setup
	cargo build --release --locked -p weir-shell --features dpdk,bpf
	cargo build --release --locked -p weir-link -p weir-testbed

.PHONY: demo
demo: build hugepages
	target/release/weir-demo

.PHONY: test
test: setup lint unit python loom fuzz test-kernel dpdk bpf capsule-check build hugepages live dashboard test-nic
	@for feature in avx2 avx512_vnni; do grep -qw $$feature /proc/cpuinfo || \
		echo "make test: SKIPPED: tests of executor $$feature, which this processor cannot run; test it on another one"; done
	@echo "make test: all tiers passed"

.PHONY: lint
lint:
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --all-targets $(DPDK_PACKAGES) -p weir-bpf -p weir-shell --features weir-shell/dpdk,weir-shell/bpf -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet

.PHONY: unit
unit:
	cargo test --locked

# The adapter package for Python; Weir's side of it is among the unit tests.
.PHONY: python
python:
	cd trainer/python && /usr/bin/python3 -B -W error -m unittest discover -t . -s tests

# Writes the corpus of frames anew; a unit test compares it with what is committed.
.PHONY: corpus
corpus:
	/usr/bin/python3 dataplane/engine/corpus/make.py

.PHONY: loom
loom:
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --locked -p weir-handoff --test loom --test loom_steer --test loom_budget --release

# Hostile bytes, the same each time: half a minute. The long run has a seed of the day.
FUZZ := cargo run --profile fuzz --locked -p weir-fuzz --
.PHONY: fuzz
fuzz:
	$(FUZZ) --seed 1 parser=1000000 worker=20000 tracker=4000 snapshot=50000 onnx=50000 training=20000 config=30000

.PHONY: fuzz-long
fuzz-long:
	$(FUZZ) parser=10000000 worker=170000 tracker=200000 snapshot=1000000 onnx=1000000 training=300000 config=1000000

.PHONY: dpdk
dpdk:
	cargo test --locked $(DPDK_PACKAGES)
	cargo test --locked -p weir-shell --features dpdk

# Networks and features as BPF against their definitions, and the congestion controls, in this host's kernel: as root.
.PHONY: bpf
bpf:
	cargo test --locked -p weir-bpf

# Real TCP in namespaces that the tests make themselves. One at a time: they share two cores.
.PHONY: live
live:
	cargo test --locked -p weir-testbed --features live -- --test-threads 1

# A machine of its own, emulated: README.md's chapter typed into it, TCP through a card on vfio-pci, books against captures.
.PHONY: test-nic
test-nic: build
	bench/nic/run.sh

# Weir's kernel modules: built for a stock Debian kernel without a warning of W=1 or sparse, booted in QEMU, tested there.
# Needs no KVM. A minute after the first time, which fetches the kernel.
KERNEL_PACKAGES := qemu-system-x86 busybox-static cpio sparse kmod xz-utils iperf3 iproute2 ethtool binutils
.PHONY: test-kernel
test-kernel:
	scripts/need.sh $(KERNEL_PACKAGES)
	cargo test --locked --no-run
	kernel/test/run.sh 6.12 short

# The same at length, on both kernels.
.PHONY: test-kernel-long
test-kernel-long:
	scripts/need.sh $(KERNEL_PACKAGES)
	cargo test --locked --no-run
	kernel/test/run.sh 6.12 long
	kernel/test/run.sh 6.1 long

# The same in User Mode Linux: with lockdep, PROVE_RCU and virtual time, in which goodputs compare. The first time builds it,
# which takes ten minutes of two cores.
.PHONY: test-uml
test-uml:
	scripts/need.sh $(KERNEL_PACKAGES) flex bison bc
	cargo test --locked --no-run
	kernel/test/run-uml.sh

# The crate capsule is in a workspace of its own (docs/decisions/0012-capsule.md): that it still compiles, and that nothing
# of it is in Weir's own graph. Not --locked: its lock file follows when a crate of Weir's gets another dependency.
CAPSULE := cd capsule && cargo
.PHONY: capsule-check
capsule-check:
	$(CAPSULE) fmt --all --check
	$(CAPSULE) clippy --workspace --all-targets -- -D warnings
	@git diff --quiet -- capsule/Cargo.lock || echo "capsule/Cargo.lock has followed Weir's dependencies: commit it"
	@tree=$$(cargo tree --locked --prefix none); ! grep '^\(weir-\)\?capsule' <<<"$$tree" || \
		{ echo "capsule is in the graph of Weir's default members"; exit 1; }

# Its tests: the bindings, the front, the list, capsule's own runtime, real TCP in namespaces.
.PHONY: capsule
capsule: setup hugepages
	$(CAPSULE) build --release --examples
	$(CAPSULE) test --workspace -- --test-threads 1

# Measures; asserts nothing about time. Best on a machine that does nothing else.
.PHONY: bench
bench: bench-inference
bench: bench-path

.PHONY: bench-inference
bench-inference: setup
	scripts/need.sh clang
	cargo build --release --locked -p weir-inference
	target/release/weir-inference --model conf/models/aurora-published.onnx --out out/bench/aurora-published
	target/release/weir-inference

# Against testpmd and l3fwd; see bench/path/README.md.
.PHONY: bench-path
bench-path: build
	scripts/hugepages.sh 900
	bench/path/peers.sh target/peers
	cargo build --release --locked -p weir-bench-path
	target/release/weir-bench-path

# Adaptation in virtual time, seven minutes: changed environments under two bases, the trainer's interval, the fidelity
# threshold.
.PHONY: claims-adapt
claims-adapt: setup
	cargo build --release --locked -p weir-claims
	target/release/weir-claims --rows D,B,S
	target/release/weir-claims --base conf/models/aurora.onnx --out out/claims/aurora

# Experiments in virtual time: every file but those that say full; with FULL=1 all, ten seeds each. Fails where a file's
# expectations do not hold, after the last one.
SIM_FILES := $(filter-out $(if $(FULL),,%-full.toml),$(sort $(wildcard sim/experiments/*.toml)))
.PHONY: sim
sim:
	cargo build --release --locked -p weir-shell
	failed=0; for file in $(SIM_FILES); do \
		target/release/weir sim run $$file --out out/sim $(if $(FULL),--seeds 10) || failed=1; \
	done; exit $$failed

# Adaptation on real TCP, ten minutes: the path becomes shorter under a Weir that learns and under one that is frozen, whose
# network breaks down there.
.PHONY: adaptation
adaptation: build hugepages
	target/release/weir-adaptation --set 'model[0].file=models/aurora-published.onnx' \
		--set pacing.control_share=0.1 --set pacing.explore_share=0.4 --set pacing.sample_share=0.5

# The shipped models from nothing, each by the command on its card: gradient steps by ONNX Runtime, no Python.
.PHONY: train
train: setup
	cargo build --release --locked -p weir-shell
	scripts/train.sh target/release/weir out/train

# Under a minute: alerts against their cases, then every panel and alert against a real Prometheus and a real Weir.
.PHONY: dashboard
dashboard: build hugepages
	scripts/need.sh prometheus
	promtool check config docker/prometheus.yml
	promtool check rules docker/alerts.yml
	promtool test rules docker/alerts_test.yml
	target/release/weir-dashboard

# The image built from docker/Dockerfile, and docker/compose.yml run as it is. About six minutes.
.PHONY: docker
docker: setup
	docker/test/run.sh

.PHONY: nightly
nightly: test docker
	PROPTEST_CASES=20000 cargo test --release --locked -p weir-snapshot -p weir-features -p weir-engine -p weir-trainer
	cargo test --release --locked -p weir-trainer --test killed -- --ignored
	LOOM_MAX_PREEMPTIONS=3 $(MAKE) loom
	$(MAKE) fuzz-long
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --all-features check licenses bans sources
	cargo test --locked -p weir-testbed --features live -- --test-threads 1 --ignored
	bench/nic/run.sh igb
	$(MAKE) test-kernel-long
	$(MAKE) test-uml
	$(MAKE) capsule
	target/release/weir-demo
	@echo "make nightly: all tiers passed"
