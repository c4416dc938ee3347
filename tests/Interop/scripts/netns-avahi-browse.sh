#!/usr/bin/env bash
# Shows what DNS-SD tools see of a service from inside a network namespace: starts an Avahi daemon there, with a message bus
# and a runtime folder of its own, and prints `avahi-browse --resolve --parsable` of the service once it has resolved
# instances (or after SECONDS). The machine's own Avahi and message bus, if any, are not touched. Needs root, iproute2,
# avahi-daemon, avahi-utils, dbus.
#   netns-avahi-browse.sh NAMESPACE [SERVICE=_p2p._udp] [SECONDS=8]
# Exit code 0: at least one instance was resolved; 1: none.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: netns-avahi-browse.sh NAMESPACE [SERVICE] [SECONDS]" >&2; exit 2; }
namespace=$1 service=${2:-_p2p._udp} seconds=${3:-8}

# A mount namespace of its own hides /run/avahi-daemon, where the daemon insists on its socket and process id.
if [ -z "${IN_MOUNT_NAMESPACE:-}" ]; then
  IN_MOUNT_NAMESPACE=1 exec ip netns exec "$namespace" unshare --mount --propagation private "$0" "$@"
fi

folder=$(mktemp -d)
pids=()
remove() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
  umount /run/avahi-daemon 2>/dev/null || true
  rm -rf "$folder"
}
trap remove EXIT
trap 'exit 130' INT TERM
mkdir -p /run/avahi-daemon
mount -t tmpfs tmpfs /run/avahi-daemon

cat > "$folder/bus.conf" <<EOF
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=$folder/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
EOF
cat > "$folder/avahi.conf" <<EOF
[server]
host-name=avahi-observer
use-ipv4=yes
use-ipv6=yes
allow-interfaces=eth0
enable-dbus=yes
[publish]
disable-publishing=yes
EOF

export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$folder/bus
dbus-daemon --config-file="$folder/bus.conf" --nofork --nopidfile 2>"$folder/bus.log" & pids+=($!)
for _ in $(seq 50); do [ -S "$folder/bus" ] && break; sleep 0.1; done
avahi-daemon -f "$folder/avahi.conf" --no-chroot --no-drop-root --no-rlimits >"$folder/avahi.log" 2>&1 & pids+=($!)
for _ in $(seq 50); do avahi-browse --all --terminate >/dev/null 2>&1 && break; sleep 0.1; done

# --terminate would end before slow instances are resolved
timeout "$seconds" avahi-browse --resolve --parsable "$service" > "$folder/found" 2>"$folder/browse.log" & pids+=($!)
for _ in $(seq "$((seconds * 10))"); do
  grep -q '^=' "$folder/found" && { sleep 1; break; } # the other IP version follows at once
  sleep 0.1
done
cat "$folder/found"
grep -q '^=' "$folder/found" || { cat "$folder"/*.log >&2; exit 1; }
