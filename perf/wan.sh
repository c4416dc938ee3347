#!/usr/bin/env bash
# Transfers over an emulated wide-area link, one line a run: the share of the line that was moved from the fifth second on.
#
#   perf/wan.sh LAB [-s MIB] [-m MODES] [-c CONTROL] [-o "OPTIONS"] RTT:LOSS...
#
# LAB is the program that makes the link: `LAB up --rtt MS --rate MBIT --loss PERCENT --cc NAME`, `LAB exec a|b COMMAND`, `LAB down`, with
# the namespaces' addresses 10.77.0.1 (a, which sends) and 10.77.0.2 (b). Needs root, python3, and iperf3 for the comparison.
#   -s  size of the file in MiB (1500)          -m  modes, separated by commas (auto)
#   -c  the only congestion control: of the namespaces (reno where these may not have it by default), iperf3 and fastshare
#   -i  also run `iperf3 -P 1` for 8 s          -o  more options for `fastshare send`
set -euo pipefail

lab=$(readlink -f "${1:?usage: perf/wan.sh LAB [OPTION]... RTT:LOSS...}"); shift
size=1500 modes=auto control= options="" iperf=0
while getopts s:m:c:o:i option; do
  case $option in
    s) size=$OPTARG ;; m) modes=$OPTARG ;; c) control=$OPTARG ;; o) options=$OPTARG ;; i) iperf=1 ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))

here=$(cd "$(dirname "$0")/.." && pwd)
fastshare=${FASTSHARE:-$here/tools/FastShare.Cli/bin/Release/net10.0/fastshare}
rate=1000
export WANLAB_NAME=${WANLAB_NAME:-fswan}
work=$(mktemp -d "${TMPDIR:-/dev/shm}/fastshare-wan.XXXXXX")
receiver=
trap '[ -z "$receiver" ] || kill "$receiver" 2>/dev/null || true; "$lab" down >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
head -c "${size}M" /dev/urandom > "$work/file"

run() { # mode
  rm -rf "$work/target"; mkdir "$work/target"; : > "$work/receive.json"
  "$lab" exec b "$fastshare" receive "$work/target" --yes --once --json --no-mdns --ephemeral --listen /ip4/10.77.0.2/tcp/0 \
    > "$work/receive.json" 2> "$work/receive.err" &
  receiver=$!
  address=
  for _ in $(seq 100); do
    address=$(sed -n 's/.*"listening".*"addresses":\["\([^"]*\)".*/\1/p' "$work/receive.json" | head -1)
    [ -n "$address" ] && break
    sleep 0.2
  done
  # shellcheck disable=SC2086
  "$lab" exec a timeout 180 "$fastshare" send "$work/file" --to "$address" --no-mdns --ephemeral --json --mode "$1" \
    ${control:+--congestion "$control"} $options \
    > "$work/send.json" 2> "$work/send.err" || true
  wait "$receiver" 2>/dev/null || true
  receiver=
  cmp -s "$work/file" "$work/target/file" && same=same || same=DIFFERENT
  python3 - "$work" "$rate" "$2" "$3" "$1" "$same" <<'PY'
import json, sys
from datetime import datetime
work, rate, rtt, loss, mode, same = sys.argv[1:]
line = float(rate) * 1e6 / 8 * 1448 / 1514
events = lambda name: [json.loads(l) for l in open(f"{work}/{name}.json") if l.startswith("{")]
at = lambda e: datetime.fromisoformat(e["time"].replace("Z", "+00:00")).timestamp()
received = [(at(e), e["bytes"]) for e in events("receive") if e["event"] == "progress"]
sent = events("send")
moving = [p for p in received if p[1] > 0]
total = next((e for e in sent if e["event"] == "completed"), {})
text = "too short"
if len(moving) > 2:
    start, whole = moving[0][0], moving[-1][1]
    later = [p for p in moving if p[0] >= start + 5 and p[1] < whole]
    if len(later) > 2:
        speed = (later[-1][1] - later[0][1]) / (later[-1][0] - later[0][0])
        text = f"{100 * speed / line:.0f} % of the line from 5 s on ({speed / 1e6:.1f} MB/s over {later[-1][0] - later[0][0]:.1f} s)"
changes = [f'{at(e) - (moving[0][0] if moving else 0):.1f} s {e["to"]}: {e["why"]}' for e in sent if e["event"] == "modeChanged"]
print(f'{rtt} ms, {loss} % loss, {mode}: {text}; whole {total.get("seconds", 0):.1f} s, {total.get("connections", 0)} connections, '
      f'{next((e.get("congestionControl") for e in sent if e["event"] == "statistics"), None)}, {same}')
for change in changes: print("    " + change)
PY
}

for path in "$@"; do
  rtt=${path%%:*} loss=${path##*:}
  "$lab" down >/dev/null 2>&1 || true
  "$lab" up --rtt "$rtt" --rate "$rate" --loss "$loss" ${control:+--cc "$control"} > /dev/null 2>&1 \
    || "$lab" up --rtt "$rtt" --rate "$rate" --loss "$loss" --cc reno > /dev/null
  if [ "$iperf" = 1 ]; then
    "$lab" exec b iperf3 -s -1 > /dev/null & server=$!
    sleep 0.5
    "$lab" exec a iperf3 -c 10.77.0.2 -t 8 -O 2 ${control:+-C "$control"} -J | python3 -c 'import json,sys; r=json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"]
print(f"'"$rtt ms, $loss"' % loss, iperf3 -P 1: {100*r/('"$rate"'e6*1448/1514):.1f} % of the line ({r/8e6:.1f} MB/s)")'
    wait "$server" || true
  fi
  for mode in ${modes//,/ }; do run "$mode" "$rtt" "$loss"; done
done
