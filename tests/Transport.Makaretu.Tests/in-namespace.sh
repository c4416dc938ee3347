#!/usr/bin/env bash
# Runs a command in a network namespace of its own that has a loopback interface and nothing else, so that nothing multicast
# meets the machine's network. Removed at the end. Needs root and iproute2.
#   in-namespace.sh COMMAND [ARGUMENT…]
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: in-namespace.sh COMMAND [ARGUMENT…]" >&2; exit 2; }
namespace=fs-$$-$RANDOM
trap 'ip netns del "$namespace"' EXIT
ip netns add "$namespace"
ip -n "$namespace" link set lo up
ip -n "$namespace" route add 224.0.0.0/4 dev lo # the package joins its group where the route leads
ip netns exec "$namespace" "$@"
