#!/usr/bin/env python3
"""`millrace produce --to http://`: into Millrace, and into a server that has its moods."""
import base64
import collections
import http.server
import json
import os
import re
import threading
import unittest

import harness


class MoodyServer(http.server.ThreadingHTTPServer):
    """Takes PutRecords; fails by a fixed pattern: a record, a request, or the connection."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.stored = []
        self.requests = 0
        self.unsigned = 0
        self.is_angry = False


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        with server.lock:
            server.requests += 1
            turn = server.requests
            server.unsigned += "Authorization" not in self.headers
        if server.is_angry:
            return self.answer(400, {"__type": "AccessDeniedException", "message": "go away"})
        if turn % 7 == 0:
            return self.answer(500, {"__type": "InternalFailure"})
        if turn % 11 == 0:
            self.close_connection = True
            return None
        results = []
        for i, record in enumerate(json.loads(body)["Records"]):
            if (i + turn) % 5 == 0:
                results.append({"ErrorCode": "ProvisionedThroughputExceededException",
                                "ErrorMessage": "slow down"})
                continue
            with server.lock:
                server.stored.append((record["PartitionKey"], base64.b64decode(record["Data"])))
                number = len(server.stored)
            results.append({"SequenceNumber": str(number), "ShardId": "shardId-000000000000"})
        failed = sum("ErrorCode" in one for one in results)
        return self.answer(200, {"FailedRecordCount": failed, "Records": results})

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class ProduceTest(harness.EndToEndTest):
    def moody(self):
        server = MoodyServer()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        return server, f"http://localhost:{server.server_address[1]}"

    def test_what_is_throttled_or_cut_off_is_sent_again_until_all_is_stored(self):
        server, to = self.moody()
        lines = [f"key-{i % 37} line {i}" for i in range(3000)]
        path = self.write("in", "\n".join(lines) + "\n")
        done = harness.millrace(
            "produce", "--to", to, "--stream", "s", "--file", path, "--key-field", "1",
            "--request-records", "50", "--acks", self.write("acks", ""),
            AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
        counts = collections.Counter(server.stored)
        # A connection that is cut off here has stored nothing, so that nothing comes twice.
        self.assertEqual(counts, collections.Counter((line.split()[0], line.encode())
                                                     for line in lines))
        self.assertEqual(server.unsigned, 0)
        self.assertIn("durable   3000 records", done.stdout.decode())
        resent = int(re.search(r"(\d+) records sent again", done.stdout.decode())[1])
        self.assertGreater(resent, 3000 // 5)
        with open(f"{self.directory}/acks", encoding="utf-8") as file:
            self.assertEqual([line.split()[0] for line in file], [str(i) for i in range(3000)])

    def test_a_refusal_for_good_ends_the_run_and_is_told(self):
        server, to = self.moody()
        server.is_angry = True
        done = harness.millrace("produce", "--to", to, "--stream", "s", "--generate", "clicks",
                                "--seconds", "60", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("AccessDeniedException: go away", done.stderr.decode())
        self.assertIn("durable   0 records", done.stdout.decode())
        self.assertGreater(server.unsigned, 0)

    def test_nobody_there_is_an_error(self):
        done = harness.millrace("produce", "--to", "http://127.0.0.1:1", "--stream", "s",
                                "--generate", "clicks", "--records", "1", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("127.0.0.1:1", done.stderr.decode())

    def test_signed_records_are_in_the_log_once_and_in_order_per_key(self):
        path = self.write("credentials", "ADMIN s3cret\nWRITER other actions=PutRecord*\n")
        os.chmod(path, 0o600)
        one = self.server("--udp", "off", "--credentials", path, "--stream", "orders:4")
        lines = [f"key-{i % 101} line {i}" for i in range(20000)]
        source = self.write("in", "\n".join(lines) + "\n")
        arguments = ["produce", "--to", f"http://{one.http}", "--stream", "orders", "--file", source,
                     "--key-field", "1", "--credentials", path, "--access-key", "WRITER"]
        done = harness.millrace(*arguments, "--request-records", "100")
        self.assertIn("durable   20000 records", done.stdout.decode())
        records = one.tail("orders", "--from", "trim-horizon")
        self.assert_every_line_once(records, lines, lambda _, line: line.split()[0], 4)
        wrong = harness.millrace(*arguments[:-1], "NOBODY", check=False)
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("has no key 'NOBODY'", wrong.stderr.decode())


if __name__ == "__main__":
    harness.main()
