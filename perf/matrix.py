#!/usr/bin/env python3
"""Auto mode against the fixed modes: shapes of work x paths, the modes in turn, as ratios within one run.

    perf/matrix.py [--lab LAB] [--rounds N] [--paths P,...] [--shape TEXT]... [--scale N] [--json FILE]

LAB is the program that makes the emulated link (perf/wan.sh says what it must understand); without it only the loopback interface is
measured. Paths are `loopback` or RTT:LOSS (ms, %), at 1000 Mbit/s. --scale divides the amount of work. A run's time is that of the whole
`fastshare send` process; every delivered tree is compared with its source. Needs python3, and root for LAB.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODES = ["sequential", "parallel", "auto"]
MIB = 1 << 20
SHAPES = {
    # name: [(number of files, bytes of each)]
    "one file of 4 GiB": [(1, 4096 * MIB)],
    "100 files of 40 MiB": [(100, 40 * MIB)],
    "100,000 files of 4 KiB": [(100_000, 4096)],
    "a mix": [(1, 1024 * MIB), (20, 40 * MIB), (20_000, 4096)],
}


def executable():
    chosen = [os.environ.get("FASTSHARE"), f"{HERE}/artifacts/native/fastshare", f"{HERE}/tools/FastShare.Cli/bin/Release/net10.0/fastshare"]
    for path in chosen:
        if path and os.path.exists(path):
            return path
    sys.exit("no fastshare executable: dotnet build -c Release tools/FastShare.Cli")


def make(folder, groups, scale):
    """Random bytes; large amounts of work become smaller files or fewer of them."""
    block = os.urandom(4 * MIB)
    for group, (count, size) in enumerate(groups):
        if count >= 100:
            count = max(count // scale, 1)
        else:
            size = max(size // scale, 1)
        for number in range(count):
            parent = f"{folder}/{group}/{number // 1000}"
            if number % 1000 == 0:
                os.makedirs(parent)
            with open(f"{parent}/{number}", "wb") as file:
                left, salt = size, f"{group}/{number}".encode()  # no two files are equal
                while left > 0:
                    part = (salt + block)[: min(left, len(block))]
                    file.write(part)
                    left -= len(part)


class Path:
    def __init__(self, text, lab):
        self.text, self.lab = text, None
        if text == "loopback":
            self.name, self.address = "loopback", "127.0.0.1"
            return
        if not lab:
            sys.exit(f"{text}: --lab says what makes the link")
        rtt, loss = text.split(":")
        self.lab, self.address = lab, "10.77.0.2"
        self.name = f"{rtt} ms" + (f", {loss} %" if float(loss) else "")
        subprocess.run([lab, "down"], capture_output=True)
        subprocess.run([lab, "up", "--rtt", rtt, "--rate", "1000", "--loss", loss], check=True, stdout=subprocess.DEVNULL)

    def command(self, side, *words):
        return [self.lab, "exec", side, *words] if self.lab else list(words)

    def close(self):
        if self.lab:
            subprocess.run([self.lab, "down"], capture_output=True)


def transfer(path, fastshare, source, target, mode):
    """Seconds, and what auto said of its choices."""
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    common = ["--json", "--no-mdns", "--ephemeral"]
    receiver = subprocess.Popen(
        path.command("b", fastshare, "receive", target, "--yes", "--once", "--listen", f"/ip4/{path.address}/tcp/0", *common),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    address = None
    for line in receiver.stdout:
        found = re.search(r'"listening".*"addresses":\["([^"]+)"', line)
        if found:
            address = found.group(1)
            break
    if not address:
        sys.exit("the receiver did not start")
    start = time.monotonic()
    sender = subprocess.Popen(
        path.command("a", fastshare, "send", source, "--to", address, "--mode", mode, *common),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    events, errors = sender.communicate()
    seconds = time.monotonic() - start
    receiver.communicate()
    if sender.returncode:
        sys.exit(f"{path.name}, {mode}: exit {sender.returncode}: {errors[-500:]}")
    same = subprocess.run(["diff", "-rq", source, f"{target}/{os.path.basename(source)}"], capture_output=True, text=True)
    if same.returncode:
        sys.exit(f"{path.name}, {mode}: what arrived differs: {same.stdout[:500]}")
    shutil.rmtree(target)
    parsed = [json.loads(line) for line in events.splitlines() if line.startswith("{")]
    reasons = [f'{e["to"]}: {e["why"]}' for e in parsed if e["event"] == "modeChanged"]
    connections = next((e.get("connections") for e in parsed if e["event"] == "completed"), None)
    return seconds, reasons, connections


def main():
    parser = argparse.ArgumentParser(usage=__doc__.replace("%", "%%"))
    parser.add_argument("--lab")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--paths", default="loopback")
    parser.add_argument("--shape", action="append", default=[], help="a part of a shape's name; all of them by default")
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--json")
    options = parser.parse_args()
    os.environ.setdefault("WANLAB_NAME", "fsmatrix")
    fastshare = executable()
    lab = os.path.realpath(options.lab) if options.lab else None
    work = tempfile.mkdtemp(prefix="fastshare-matrix.", dir=os.environ.get("TMPDIR") or ("/dev/shm" if os.path.isdir("/dev/shm") else None))
    results = []
    path = None
    try:
        print("| path | work | sequential s | parallel s | auto s | best fixed / auto | auto's connections, and why |\n|---|---|---|---|---|---|---|", flush=True)
        for name, groups in SHAPES.items():
            if options.shape and not any(text in name for text in options.shape):
                continue
            source = f"{work}/source"
            shutil.rmtree(source, ignore_errors=True)
            make(source, groups, options.scale)
            for text in options.paths.split(","):
                path = Path(text, lab)
                times, reasons, connections = {mode: [] for mode in MODES}, [], None
                for number in range(options.rounds):
                    for mode in MODES[number % 3:] + MODES[:number % 3]:
                        seconds, said, used = transfer(path, fastshare, source, f"{work}/target", mode)
                        times[mode].append(seconds)
                        if mode == "auto":
                            reasons, connections = said, used
                path.close()
                median = {mode: statistics.median(times[mode]) for mode in MODES}
                # Round by round, as the machine drifts.
                ratios = [min(s, p) / a for s, p, a in zip(*(times[mode] for mode in MODES))]
                ratio = statistics.median(ratios)
                spread = f" ({min(ratios):.2f}–{max(ratios):.2f})" if len(ratios) > 1 else ""
                print(f"| {path.name} | {name} | " + " | ".join(f"{median[mode]:.1f}" for mode in MODES)
                      + f" | {ratio:.2f}{spread} | {connections}; {'; '.join(reasons[:3]) or 'as it began'} |", flush=True)
                results.append({"path": text, "shape": name, "scale": options.scale, "seconds": times, "ratio": ratio,
                                "connections": connections, "reasons": reasons})
    finally:
        if path:
            path.close()
        shutil.rmtree(work, ignore_errors=True)
        if options.json:
            with open(options.json, "w") as file:
                json.dump(results, file, indent=1)


main()
