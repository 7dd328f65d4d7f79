#!/usr/bin/env python3
"""Files in by UDP, records out by tail, and everything verified: through the program alone."""
import json
import os
import socket
import stat
import unittest

import harness
from harness import DATA, EndToEndTest, millrace


def lines_of(path):
    with open(path, encoding="utf-8", newline="\n") as file:
        return [line.rstrip("\r\n") for line in file if line.strip()]


class FilesTest(EndToEndTest):
    def feed_and_check(self, path, key_of, *arguments):
        lines = lines_of(path)
        server = self.server("--stream", "demo:4")
        server.produce("demo", "--file", path, *arguments)
        records = server.tail("demo", "--from", "trim-horizon")
        self.assert_every_line_once(records, lines, key_of, 4)
        self.assertEqual(server.describe("demo")["records"], len(lines))
        self.assertEqual(server.stop(), 0)
        self.assertIn(f"{len(lines)} records", self.verify(server.data))
        return records

    def test_a_generated_file_keyed_by_a_token(self):
        lines = [f"{i} user-{i % 97} päyload {'x' * (i % 300)}" for i in range(5000)]
        path = self.write("lines.txt", "\n".join(lines) + "\n")
        self.feed_and_check(path, lambda n, line: line.split()[1], "--key-field", "2")

    def test_without_a_key_field_the_key_is_the_record_number(self):
        path = self.write("lines.txt", "".join(f"line {i}\n" for i in range(2000)))
        self.feed_and_check(path, lambda n, line: str(n))

    def test_an_apache_log_keyed_by_address(self):
        path = os.path.join(DATA, "apache_access.log")
        if not os.path.exists(path):
            self.skipTest("SKIP: apache_access.log is not there")
        self.feed_and_check(path, lambda n, line: line.split()[0], "--key-field", "1")

    def test_nginx_documents_keyed_by_a_json_path(self):
        path = os.path.join(DATA, "nginx_plus.jsonl")
        if not os.path.exists(path):
            self.skipTest("SKIP: nginx_plus.jsonl is not there")
        field = next(k for k, v in json.loads(lines_of(path)[0]).items() if isinstance(v, (str, int)))
        self.feed_and_check(path, lambda n, line: str(json.loads(line)[field]), "--format", "json",
                            "--key-field", field)


