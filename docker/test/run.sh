#!/bin/bash
# SPDX-License-Identifier: MIT OR Apache-2.0
# Builds docker/Dockerfile, runs docker/compose.yml between namespaces, and checks that Weir works there without root.
# `make docker`. Run as root on Debian 12.
#
# It starts a Docker daemon of its own, with its own socket, no bridge and no firewall rule. In its data, target/docker, the
# bases and the last image stay for the next run (0.8 GB); containers, volumes and build layers go. Containers run in a
# network namespace made for them: for them it is the host's network.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
data=$root/target/docker
work=$(mktemp -d /tmp/weir-docker.XXXXXX)
export DOCKER_HOST=unix://$work/docker.sock DOCKER_BUILDKIT=0
export WEIR_IMAGE=weir-test/weir PROMETHEUS_IMAGE=weir-test/prometheus
project=weirtest$$
bed=weirbed-$$          # as weir-testbed names namespaces, so that its sweep finds what a killed run leaves
daemon=

say() { printf 'docker: %s\n' "$*"; }
fail() {
    printf 'docker: FAILED: %s\n' "$*" >&2
    docker logs "$(weir_container)" 2>&1 | tail -15 >&2 || true
    exit 1
}
compose() { docker-compose -p "$project" -f docker/compose.yml "$@"; }
weir_container() { docker ps -aq --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.service=weir; }
inside() { nsenter --net="/run/netns/$bed-weir" "$@"; }

