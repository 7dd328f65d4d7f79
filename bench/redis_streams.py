#!/usr/bin/python3
"""Durable 1 KiB records by UDP into Millrace, against Redis Streams: same disk, same run.

Redis runs with appendfsync always and gets pipelined XADD from redis-benchmark; Millrace acks when a
record is durable. Both clients share the machine with their server. Prints one JSON object.
"""
import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time


def wait_for(probe, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if probe():
            return
        time.sleep(0.05)
    raise SystemExit(f"{what} did not come up within {seconds} s")


def redis_rate(directory, records, size, pipeline, clients):
    port = 16390
    server = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", directory,
         "--appendonly", "yes", "--appendfsync", "always", "--save", "",
         "--auto-aof-rewrite-percentage", "0"],
        stdout=subprocess.DEVNULL)
    try:
        ping = ["redis-cli", "-p", str(port), "ping"]
        wait_for(lambda: subprocess.run(ping, capture_output=True).stdout.strip() == b"PONG", 10,
                 "redis-server")
        began = time.monotonic()
        subprocess.run(
            ["redis-benchmark", "-p", str(port), "-q", "-n", str(records), "-c", str(clients),
             "-P", str(pipeline), "XADD", "s", "*", "d", "x" * size],
            check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - began
        length = int(subprocess.run(["redis-cli", "-p", str(port), "xlen", "s"],
                                    capture_output=True, check=True).stdout)
        if length < records:
            raise SystemExit(f"redis holds {length} of {records} records")
        return length / seconds
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def millrace_rate(binary, directory, records, size):
    server = subprocess.Popen(
        [binary, "serve", "--data", directory, "--udp", "127.0.0.1:0", "--admin", "127.0.0.1:0",
         "--stream", "s:4", "--log-format", "json"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        address = None
        for line in server.stdout:
            found = re.search(r"udp\D*(127\.0\.0\.1:\d+)", line)
            if found:
                address = found.group(1)
                break
        if not address:
            raise SystemExit("millrace serve printed no UDP address")
        began = time.monotonic()
        subprocess.run(
            [binary, "produce", "--to", f"udp://{address}", "--stream", "s", "--generate", "sensors",
             "--size", str(size), "--records", str(records)],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return records / (time.monotonic() - began)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millrace", default="build/release/app/millrace")
    parser.add_argument("--directory", default=".", help="on the disk to use")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--redis-records", type=int, default=200_000)
    parser.add_argument("--millrace-records", type=int, default=2_000_000)
    parser.add_argument("--pipelines", default="16,64,256",
                        help="commands that each Redis client sends ahead; each is measured")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if not shutil.which("redis-server"):
        print("SKIP: redis-server is not installed", file=sys.stderr)
        return 0
    pipelines = [int(text) for text in options.pipelines.split(",")]
    redis = {depth: [] for depth in pipelines}
    millrace = []
    for _ in range(options.rounds):
        for depth in pipelines:
            with tempfile.TemporaryDirectory(dir=options.directory) as work:
                redis[depth].append(redis_rate(work, options.redis_records, options.size, depth,
                                               options.clients))
        with tempfile.TemporaryDirectory(dir=options.directory) as work:
            millrace.append(millrace_rate(options.millrace, os.path.join(work, "data"),
                                          options.millrace_records, options.size))
    ours = statistics.median(millrace)
    against = {depth: statistics.median(rates) for depth, rates in redis.items()}
    print(json.dumps({"record_bytes": options.size, "redis_clients": options.clients,
                      "millrace_records_per_s": round(ours),
                      "redis_records_per_s": {d: round(rate) for d, rate in against.items()},
                      "ratio": {d: round(ours / rate, 2) for d, rate in against.items()}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
