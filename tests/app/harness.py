"""Drives the real `millrace` for the end-to-end tests: a server on free loopback ports with a data
directory of its own, producers, readers, and an independent idea of where each record belongs."""
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

PROGRAM = os.environ.get("MILLRACE_PROGRAM", "build/dev/app/millrace")
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
# Real inputs, where somebody has put them beside the tree.
DATA = os.environ.get("MILLRACE_TEST_DATA", os.path.join(ROOT, "..", "shared", "data"))
# A safety net far beyond what anything takes, also on a busy machine.
PATIENCE = 120


def clean_environment(**extra):
    return {**{k: v for k, v in os.environ.items() if not k.startswith("MILLRACE_")}, **extra}


def millrace(*arguments, check=True, **environment):
    """Runs a command to its end."""
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, timeout=PATIENCE, check=False,
                          env=clean_environment(**environment))
    if check and done.returncode != 0:
        raise AssertionError(f"millrace {' '.join(arguments)}: exit code {done.returncode}\n"
                             f"{done.stdout.decode()}{done.stderr.decode()}")
    return done


def shard_of(key, shards):
    """Kinesis' rule: the MD5 of the key as a number; shard i of N starts at i * (2^128 // N)."""
    point = int.from_bytes(hashlib.md5(key.encode()).digest(), "big")
    return min(point // (2**128 // shards), shards - 1)


def shard_name(index):
    return f"shardId-{index:012d}"


class Server:
    """One data directory; can be started, stopped and killed again and again on the same ports."""

    def __init__(self, directory, *arguments):
        self.directory = directory
        self.arguments = arguments
        self.udp = "127.0.0.1:0"
        self.admin = "127.0.0.1:0"
        self.http = "127.0.0.1:0"
        self.process = None
        self.log = open(os.path.join(directory, "server.log"), "ab")

    @property
    def data(self):
        return os.path.join(self.directory, "data")

    def start(self):
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--data", self.data, "--udp", self.udp, "--admin", self.admin,
             "--http", self.http, "--arena-bytes", "128MiB", *self.arguments],
            stdout=subprocess.PIPE, stderr=self.log, text=True, env=clean_environment())
        found = {}
        for line in self.process.stdout:
            if match := re.match(r"(udp|admin|raw|http)\s+(?:https?://)?(\S+)", line):
                found[match.group(1)] = match.group(2)
            if line.startswith("try"):
                break
        if "admin" not in found:
            self.process.wait(PATIENCE)
            with open(self.log.name, encoding="utf-8") as log:
                raise AssertionError("the server did not start:\n" + log.read()[-2000:])
        self.udp, self.admin = found.get("udp", "off"), found["admin"]
        self.raw = found.get("raw")
        self.http = found.get("http", "off")
        return self

    def stop(self):
        """As an operator does; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.process = None
        return code

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.process = None

    def close(self):
        if self.process is not None:
            self.kill()
        self.log.close()

    def token(self):
        with open(os.path.join(self.data, "admin.token"), encoding="ascii") as file:
            return file.read().strip()

    def request(self, method, path, body=None, **headers):
        request = urllib.request.Request(f"http://{self.admin}{path}", method=method, headers=headers,
                                         data=None if body is None else json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def describe(self, stream):
        return json.loads(self.request("GET", f"/v1/streams/{stream}")[1])

    def stream(self, *arguments):
        extra = [] if arguments[0] in ("list", "describe") else ["--data", self.data]
        return millrace("stream", *arguments, "--admin", self.admin, *extra)

    def produce(self, stream, *arguments, check=True):
        return millrace("produce", "--to", f"udp://{self.udp}", "--stream", stream, *arguments,
                        check=check)

    def produce_in_background(self, stream, *arguments):
        return subprocess.Popen(
            [PROGRAM, "produce", "--to", f"udp://{self.udp}", "--stream", stream, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean_environment())

    def tail(self, stream, *arguments):
        """The records of a stream, as objects."""
        done = millrace("tail", stream, "--admin", self.admin, "--follow=false", *arguments)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def metric(self, name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.request("GET", "/metrics")[1],
                          re.MULTILINE)
        return None if found is None else float(found.group(1))


class EndToEndTest(unittest.TestCase):
    """A temporary directory and a server in it."""

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="millrace-test-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def server(self, *arguments):
        one = Server(self.directory, *arguments)
        self.addCleanup(one.close)
        return one.start()

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        return path

    def verify(self, data):
        done = millrace("verify", "--data", data, check=False)
        self.assertEqual(done.returncode, 0, done.stdout.decode() + done.stderr.decode())
        return done.stdout.decode()

    def log_of(self, server):
        with open(server.log.name, encoding="utf-8") as log:
            return [json.loads(line) for line in log if line.startswith("{")]

    def hang_up(self, server):
        """SIGHUP, and what the server says to it."""
        def said():
            return [line for line in self.log_of(server) if "reloaded" in line["event"]]

        before = len(said())
        server.process.send_signal(signal.SIGHUP)
        self.wait_until(lambda: len(said()) > before, "the server answers to SIGHUP")
        return said()[-1]

    def wait_until(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            self.assertLess(time.monotonic(), end, f"waited too long until {what}")
            time.sleep(0.02)

    def assert_every_line_once(self, records, lines, key_of, shards):
        """Each line is there once, in the shard of its key, and in order within its key."""
        self.assertEqual(len(records), len(lines))
        self.assertEqual(sorted(r["data"] for r in records), sorted(lines))
        wanted = {}
        for number, line in enumerate(lines):
            wanted.setdefault(key_of(number, line), []).append(line)
        got = {}
        last = {}
        for record in records:
            got.setdefault(record["key"], []).append(record["data"])
            self.assertEqual(record["shard"], shard_name(shard_of(record["key"], shards)))
            sequence = int(record["sequence"])
            self.assertGreater(sequence, last.get(record["shard"], 0))
            last[record["shard"]] = sequence
        self.assertEqual(got, wanted)


def main():
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