daemon_stop() {
    [ -z "$daemon" ] || { kill "$daemon" 2>/dev/null && wait "$daemon" || true; }
    daemon=
}
# daemon_start [COMMAND...]: through COMMAND, such as nsenter
daemon_start() {
    daemon_stop
    "$@" dockerd --data-root="$data" --exec-root="$work/exec" --pidfile="$work/dockerd.pid" -H "$DOCKER_HOST" \
        --storage-driver=overlay2 --bridge=none --iptables=false --ip6tables=false >>"$work/dockerd.log" 2>&1 &
    daemon=$!
    for _ in $(seq 100); do
        docker info >/dev/null 2>&1 && return
        kill -0 "$daemon" 2>/dev/null || break
        sleep 0.2
    done
    tail -5 "$work/dockerd.log" >&2
    fail "the Docker daemon does not answer"
}
cleanup() {
    local status=$?
    trap - EXIT
    set +e
    if [ -n "$daemon" ]; then
        compose down --volumes --timeout 5 >/dev/null 2>&1
        docker ps -aq --filter "label=weir-test=$project" | xargs -r docker rm -f >/dev/null 2>&1
        docker image prune -f >/dev/null 2>&1
        daemon_stop
    fi
    # The daemon pins the namespace that is the host's to it, and leaves the pin.
    umount "$work"/exec/netns/* 2>/dev/null
    for role in client weir server; do ip netns del "$bed-$role" 2>/dev/null; done
    rm -rf "$work"
    exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

[ "$(id -u)" = 0 ] || { echo "docker: run as root" >&2; exit 1; }
scripts/need.sh docker.io debootstrap docker-compose prometheus curl iperf3 iputils-ping iproute2 ethtool jq

# ---- build, on this host's network for the package mirror
mkdir -p "$data"
daemon_start
docker/test/bases.sh "$work/bases"
say "building the image"
docker build --network=host -f docker/Dockerfile --build-arg BUILDER=weir-test/rust --target weir -t "$WEIR_IMAGE" . \
    >"$work/build.log" 2>&1 || { tail -20 "$work/build.log" >&2; fail "the image does not build"; }
size() { docker image inspect -f '{{.Size}}' "$1" | awk '{ printf "%.0f MB", $1 / 1e6 }'; }
say "image $(size "$WEIR_IMAGE"), of it the base $(size debian:bookworm-slim)"

# ---- a client, Weir and a server
for role in client weir server; do
    ip netns add "$bed-$role"
    ip -n "$bed-$role" link set lo up
done
inside sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
wire() { # role device address port
    ip -n "$bed-$1" link add "$2" type veth peer name "$4" netns "$bed-weir"
    ip -n "$bed-$1" addr add "$3/24" dev "$2"
    for end in "$1 $2" "weir $4"; do
        read -r role device <<<"$end"
        nsenter --net="/run/netns/$bed-$role" ethtool -K "$device" tx off rx off sg off tso off gso off gro off >/dev/null
        ip -n "$bed-$role" link set "$device" up
    done
}
wire client c0 10.9.1.1 weir-in
wire server s0 10.9.1.2 weir-out
daemon_start nsenter --net="/run/netns/$bed-weir"

get() { inside curl -fsS --max-time 2 "http://127.0.0.1:$1"; }
until_true() { # seconds what command...
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $deadline ] || fail "$what"
        sleep 0.3
    done
}
paced() { get 9464/metrics | awk '/^weir_verdicts_total.*verdict="paced"/ { n += $2 } END { print n + 0 }'; }
of_status() { awk -v key="$2:" '$1 == key { print $2, $3, $4, $5 }' "/proc/$1/status"; }
# NET_ADMIN (bit 12), NET_RAW (13), IPC_LOCK (14); what compose.yml allows besides: SYS_NICE (23)
held_caps=0000000000007000
compose_caps=0000000000807000
checks() { # container pages(yes|no) allowed_caps
    local pid expected actual
    until_true 30 "/readyz never said yes" get 9464/readyz
    until_true 40 "the container never became healthy" \
        bash -c "[ \"\$(docker inspect -f '{{.State.Health.Status}}' $1)\" = healthy ]"
    pid=$(docker inspect -f '{{.State.Pid}}' "$1")
    [ "$(of_status "$pid" Uid)" = "10464 10464 10464 10464" ] || fail "user ids are $(of_status "$pid" Uid)"
    [ "$(of_status "$pid" Gid)" = "10464 10464 10464 10464" ] || fail "group ids are $(of_status "$pid" Gid)"
    for expected in "CapPrm $held_caps" "CapEff $held_caps" "CapBnd $3" "CapAmb 0000000000000000"; do
        actual=$(of_status "$pid" "${expected% *}" | tr -d ' ')
        [ "$actual" = "${expected#* }" ] || fail "${expected% *} is $actual, expected ${expected#* }"
    done
    pages=$(awk '$1 == "KernelPageSize:" && $2 == 2048 { n++ } END { print (n ? "yes" : "no") }' "/proc/$pid/smaps")
    [ "$pages" = "$2" ] || fail "hugepages mapped: $pages, expected $2"
    nsenter --net="/run/netns/$bed-client" ping -q -c 3 -i 0.2 -W 2 10.9.1.2 >/dev/null || fail "no echo through Weir"
    nsenter --net="/run/netns/$bed-server" iperf3 -s -1 >/dev/null & server=$!
    sleep 0.5
    nsenter --net="/run/netns/$bed-client" iperf3 -c 10.9.1.2 -t 3 -b 20M >/dev/null || fail "no TCP through Weir"
    wait "$server" || true
    [ "$(paced)" -gt 0 ] || fail "nothing was paced"
    say "ready and healthy as uid 10464, capabilities $held_caps of $3 allowed, hugepages: $2, $(paced) frames paced"
}
stops() { # container command...
    local container=$1 begun=$SECONDS status
    shift
    "$@" >/dev/null 2>&1
    status=$(docker inspect -f '{{.State.ExitCode}}' "$container")
    [ "$status" = 0 ] || fail "stopped with status $status"
    # drain_max in conf/demo.toml is 2 s; the daemon would have killed it after 70.
    [ $((SECONDS - begun)) -lt 15 ] || fail "took $((SECONDS - begun)) s to stop"
    say "stopped with status 0 after $((SECONDS - begun)) s"
}

# ---- compose.yml as it is: hugepages, Prometheus beside it
scripts/hugepages.sh 160 >/dev/null
compose up -d --no-build weir prometheus >"$work/compose.log" 2>&1 || { cat "$work/compose.log" >&2; fail "compose up"; }
container=$(weir_container)
checks "$container" yes $compose_caps
scraped() { get '9090/api/v1/query?query=weir_ready==1' | jq -e '.data.result | length == 1'; }
until_true 20 "Prometheus has no sample of a ready Weir" scraped
get 9090/api/v1/rules | jq -e '[.data.groups[].rules[].health] | length > 5 and all(. == "ok" or . == "unknown")' >/dev/null ||
    fail "an alert cannot be evaluated"
docker exec "$container" weir ctl status --json | jq -e '.hindrances == []' >/dev/null || fail "weir ctl in the container"
say "Prometheus scrapes it and evaluates $(get 9090/api/v1/rules | jq '[.data.groups[].rules[]] | length') alerts"
stops "$container" compose stop weir
compose down --volumes >/dev/null 2>&1

# ---- the same without hugepages, and what happens without a capability
caps=(--cap-drop ALL --cap-add NET_RAW --cap-add NET_ADMIN)
plain=$(docker run -d --label "weir-test=$project" --network host "${caps[@]}" --cap-add IPC_LOCK --read-only \
    --tmpfs /run/weir:uid=10464,gid=10464,mode=0750 "$WEIR_IMAGE" run /etc/weir/demo.toml --set eal.hugepages=false)
weir_container() { echo "$plain"; }
checks "$plain" no $held_caps
stops "$plain" docker stop -t 70 "$plain"
if docker run --rm --label "weir-test=$project" --network none "${caps[@]}" "$WEIR_IMAGE" --version >"$work/refused.log" 2>&1; then
    fail "it starts without IPC_LOCK: its file has lost its capabilities"
fi
grep -q 'operation not permitted' "$work/refused.log" || fail "without a capability: $(cat "$work/refused.log")"
say "without one of the capabilities it does not start, as said"
say "all checks passed"
