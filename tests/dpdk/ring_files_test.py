#!/usr/bin/env python3
"""Real files through a DPDK port in memory (net_ring) into the logs; then the program reads them back,
and hashlib says where each line belongs."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "app"))
from harness import DATA, PATIENCE, EndToEndTest

FEED = os.environ["MILLRACE_RING_FEED"]
SHARDS = 4


class RingFilesTest(EndToEndTest):
    def feed_and_check(self, path, file_format, key_field, key_of):
        with open(path, encoding="utf-8", newline="\n") as file:
            lines = [line.rstrip("\r\n") for line in file if line.strip()]
        data = os.path.join(self.directory, "data")
        os.mkdir(data)
        fed = subprocess.run([FEED, data, "ring", str(SHARDS), path, file_format, key_field],
                             capture_output=True, text=True, timeout=PATIENCE, check=False)
        self.assertEqual(fed.returncode, 0, fed.stdout + fed.stderr)
        self.assertIn(f"{len(lines)} records durable", fed.stdout)
        self.assertIn(f"{len(lines)} records", self.verify(data))
        server = self.server()
        records = server.tail("ring", "--from", "trim-horizon")
        self.assert_every_line_once(records, lines, lambda number, line: key_of(line), SHARDS)
        self.assertEqual(server.stop(), 0)

    def shared(self, name):
        path = os.path.join(DATA, name)
        if not os.path.exists(path):
            self.skipTest(f"SKIP: {name} is not there")
        return path

    def test_generated_lines(self):
        lines = [f"{i} user-{i % 97} {'x' * (i * 37 % 3000)}" for i in range(4000)]
        path = self.write("lines.txt", "\n".join(lines) + "\n")
        self.feed_and_check(path, "lines", "2", lambda line: line.split()[1])

    def test_an_apache_log(self):
        self.feed_and_check(self.shared("apache_access.log"), "lines", "1",
                            lambda line: line.split()[0])

    def test_nginx_documents(self):
        self.feed_and_check(self.shared("nginx_plus.jsonl"), "json", "timestamp",
                            lambda line: str(json.loads(line)["timestamp"]))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])
