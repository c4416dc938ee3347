#!/usr/bin/env bash
# The whole comparison with one command: installs and builds what it needs (perf/setup.sh), runs every row of perf/SideBySide, and leaves
# report.html, results.json and table.md in artifacts/side-by-side and one more line in perf/history.jsonl.
#   perf/run.sh [OPTION OF perf/SideBySide]...       such as --rounds 5 or --only "small files"; they come last, and so win
# WAN_LAB names the program that emulates a wide-area link (see perf/wan.sh); without it the kernel's netem does, where there is one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

perf/setup.sh
results=artifacts/side-by-side
mkdir -p "$results"
options=(--rounds 3 --strace yes --report "$results/report.html" --json "$results/results.json" --history perf/history.jsonl)
lab=${WAN_LAB:-}
if [ -z "$lab" ] && WANLAB_NAME=fsprobe perf/netem-lab.sh up --rtt 1 --rate 1000 --loss 0 >/dev/null 2>&1; then
  WANLAB_NAME=fsprobe perf/netem-lab.sh down
  lab=perf/netem-lab.sh
fi
[ -z "$lab" ] || options+=(--wan "$lab")

runner=perf/SideBySide/bin/Release/net10.0/FastShare.SideBySide
status=0
"$runner" "${options[@]}" "$@" >"$results/table.md" || status=$?
cat "$results/table.md"
echo "report: $results/report.html" >&2
exit "$status"