class ServerTest(EndToEndTest):
    def test_records_survive_a_restart_and_a_producer_resumes(self):
        path = self.write("lines.txt", "".join(f"line {i}\n" for i in range(3000)))
        server = self.server("--stream", "demo:3")
        server.produce("demo", "--file", path, "--producer-id", "me", "--records", "1000")
        self.assertEqual(server.stop(), 0)
        server.start()
        # The same identity again, from the start of the file: what is in the log is not doubled.
        server.produce("demo", "--file", path, "--producer-id", "me")
        records = server.tail("demo", "--from", "trim-horizon")
        self.assertEqual(sorted(r["data"] for r in records), sorted(lines_of(path)))
        self.assertEqual(server.stop(), 0)
        self.verify(server.data)

    def test_acks_name_each_record_s_place(self):
        path = self.write("lines.txt", "".join(f"line {i}\n" for i in range(1500)))
        acks = os.path.join(self.directory, "acks")
        server = self.server("--stream", "demo:4")
        server.produce("demo", "--file", path, "--acks", acks)
        places = {(r["shard"], r["sequence"]): r["data"] for r in server.tail("demo")}
        with open(acks, encoding="ascii") as file:
            told = [line.split() for line in file]
        self.assertEqual([int(number) for number, _, _ in told], list(range(1500)))
        for number, shard, sequence in told:
            self.assertEqual(places[(shard, sequence)], f"line {number}")

    def test_tail_starts_where_it_is_told(self):
        server = self.server("--stream", "demo:1")
        path = self.write("lines.txt", "".join(f"{i}\n" for i in range(10)))
        server.produce("demo", "--file", path)
        records = server.tail("demo")
        self.assertEqual([r["data"] for r in records], [str(i) for i in range(10)])
        self.assertEqual(server.tail("demo", "--from", "latest"), [])
        self.assertEqual(server.tail("demo", "--from", records[7]["sequence"]), records[7:])
        self.assertEqual(server.tail("demo", "--from", "0"), records)
        self.assertEqual(server.tail("demo", "--from", "4000000000"), [])
        self.assertEqual(server.tail("demo", "--limit", "3"), records[:3])
        raw = millrace("tail", "demo", "--admin", server.admin, "--follow=false", "--format", "raw")
        self.assertEqual(raw.stdout.decode(), "".join(f"{i}\n" for i in range(10)))
        # A reader that waits is woken by what comes.
        reader = harness.subprocess.Popen(
            [harness.PROGRAM, "tail", "demo", "--admin", server.admin, "--limit", "20"],
            stdout=harness.subprocess.PIPE)
        server.produce("demo", "--file", path)
        out, _ = reader.communicate(timeout=harness.PATIENCE)
        self.assertEqual(len(out.splitlines()), 20)
        self.assertEqual(list(records[0]), ["stream", "shard", "sequence", "arrival_us", "key", "data"])

    def test_streams_are_made_reshaped_and_deleted_while_records_keep_their_order(self):
        server = self.server()
        server.stream("create", "orders", "--shards", "2")
        lines = [f"{i} key-{i % 50}" for i in range(4000)]
        half = len(lines) // 2
        first = self.write("1.txt", "\n".join(lines[:half]) + "\n")
        second = self.write("2.txt", "\n".join(lines[half:]) + "\n")
        server.produce("orders", "--file", first, "--key-field", "2")
        server.stream("split", "orders", "--shard", "0")
        server.stream("merge", "orders", "--shard", "1", "--with", "3")
        server.stream("reshard", "orders", "--shards", "5")
        server.produce("orders", "--file", second, "--key-field", "2")
        described = server.describe("orders")
        self.assertEqual(described["open_shards"], 5)
        by_key = {}
        for record in server.tail("orders"):
            by_key.setdefault(record["key"], []).append(int(record["data"].split()[0]))
        self.assertEqual(sum(len(v) for v in by_key.values()), len(lines))
        for numbers in by_key.values():
            self.assertEqual(numbers, sorted(numbers))
        self.assertIn("orders", server.stream("list").stdout.decode())
        server.stream("retention", "orders", "--retention-hours", "48")
        self.assertEqual(server.describe("orders")["retention"]["hours"], 48)
        server.stream("delete", "orders")
        self.assertEqual(server.request("GET", "/v1/streams/orders")[0], 404)
        self.assertEqual(server.stop(), 0)
        self.verify(server.data)

    def test_raw_datagrams_become_records(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            host, port = free.getsockname()
        server = self.server("--stream", "logs:2", "--raw-udp", f"{host}:{port}=logs,lines")
        self.assertEqual(server.raw, f"{host}:{port}")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for i in range(100):
                sender.sendto(f"a {i}\nb {i}\n".encode(), (host, port))
        self.wait_until(lambda: server.describe("logs")["records"] == 200, "all raw records are in")
        records = server.tail("logs")
        self.assertEqual({r["key"] for r in records}, {"127.0.0.1"})
        self.assertEqual([r["data"] for r in records],
                         [f"{c} {i}" for i in range(100) for c in "ab"])

    def test_a_second_server_and_verify_are_kept_out_of_a_directory_in_use(self):
        server = self.server("--stream", "demo:1")
        other = millrace("serve", "--data", server.data, "--udp", "off", "--admin", "off", check=False)
        self.assertEqual(other.returncode, 1)
        busy = millrace("verify", "--data", server.data, check=False)
        self.assertEqual(busy.returncode, 1)
        self.assertIn(str(server.process.pid), busy.stderr.decode())

    def test_verify_finds_a_flipped_byte(self):
        server = self.server("--stream", "demo:1")
        path = self.write("lines.txt", "".join(f"some line number {i}\n" for i in range(1000)))
        # Damage is what lies before something later that was durable; at the end it would be a crash.
        server.produce("demo", "--file", path)
        server.produce("demo", "--generate", "trades", "--records", "100")
        self.assertEqual(server.stop(), 0)
        self.verify(server.data)
        flipped = None
        for folder, _, names in os.walk(os.path.join(server.data, "streams")):
            for name in names:
                log = os.path.join(folder, name)
                with open(log, "r+b") as file:
                    at = file.read().find(b"some line number 500")
                    if at >= 0:
                        file.seek(at)
                        file.write(b"S")
                        flipped = log
        self.assertIsNotNone(flipped)
        done = millrace("verify", "--data", server.data, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(flipped.rsplit("/", 1)[1], done.stdout.decode())


class AdminTest(EndToEndTest):
    def test_health_metrics_and_the_token(self):
        server = self.server("--stream", "demo:2")
        self.assertEqual(server.request("GET", "/healthz")[0], 200)
        code, body = server.request("GET", "/readyz")
        self.assertEqual((code, json.loads(body)["ready"]), (200, True))
        server.produce("demo", "--generate", "trades", "--records", "500")
        self.assertEqual(server.metric("millrace_records_durable_total"), 500)
        text = server.request("GET", "/metrics")[1]
        self.assertIn("# TYPE millrace_records_durable_total counter", text)
        self.assertIn('millrace_shard_records_total{stream="demo",shard="shardId-000000000001"}', text)

        token_file = os.path.join(server.data, "admin.token")
        self.assertEqual(stat.S_IMODE(os.stat(token_file).st_mode), 0o600)
        wanted = {"name": "made", "shards": 1}
        self.assertEqual(server.request("POST", "/v1/streams", wanted)[0], 401)
        self.assertEqual(
            server.request("POST", "/v1/streams", wanted, Authorization="Bearer wrong")[0], 401)
        right = {"Authorization": "Bearer " + server.token()}
        self.assertEqual(server.request("POST", "/v1/streams", wanted, **right)[0], 201)
        self.assertEqual(server.request("POST", "/v1/streams", wanted, **right)[0], 409)
        self.assertEqual(server.request("POST", "/v1/streams", {"nmae": "x"}, **right)[0], 400)
        self.assertEqual(server.request("DELETE", "/v1/streams/made")[0], 401)
        self.assertEqual(server.request("DELETE", "/v1/streams/made", **right)[0], 200)

    def test_a_name_of_another_site_is_not_let_in(self):
        server = self.server()
        self.assertEqual(server.request("GET", "/v1/streams", Host="evil.example:80")[0], 403)
        self.assertEqual(server.request("GET", "/v1/streams", Host="localhost:9644")[0], 200)

    def test_what_is_no_request_is_refused_and_the_server_goes_on(self):
        server = self.server()
        host, port = server.admin.rsplit(":", 1)
        for bad in (b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                    b"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
                    b"GET / HTTP/1.1\r\nX: " + b"a" * 70000 + b"\r\n\r\n",
                    b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"):
            with socket.create_connection((host, int(port)), timeout=harness.PATIENCE) as peer:
                peer.sendall(bad)
                try:
                    answer = peer.recv(200)
                except ConnectionResetError:
                    answer = b""
                self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer)
        self.assertEqual(server.request("GET", "/healthz")[0], 200)


if __name__ == "__main__":
    harness.main()
