#!/usr/bin/env bash
# Installs what perf/SideBySide compares FastShare with, as far as Debian's packages and npm have it. What stays missing is told by
# the runner and left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

wanted=(iperf3:iperf3 nginx:nginx-light curl:curl sshd:openssh-server scp:openssh-client rsync:rsync socat:socat aria2c:aria2 npm:npm)
packages=()
PATH="$PATH:/usr/sbin:/sbin"
for entry in "${wanted[@]}"; do
  command -v "${entry%%:*}" >/dev/null || packages+=("${entry#*:}")
done
if [ ${#packages[@]} -gt 0 ]; then
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
fi

(cd tests/Interop/js && npm ci --ignore-scripts --no-fund --no-audit)
dotnet build -c Release
