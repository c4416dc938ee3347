#!/usr/bin/env bash
# A wide-area link by the kernel's own netem, for `perf/wan.sh` and `perf/SideBySide -- --wan`: two network namespaces joined by a pair of
# virtual cards. Needs root, iproute2 and the kernel module sch_netem; says so where that is missing.
#   perf/netem-lab.sh up --rtt MS --rate MBIT --loss PERCENT [--cc NAME]
#   perf/netem-lab.sh exec a|b COMMAND...
#   perf/netem-lab.sh down
set -euo pipefail
name=${WANLAB_NAME:-fsnetem}

down() {
  local end
  for end in a b; do ip netns del "$name-$end" 2>/dev/null || true; done
}

up() {
  local rtt=0 rate=1000 loss=0 control=
  while [ $# -gt 0 ]; do
    case $1 in
      --rtt) rtt=$2 ;; --rate) rate=$2 ;; --loss) loss=$2 ;; --cc) control=$2 ;;
      *) echo "unknown option $1" >&2; exit 2 ;;
    esac
    shift 2
  done
  down
  ip netns add "$name-a"
  ip netns add "$name-b"
  ip -n "$name-a" link add wan type veth peer name wan netns "$name-b"
  # Half of the round trip each way; the queue holds the line's bandwidth times its delay, and at least 128 KB, in packets of 1500 bytes.
  local half queue end address=1
  half=$(awk "BEGIN { print $rtt / 2 }")
  queue=$(awk "BEGIN { b = $rate * 1e6 / 8 * $rtt / 1e3; if (b < 131072) b = 131072; print int(2 * b / 1500) }")
  for end in a b; do
    ip -n "$name-$end" addr add "10.77.0.$address/24" dev wan
    ip -n "$name-$end" link set lo up
    ip -n "$name-$end" link set wan up
    # Packets are lost and delayed one by one, so none may be larger than the line's.
    ip netns exec "$name-$end" sh -c 'command -v ethtool >/dev/null && ethtool -K wan tso off gso off gro off >/dev/null' || true
    [ -z "$control" ] || ip netns exec "$name-$end" sysctl -qw "net.ipv4.tcp_congestion_control=$control"
    tc -n "$name-$end" qdisc add dev wan root netem delay "${half}ms" rate "${rate}mbit" loss "$loss%" limit "$queue" || {
      echo "this kernel has no netem (module sch_netem)" >&2
      down
      exit 1
    }
    address=2
  done
}

case ${1:-} in
  up) shift; up "$@" ;;
  exec) end=$2; shift 2; exec ip netns exec "$name-$end" "$@" ;;
  down) down ;;
  *) echo "usage: perf/netem-lab.sh up --rtt MS --rate MBIT --loss PERCENT [--cc NAME] | exec a|b COMMAND... | down" >&2; exit 2 ;;
esac
