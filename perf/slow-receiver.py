#!/usr/bin/env python3
"""Memory of a sender whose receiver takes 1 MiB/s, then stands still for a minute, then for good; 10 GiB to come.

usage: slow-receiver.py FASTSHARE [--slow 60] [--stopped 60] [--after 30] [--for-good]

FASTSHARE is the command; real processes over loopback, in a new folder beneath the current one, which needs room for a file of 10 GiB that
has no holes (fallocate) and for what arrives of it. The receiver is slow because a relay, all connections together, lets 1 MiB/s through;
it stands still by SIGSTOP. Resident memory is the sender's (VmRSS; the peak: VmHWM), above what it takes while it waits for its peer.
"""
import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

RATE = 1 << 20


class Relay:
    """Passes on what comes from a sender at RATE, and what comes back at once."""

    def __init__(self):
        self.listener = socket.socket()
        # a small buffer before the limit, or it would be in the relay that the bytes pile up
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        self.listener.bind(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.gate, self.free = threading.Lock(), 0.0

    def start(self, target):
        self.listener.listen()
        threading.Thread(target=self._accept, args=(target,), daemon=True).start()

    def _accept(self, target):
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", target))
            threading.Thread(target=self._copy, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._copy, args=(far, near, False), daemon=True).start()

    def _copy(self, source, to, limited):
        try:
            while data := source.recv(16 << 10):
                if limited:
                    with self.gate:
                        self.free = max(self.free, time.monotonic()) + len(data) / RATE
                        wait = self.free - time.monotonic()
                    time.sleep(max(0, wait))
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            to.close()


def memory(process):
    with open(f"/proc/{process.pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return tuple(int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))


class Command:
    """A running fastshare; its events as they come."""

    def __init__(self, *arguments):
        self.events, self.news = [], threading.Condition()
        self.process = subprocess.Popen([*arguments, "--json", "--no-mdns"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self.news:
                self.events.append(json.loads(line))
                self.news.notify_all()

    def wait_for(self, kind):
        with self.news:
            self.news.wait_for(lambda: any(e["event"] == kind for e in self.events), timeout=60)
            return next(e for e in self.events if e["event"] == kind)

    def count(self, kind):
        with self.news:
            return sum(e["event"] == kind for e in self.events)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command")
    for name, default in (("--slow", 60), ("--stopped", 60), ("--after", 30)):
        parser.add_argument(name, type=int, default=default, help="seconds")
    parser.add_argument("--for-good", action="store_true", help="then stop the receiver until the sender gives up")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="slow-receiver-", dir=".")
    os.environ["XDG_CONFIG_HOME"] = os.path.abspath(folder)
    fastshare, big, relay = os.path.abspath(options.command), os.path.join(folder, "big.bin"), Relay()
    subprocess.run(["fallocate", "-l", str(10 << 30), big], check=True)
    receiver = Command(fastshare, "receive", os.path.join(folder, "in"), "--yes", "--ephemeral", "--listen", "/ip4/127.0.0.1/tcp/0")
    running = [receiver]
    try:
        peer = receiver.wait_for("listening")
        to = f"/ip4/127.0.0.1/tcp/{relay.port}/p2p/{peer['peer']}"
        idle = Command(fastshare, "send", big, "--to", to, "--wait", "60s")
        running.append(idle)
        time.sleep(8)
        base, _ = memory(idle.process)
        idle.process.kill()
        relay.start(int(peer["addresses"][0].split("/")[4]))
        sender = Command(fastshare, "send", big, "--to", to)
        running.append(sender)
        print(f"{'':24}{'sender':>10}{'peak':>10}{'above idle':>12}{'retries':>9}")
        print(f"{'idle':24}{base:8.1f} M")

        def report(what):
            now, most = memory(sender.process)
            print(f"{what:24}{now:8.1f} M{most:8.1f} M{most - base:10.1f} M{sender.count('retry'):9}", flush=True)

        time.sleep(options.slow)
        report(f"{options.slow} s at 1 MiB/s")
        receiver.process.send_signal(signal.SIGSTOP)
        time.sleep(options.stopped)
        report(f"stopped for {options.stopped} s")
        receiver.process.send_signal(signal.SIGCONT)
        before = sender.count("progress")
        time.sleep(options.after)
        report(f"{options.after} s after that")
        for event in sender.events:
            if event["event"] == "modeChanged":
                print(f"mode {event['to']}: {event['why']}")
        print("goes on" if sender.process.poll() is None and sender.count("progress") > before else "DOES NOT GO ON")
        if options.for_good:
            receiver.process.send_signal(signal.SIGSTOP)
            start = time.monotonic()
            code = sender.process.wait()
            print(f"stopped for good: given up after {time.monotonic() - start:.0f} s, exit code {code}, error {sender.wait_for('error')['kind']}")
            receiver.process.send_signal(signal.SIGCONT)
            again = Command(fastshare, "send", big, "--to", to)
            running.append(again)
            print(f"the same command again has {again.wait_for('resumed')['bytesAlready']} bytes already")
    finally:
        for one in running:
            one.process.send_signal(signal.SIGCONT)
            one.process.kill()
            one.process.wait()
        shutil.rmtree(folder)


main()
