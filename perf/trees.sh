#!/usr/bin/env bash
# Trees of many small files: fastshare, encrypted, beside rsync, in turn and from the same source. For each command the wall time of the
# client, processor time (user and system) and peak resident memory of both ends.
#
#   perf/trees.sh [-r ROUNDS] [-w DIRECTORY] [-t TOOLS] FILES:BYTES...        e.g. perf/trees.sh 100000:4096 1000000:1024
#
#   -t  of: fastshare,again,rsync,dry,ssh (all). again: the same tree into the same folder once more; dry: `rsync -a --dry-run` likewise
#   -w  where the trees are made (/dev/shm)
# Needs python3, GNU time and rsync; sshd for the row over ssh. `fastshare` is the native executable: FASTSHARE, or artifacts/native after
#   dotnet publish -c Release -r linux-x64 -p:PublishAot=true -o artifacts/native tools/FastShare.Cli
set -euo pipefail

rounds=1 base=/dev/shm tools=fastshare,again,rsync,dry,ssh
while getopts r:w:t: option; do
  case $option in r) rounds=$OPTARG ;; w) base=$OPTARG ;; t) tools=$OPTARG ;; *) exit 2 ;; esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2; }

here=$(cd "$(dirname "$0")/.." && pwd)
fastshare=${FASTSHARE:-$here/artifacts/native/fastshare}
work=$(mktemp -d "$base/fastshare-trees.XXXXXX")
servers=()
trap 'for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
timed() { local name=$1; shift; exec env time -o "$work/$name.time" -f "%e %U %S %M" "$@"; } # to be run in a subshell or the background
end_timed() { kill -TERM "$(pgrep -P "$1")"; wait "$1" || true; }
wants() { [[ ",$tools," == *",$1,"* ]]; }

make_tree() { # FILES BYTES
  python3 - "$work/source" "$1" "$2" <<'PY'
import os, sys
root, files, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
noise = os.urandom((1 << 20) + size)
for first in range(0, files, 1000):
    folder = f"{root}/d{first // 1000:04}"
    os.makedirs(folder)
    at = os.open(folder, os.O_RDONLY)
    for i in range(first, min(files, first + 1000)):
        begin = i * 37 % (1 << 20)
        file = os.open(f"f{i:07}", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=at)
        os.write(file, (i.to_bytes(8, "big") + noise[begin:begin + size])[:size])
        os.close(file)
    os.close(at)
PY
}

same() { diff -rq "$work/source" "$1" > "$work/diff" && echo same || echo "DIFFERENT ($(wc -l < "$work/diff"))"; }

# one line: wall time of the client, processor time and memory of client and server; DATA: seconds until the first byte was stored
report() { # LABEL CLIENT SERVER RESULT
  python3 - "$work" "$@" <<'PY'
import os, sys
work, label, client, server, result = sys.argv[1:6]
read = lambda name: [float(x) for x in open(f"{work}/{name}.time").read().split()[-4:]] if name else [0] * 4
c, s = read(client), read(server)
first = f"{work}/first"
data = f"   first data after {float(open(first).read()):.2f} s" if os.path.exists(first) else ""
print(f"{label:28} {c[0]:7.2f} s   client {c[1]:.2f}+{c[2]:.2f} CPU-s {c[3] / 1024:4.0f} MiB   server {s[1]:.2f}+{s[2]:.2f} CPU-s {s[3] / 1024:4.0f} MiB"
      f"   both {c[1] + c[2] + s[1] + s[2]:.2f} CPU-s   {result}{data}", flush=True)
PY
  rm -f "$work/first"
}

