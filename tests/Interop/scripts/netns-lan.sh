#!/usr/bin/env bash
# Runs a command beside a private network of two hosts: two network namespaces joined by a virtual cable, so that multicast
# never meets the machine's own network. The command finds their names in LAN_A and LAN_B and uses them by
#   ip netns exec "$LAN_A" …
# Host a is 10.77.0.1 and fd77::1, host b 10.77.0.2 and fd77::2, on interface eth0; both have a loopback interface of their own.
# Everything is removed at the end, whatever the end. Needs root and iproute2.
#   netns-lan.sh COMMAND [ARGUMENT…]
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: netns-lan.sh COMMAND [ARGUMENT…]" >&2; exit 2; }

unique=fs-$$-$RANDOM
export LAN_A=$unique-a LAN_B=$unique-b

remove() {
  for ns in "$LAN_A" "$LAN_B"; do
    # what the command left running there would keep the namespace alive
    for pid in $(ip netns pids "$ns" 2>/dev/null); do kill -9 "$pid" 2>/dev/null || true; done
    ip netns del "$ns" 2>/dev/null || true
  done
}
trap remove EXIT
trap 'exit 130' INT TERM

ip netns add "$LAN_A"
ip netns add "$LAN_B"
ip -n "$LAN_A" link add eth0 type veth peer name eth0 netns "$LAN_B"

set_up() { # NAMESPACE NUMBER
  # duplicate address detection would keep the IPv6 addresses unusable for two seconds
  ip netns exec "$1" sysctl -qw net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.eth0.dad_transmits=0
  ip -n "$1" link set lo up
  ip -n "$1" link set eth0 up
  ip -n "$1" address add "10.77.0.$2/24" dev eth0
  ip -n "$1" address add "fd77::$2/64" dev eth0 nodad
  ip -n "$1" route add 224.0.0.0/4 dev eth0
}
set_up "$LAN_A" 1
set_up "$LAN_B" 2

"$@"
