"""The demonstration of scripts/run: a server, a producer, a live line of what happens, and a check
at the end. Uses only what the programs print and the admin port says."""
import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

STREAM = "demo"  # of made-up records; a file gets its own
SHARDS = 4
NAME_CHARS_MAX = 120


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/run", add_help=False)
    parser.add_argument("--program", required=True)
    parser.add_argument("--from", dest="start", default=os.getcwd())
    parser.add_argument("--data", default="./millrace-data")
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--bytes", type=int, default=2 << 30)
    parser.add_argument("--rate", type=float, default=0)
    parser.add_argument("--generate", default="clicks")
    parser.add_argument("--file")
    parser.add_argument("--format", default="lines")
    parser.add_argument("--key-field")
    options = parser.parse_args()
    options.data = os.path.join(options.start, options.data)
    if options.file:
        options.file = os.path.join(options.start, options.file)
        if not os.path.isfile(options.file):
            parser.error(f"there is no file '{options.file}'")
    return options


class Server:
    """`millrace serve`, and its admin port."""

    def __init__(self, program, data):
        self.program = program
        self.data = data
        self.stream_name = STREAM
        self.errors = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen(
            [program, "serve", "--data", data, "--stream", f"{STREAM}:{SHARDS}"],
            stdout=subprocess.PIPE, stderr=self.errors, text=True,
            # Ctrl-C is for the demonstration, which stops the parts in their order.
            start_new_session=True)
        self.lines = []
        self.admin = self.udp = None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if found := re.match(r"udp\s+(\S+)", line):
                self.udp = found.group(1)
            if found := re.match(r"admin\s+(http://\S+)", line):
                self.admin = found.group(1)
            if line.startswith("try"):
                break
        if self.admin is None or self.udp is None:
            self.process.wait()
            raise SystemExit("the server did not start:\n" + self.messages())

    def messages(self):
        self.errors.seek(0)
        return self.errors.read()

    def get(self, path):
        with urllib.request.urlopen(self.admin + path, timeout=10) as answer:
            return answer.read().decode()

    def stream(self):
        return json.loads(self.get(f"/v1/streams/{self.stream_name}"))

    def make_stream_for(self, path):
        """A new stream named after the file, so that its records lie beside no others."""
        wanted = re.sub(r"[^A-Za-z0-9_.-]", "_", os.path.basename(path))[:NAME_CHARS_MAX]
        taken = {stream["name"] for stream in json.loads(self.get("/v1/streams"))["streams"]}
        names = [wanted] + [f"{wanted}-{again}" for again in range(2, len(taken) + 3)]
        self.stream_name = next(name for name in names if name not in taken)
        made = subprocess.run(
            [self.program, "stream", "create", self.stream_name, "--shards", str(SHARDS), "--admin",
             self.admin.removeprefix("http://"), "--data", self.data],
            capture_output=True, text=True, check=False)
        if made.returncode != 0:
            raise SystemExit(made.stderr)

    def gauge(self, name):
        found = re.search(rf"^{name} (\S+)$", self.get("/metrics"), re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    def stop(self):
        """Ends it cleanly; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class Display:
    """One moving line on a terminal, a line every few seconds elsewhere."""

    def __init__(self, server):
        self.server = server
        self.moving = sys.stdout.isatty()
        self.period = 0.5 if self.moving else 2.0
        self.first = self.last = self.sample()
        self.next = time.monotonic() + self.period

    def sample(self):
        stream = self.server.stream()
        return {"at": time.monotonic(), "records": stream["records"],
                "shards": {s["shard"]: s["record_bytes_since_start"] for s in stream["shards"]}}

    def tick(self):
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + self.period
        now = self.sample()
        seconds = now["at"] - self.last["at"]
        records = (now["records"] - self.last["records"]) / seconds
        volume = (sum(now["shards"].values()) - sum(self.last["shards"].values())) / seconds
        lag = self.server.gauge("millrace_durable_lag_us") / 1000
        each = " ".join(f"{b / 1e6:.0f}" for b in now["shards"].values())
        text = (f"{records:>11,.0f} records/s  {volume / 1e6:>7.1f} MB/s  lag {lag:6.1f} ms  "
                f"{now['records']:>13,} durable  MB a shard: {each}")
        print(f"\r\033[K{text}" if self.moving else text, end="" if self.moving else "\n", flush=True)
        self.last = now

    def finish(self):
        now = self.sample()
        if self.moving:
            print("\r\033[K", end="")
        records = now["records"] - self.first["records"]
        volume = sum(now["shards"].values()) - sum(self.first["shards"].values())
        print(f"{records:,} records, {volume / 1e6:,.1f} MB durable in "
              f"{now['at'] - self.first['at']:.1f} s")
        before = self.first["shards"]
        for shard, size in now["shards"].items():
            print(f"  {shard}  {(size - before.get(shard, 0)) / 1e6:>10,.2f} MB")
        return records


def producer_command(options, server):
    command = [options.program, "produce", "--to", f"udp://{server.udp}", "--stream",
               server.stream_name, "--no-progress"]
    if options.file:
        command += ["--file", options.file, "--format", options.format]
        if options.key_field:
            command += ["--key-field", options.key_field]
    else:
        command += ["--generate", options.generate]
    if options.rate:
        command += ["--rate", str(options.rate)]
    return command


def feed(options, server):
    """Runs the producer to its end, a limit, or Ctrl-C; its exit code."""
    display = Display(server)
    report = tempfile.TemporaryFile(mode="w+")
    producer = subprocess.Popen(producer_command(options, server), stdout=report,
                                stderr=subprocess.STDOUT, start_new_session=True)
    started = time.monotonic()
    stopping = False
    try:
        while producer.poll() is None:
            try:
                time.sleep(0.05)
                display.tick()
                taken = sum(display.last["shards"].values()) - sum(display.first["shards"].values())
                over = (options.seconds and time.monotonic() - started >= options.seconds) or (
                    not options.file and taken >= options.bytes)
            except KeyboardInterrupt:
                over = True
            except (urllib.error.URLError, OSError) as problem:
                print(f"the admin port does not answer: {problem}")
                over = True
            if over and not stopping:
                stopping = True
                producer.send_signal(signal.SIGINT)
    finally:
        if producer.poll() is None:
            producer.kill()
        code = producer.wait()
    records = display.finish()
    report.seek(0)
    summary = report.read().rstrip()
    if summary:
        print("\n".join("producer: " + line for line in summary.splitlines()))
    return code, records


def main():
    options = parse_arguments()
    server = Server(options.program, options.data)
    print("\n".join(server.lines))
    stopped = None
    try:
        if options.file:
            server.make_stream_for(options.file)
        print(f"feeding stream '{server.stream_name}' of {SHARDS} shards with "
              f"{options.file or 'made-up ' + options.generate}; Ctrl-C stops\n")
        produced, _ = feed(options, server)
    finally:
        stopped = server.stop()
    print(f"server stopped with exit code {stopped}\n")
    if stopped != 0:
        print(server.messages(), file=sys.stderr)
    verified = subprocess.run([options.program, "verify", "--data", options.data], check=False)
    return 1 if produced != 0 or stopped != 0 or verified.returncode != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