run_fastshare() { # LABEL
  : > "$work/receive.out"
  timed receive "$fastshare" receive "$work/target" --yes --once --no-mdns --ephemeral --listen /ip4/127.0.0.1/tcp/0 > "$work/receive.out" 2>&1 &
  local receiver=$! address=
  while [ -z "$address" ]; do
    sleep 0.05
    address=$(grep -om1 '/ip4/127.0.0.1/tcp/[0-9]*/p2p/[A-Za-z0-9]*' "$work/receive.out" || true)
  done
  python3 - "$work" "$EPOCHREALTIME" <<'PY' &
import os, re, sys, time
work, start = sys.argv[1], float(sys.argv[2])
while time.time() < start + 60:
    for folder in (f"{work}/target/{name}" for name in (os.listdir(f"{work}/target") if os.path.isdir(f"{work}/target") else []) if name.startswith(".fastshare-")):
        try:
            if any(re.fullmatch("[0-9a-f]{8}[.][0-9a-f]{8}", name) and os.stat(f"{folder}/{name}").st_size for name in os.listdir(folder)):
                open(f"{work}/first", "w").write(str(time.time() - start))
                sys.exit()
        except OSError:
            pass
    time.sleep(0.02)
PY
  local watcher=$!
  (timed send "$fastshare" send "$work/source" --no-mdns --ephemeral --to "$address") > "$work/send.out" 2>&1 || tail -3 "$work/send.out"
  wait "$receiver" || tail -3 "$work/receive.out"
  kill "$watcher" 2>/dev/null || true; wait "$watcher" 2>/dev/null || true
  report "$1" send receive "$(same "$work/target/source")"
}

start_rsyncd() {
  rsync_port=$(port)
  printf 'port = %s\naddress = 127.0.0.1\nuse chroot = no\nuid = %s\ngid = %s\n[t]\npath = %s\nread only = no\n' \
    "$rsync_port" "$(id -u)" "$(id -g)" "$work/target" > "$work/rsyncd.conf"
  mkdir -p "$work/target"
  timed rsyncd rsync --daemon --no-detach --config="$work/rsyncd.conf" &
  rsyncd=$!
  until (exec 3<> "/dev/tcp/127.0.0.1/$rsync_port") 2>/dev/null; do sleep 0.05; done
}

run_rsync() { # LABEL OPTIONS
  start_rsyncd
  # shellcheck disable=SC2086
  (timed rsync rsync -a $2 "$work/source" "rsync://127.0.0.1:$rsync_port/t/")
  end_timed "$rsyncd"
  report "$1" rsync rsyncd "$(same "$work/target/source")"
}

run_ssh() {
  [ -x /usr/sbin/sshd ] || { echo "no sshd: the row over ssh is left out"; return; }
  local ssh_port; ssh_port=$(port)
  for key in host user; do [ -f "$work/$key" ] || ssh-keygen -q -t ed25519 -N "" -f "$work/$key"; done
  [ "$(id -u)" != 0 ] || mkdir -p /run/sshd
  printf 'ListenAddress 127.0.0.1\nPort %s\nHostKey %s/host\nAuthorizedKeysFile %s/user.pub\nPidFile %s/sshd.pid\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n' \
    "$ssh_port" "$work" "$work" "$work" > "$work/sshd.conf"
  mkdir -p "$work/target"
  timed sshd /usr/sbin/sshd -D -f "$work/sshd.conf" 2> /dev/null &
  local sshd=$!
  until (exec 3<> "/dev/tcp/127.0.0.1/$ssh_port") 2>/dev/null; do sleep 0.05; done
  (timed rsync rsync -a -e "ssh -p $ssh_port -i $work/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR" \
    "$work/source" "127.0.0.1:$work/target/")
  end_timed "$sshd"
  report "rsync -a over ssh" rsync sshd "$(same "$work/target/source")"
}

for shape in "$@"; do
  files=${shape%%:*} bytes=${shape##*:}
  echo "$files files of $bytes bytes"
  rm -rf "$work/source"; make_tree "$files" "$bytes"
  for _ in $(seq "$rounds"); do
    rm -rf "$work/target"
    if wants fastshare || wants again; then run_fastshare "fastshare"; fi
    if wants again; then run_fastshare "fastshare, again"; fi
    rm -rf "$work/target"
    if wants rsync || wants dry; then run_rsync "rsync -a, daemon" ""; fi
    if wants dry; then run_rsync "rsync -a --dry-run, again" --dry-run; fi
    rm -rf "$work/target"
    if wants ssh; then run_ssh; fi
  done
  rm -rf "$work/target"
done
