#!/usr/bin/env bash
# Installs what perf/SideBySide compares FastShare with, as far as Debian's packages and npm have it. What stays missing is told by
# the runner and left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

wanted=(iperf3:iperf3 nginx:nginx-light curl:curl sshd:openssh-server scp:openssh-client rsync:rsync socat:socat aria2c:aria2 strace:strace npm:npm)
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

# What a user would install: the native executable, if there is a linker for it; the runner falls back to the build's output.
case "$(uname -sm)" in
  "Linux x86_64") rid=linux-x64 ;;
  "Linux aarch64") rid=linux-arm64 ;;
  *) rid= ;;
esac
if [ -n "$rid" ]; then
  { dotnet publish -c Release -r "$rid" -p:PublishAot=true -o artifacts/native tools/FastShare.Cli &&
    dotnet publish -c Release -r "$rid" -p:PublishAot=true -o artifacts/load perf/Load; } ||
    echo "no native executable (it needs gcc or clang): measuring the build's output" >&2
fi
