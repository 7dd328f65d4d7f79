#!/usr/bin/python3
"""The Kinesis API measured from outside, beside the server's own ceiling in the same run.

    bench/kinesis_http.py --binary build/release/app/millrace [--kinesalite] [--directory DISK]

Load comes from h2load, HTTP/1.1, one request repeated: a signature is good for 15 minutes, and is
checked each time. The server's CPU time is that of /proc. Logs are on /dev/shm, so that "durable"
is nothing there; the rows of delivery say where their log is.

How far a request gets is chosen by what any client may send: an action that does not exist is read
and refused before anything else; `DryRun` goes all the way but for the log; UNSIGNED-PAYLOAD leaves
out the SHA-256. The differences are the shares of the steps. Prints one JSON object.
"""
import argparse
import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials

KEY, SECRET = "BENCH", "a-secret-for-an-hour"
JSON, CBOR = "application/x-amz-json-1.1", "application/x-amz-cbor-1.1"
RECORD_BYTES = 1024
BATCH = 500


def wait_for(probe, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = probe()
        if found:
            return found
        time.sleep(0.05)
    raise SystemExit(f"{what} did not come up within {seconds} s")


def signed(address, action, body, kind=JSON, unsigned_payload=False):
    """The headers of one request, Host left out: the load generator sends it."""
    request = botocore.awsrequest.AWSRequest(
        "POST", f"http://{address}/", data=body,
        headers={"Content-Type": kind, "X-Amz-Target": f"Kinesis_20131202.{action}",
                 "Host": address})
    if unsigned_payload:
        request.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(KEY, SECRET), "kinesis",
                            "us-east-1").add_auth(request)
    return {name: value for name, value in request.headers.items() if name != "Host"}


class Millrace:
    def __init__(self, binary, data, scratch, threads=1):
        keys = os.path.join(scratch, "credentials")
        with open(keys, "w", encoding="utf-8") as file:
            file.write(f"{KEY} {SECRET}\n")
        os.chmod(keys, 0o600)
        self.keys = keys
        ring = os.path.join(scratch, "keyring")
        with open(ring, "w", encoding="utf-8") as file:
            file.write(f"1:{os.urandom(32).hex()} bench-key\n")
        os.chmod(ring, 0o600)
        self.process = subprocess.Popen(
            [binary, "serve", "--data", data, "--udp", "off", "--http", "127.0.0.1:0",
             "--admin", "off", "--http-threads", str(threads), "--credentials", keys, "--keyring", ring,
             "--retention-bytes", str(4 << 30), "--when-full", "drop-oldest",
             "--segment-bytes", "256MiB"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            found = re.search(r"^http\s+http://(\S+)", line)
            if found:
                self.address = found.group(1)
                break
        else:
            raise SystemExit("millrace serve printed no address")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        self.pid = self.process.pid
        self.client = boto3.client(
            "kinesis", endpoint_url=f"http://{self.address}", region_name="us-east-1",
            aws_access_key_id=KEY, aws_secret_access_key=SECRET)

    def create(self, stream, shards):
        self.client.create_stream(StreamName=stream, ShardCount=shards)
        self.client.get_waiter("stream_exists").wait(StreamName=stream)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def load(pid, address, headers, body, seconds, connections, scratch):
    """Requests a second, and a server's CPU-second; all of them answered, by `statuses`."""
    path = os.path.join(scratch, "body")
    with open(path, "wb") as file:
        file.write(body)
    command = ["h2load", "--h1", "-t1", f"-c{connections}", "-D", str(seconds), "-d", path]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    before = cpu_seconds(pid)
    done = subprocess.run([*command, f"http://{address}/"], capture_output=True, text=True,
                          check=True).stdout
    cpu = cpu_seconds(pid) - before
    codes = [int(n) for n in re.search(
        r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done).groups()]
    took = re.search(r"time for request:\s+\S+\s+(\S+)\s+(\S+)", done)
    if sum(codes) == 0:
        raise SystemExit(done)
    return {"requests": sum(codes), "good": codes[0], "busy": codes[3],
            "per_second": sum(codes) / seconds, "per_cpu_second": sum(codes) / max(cpu, 0.01),
            "cpu_share": cpu / seconds, "mean": took.group(2), "max": took.group(1)}


def put_body(stream, records, **more):
    entries = [{"Data": base64.b64encode(os.urandom(RECORD_BYTES - 8)).decode(),
                "PartitionKey": f"key{i:05}"} for i in range(records)]
    return json.dumps({"StreamName": stream, "Records": entries, **more},
                      separators=(",", ":")).encode()


def expect(outcome, name, wanted):
    if outcome["busy"] or (outcome["good"] == outcome["requests"]) != wanted:
        raise SystemExit(f"{name}: {outcome}")
    return outcome


def measure_put_records(server, seconds, scratch):
    """How far a request gets, and what that costs: microseconds of the server's CPU a request."""
    server.create("puts", 4)
    body, dry = put_body("puts", BATCH), put_body("puts", BATCH, DryRun=True)
    steps = {
        "read": (False, body, "NoSuchAction", False),
        "and parse, base64": (False, dry, "PutRecords", True),
        "and SHA-256": (False, dry, "PutRecords", False),
        "and append": (True, body, "PutRecords", False),
    }
    out = {}
    for name, (is_good, text, action, unsigned) in steps.items():
        headers = signed(server.address, action, text, unsigned_payload=unsigned)
        one = expect(load(server.pid, server.address, headers, text, seconds, 8, scratch), name,
                     is_good)
        out[name] = {"records_per_cpu_second": one["per_cpu_second"] * BATCH,
                     "records_per_second": one["per_second"] * BATCH,
                     "us_per_request": 1e6 / one["per_cpu_second"], "request_mean": one["mean"]}
    whole = out["and append"]["us_per_request"]
    before = 0
    for step in out.values():
        step["share"] = (step["us_per_request"] - before) / whole
        before = step["us_per_request"]
    return out


def measure_produce(server, binary, records):
    server.create("produced", 4)
    before, began = cpu_seconds(server.pid), time.monotonic()
    done = subprocess.run(
        [binary, "produce", "--to", f"http://{server.address}", "--stream", "produced",
         "--generate", "sensors", "--size", str(RECORD_BYTES), "--records", str(records),
         "--credentials", server.keys], capture_output=True, text=True, check=True).stdout
    took, cpu = time.monotonic() - began, cpu_seconds(server.pid) - before
    if f"durable   {records} records" not in done:
        raise SystemExit(done)
    return {"records_per_second": records / took, "records_per_cpu_second": records / cpu,
            "ack": re.search(r"ack\s+(.*)", done).group(1)}


def measure_encryption(server, seconds, scratch):
    """The same PutRecords into a stream that is encrypted at rest."""
    out = {}
    for stream in ("open", "sealed"):
        server.create(stream, 4)
        if stream == "sealed":
            server.client.start_stream_encryption(StreamName=stream, EncryptionType="KMS",
                                                  KeyId="bench-key")
        body = put_body(stream, BATCH)
        one = expect(load(server.pid, server.address, signed(server.address, "PutRecords", body),
                          body, seconds, 8, scratch), stream, True)
        out[stream] = {"records_per_cpu_second": one["per_cpu_second"] * BATCH}
    return out


def measure_put_record(server, seconds, scratch):
    server.create("single", 4)
    body = json.dumps({"StreamName": "single", "PartitionKey": "k", "Data": base64.b64encode(
        os.urandom(RECORD_BYTES)).decode()}).encode()
    dry = json.dumps({**json.loads(body), "DryRun": True}).encode()
    steps = {
        "no-op": (body, "NoSuchAction", False),
        "and signature, parse, base64": (dry, "PutRecord", True),
        "and SHA-256": (dry, "PutRecord", False),
        "put": (body, "PutRecord", False),
    }
    out = {}
    for name, (text, action, unsigned) in steps.items():
        headers = signed(server.address, action, text, unsigned_payload=unsigned)
        one = expect(load(server.pid, server.address, headers, text, seconds, 64, scratch), name,
                     name == "put")
        out[name] = {**one, "us_per_request": 1e6 / one["per_cpu_second"]}
    for name in steps:
        out[name]["share_of_no_op"] = out[name]["per_second"] / out["no-op"]["per_second"]
    return out


def bare_send(answer_bytes, seconds):
    """What the kernel's socket alone allows: the bytes of such an answer sent again and again to a
    process that takes them and does nothing else, by the CPU time of who sends."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        reader = os.fork()
        if reader == 0:
            with socket.create_connection(door.getsockname()) as link:
                room = bytearray(1 << 20)
                while link.recv_into(room):
                    pass
            os._exit(0)
        link, _ = door.accept()
    answer = os.urandom(answer_bytes)
    sent, cpu, end = 0, time.process_time(), time.monotonic() + seconds
    while time.monotonic() < end:
        link.sendall(answer)
        sent += answer_bytes
    cpu = time.process_time() - cpu
    link.close()
    os.waitpid(reader, 0)
    return sent / cpu / 1e9


class Trickle:
    """A record now and then: a log that has fallen silent gives back the memory of its hot tail."""

    def __init__(self, server, stream):
        self.server, self.stream = server, stream
        self.ends = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ends.wait(0.2):
            self.server.client.put_record(StreamName=self.stream, Data=b"x", PartitionKey="k")

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()


def measure_get_records(server, seconds, scratch):
    server.create("hot", 1)
    entries = [{"Data": os.urandom(RECORD_BYTES), "PartitionKey": "k"} for _ in range(BATCH)]
    for _ in range(16):
        server.client.put_records(StreamName="hot", Records=entries)
    at = server.client.get_shard_iterator(StreamName="hot", ShardId="0",
                                          ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records = 16 * BATCH
    text = at.encode()
    bodies = {JSON: json.dumps({"ShardIterator": at, "Limit": records}).encode(),
              CBOR: b"\xa2\x6dShardIterator\x79" + struct.pack(">H", len(text)) + text +
                    b"\x65Limit\x19" + struct.pack(">H", records)}
    out = {"records_per_request": records}
    for kind, body in bodies.items():
        headers = signed(server.address, "GetRecords", body, kind)
        with Trickle(server, "hot"):
            one = expect(load(server.pid, server.address, headers, body, seconds, 4, scratch), kind,
                         True)
        link = http.client.HTTPConnection(server.address)
        link.request("POST", "/", body, headers)
        answer_bytes = len(link.getresponse().read())
        bytes_each = records * RECORD_BYTES
        out["json" if kind == JSON else "cbor"] = {
            "gb_per_cpu_second": one["per_cpu_second"] * bytes_each / 1e9,
            "gb_per_second": one["per_second"] * bytes_each / 1e9,
            "bare_send_gb_per_cpu_second": bare_send(answer_bytes, seconds) * bytes_each / answer_bytes}
    return out


class Subscription:
    """SubscribeToShard over HTTP/1.1, by hand: what boto3 does takes longer than the server."""

    def __init__(self, server, consumer, shard="0"):
        body = json.dumps({"ConsumerARN": consumer, "ShardId": shard,
                           "StartingPosition": {"Type": "LATEST"}}).encode()
        host, port = server.address.split(":")
        self.link = socket.create_connection((host, int(port)))
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        head = "".join(f"{k}: {v}\r\n" for k, v in signed(
            server.address, "SubscribeToShard", body).items())
        self.link.sendall(f"POST / HTTP/1.1\r\nHost: {server.address}\r\n{head}"
                          f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        first = self.link.recv(65536)
        if not first.startswith(b"HTTP/1.1 200"):
            raise SystemExit(first.decode(errors="replace"))

    def wait_for(self, word):
        seen = b""
        while word not in seen:
            seen = seen[-4096:] + self.link.recv(65536)


def consumers(server, stream, count):
    arn = server.client.describe_stream_summary(
        StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    return [server.client.register_stream_consumer(
        StreamARN=arn, ConsumerName=f"c{i}")["Consumer"]["ConsumerARN"] for i in range(count)]


def measure_delivery(server, puts):
    """From before the PutRecord is sent until its record is there, by a clock in this process."""
    server.create("pushed", 1)
    subscription = Subscription(server, consumers(server, "pushed", 1)[0])
    time.sleep(0.3)
    host, port = server.address.split(":")
    link = socket.create_connection((host, int(port)))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    seconds = []
    for i in range(puts):
        data = base64.b64encode(f"<{i:010}>".encode())
        body = b'{"StreamName":"pushed","PartitionKey":"k","Data":"' + data + b'"}'
        head = "".join(f"{k}: {v}\r\n" for k, v in signed(
            server.address, "PutRecord", body).items())
        request = (f"POST / HTTP/1.1\r\nHost: {server.address}\r\n{head}"
                   f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        began = time.perf_counter()
        link.sendall(request)
        subscription.wait_for(data)
        seconds.append(time.perf_counter() - began)
        link.recv(65536)
    seconds.sort()
    return {"p50_ms": seconds[len(seconds) // 2] * 1e3,
            "p99_ms": seconds[len(seconds) * 99 // 100] * 1e3, "puts": puts}


def fsync_ms(directory):
    path = os.path.join(directory, "fsync")
    times = []
    with open(path, "wb", buffering=0) as file:
        file.write(b"\0" * (1 << 20))
        os.fsync(file.fileno())
        for i in range(200):
            began = time.perf_counter()
            os.pwrite(file.fileno(), os.urandom(4096), i * 4096)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - began)
    os.unlink(path)
    return {"p50_ms": statistics.median(times) * 1e3, "p99_ms": sorted(times)[197] * 1e3}


def first_request(address, protocol):
    """What a connection sends before it falls silent, and a sign of its answer."""
    if protocol == "HTTP/1.1":
        return f"GET / HTTP/1.1\r\nHost: {address}\r\n\r\n".encode(), b"AccessDenied"
    # SETTINGS, and HEADERS: GET, http and / of HPACK's static table, then :authority as a literal.
    fields = b"\x82\x86\x84\x01" + bytes([len(address)]) + address.encode()
    return (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]) +
            bytes([0, 0, len(fields), 1, 5, 0, 0, 0, 1]) + fields), b"AccessDenied"


def measure_idle(server, protocol, connections, subscribers, seconds):
    server.create("idle", 5)
    before = resident_bytes(server.pid)
    host, port = server.address.split(":")
    request, sign = first_request(server.address, protocol)
    held = []
    for _ in range(connections):
        link = socket.create_connection((host, int(port)))
        link.sendall(request)
        held.append(link)
    for link in held:
        seen = b""
        while sign not in seen:
            some = link.recv(65536)
            if not some:
                raise SystemExit(f"an idle connection of {protocol} was closed")
            seen += some
    names = consumers(server, "idle", 20)
    held += [Subscription(server, names[i // 5], str(i % 5)) for i in range(subscribers)]
    time.sleep(1)
    cpu = cpu_seconds(server.pid)
    time.sleep(seconds)
    return {"connections": connections, "subscribers": subscribers,
            "memory_mib": (resident_bytes(server.pid) - before) / (1 << 20),
            "cpu_percent_of_a_core": (cpu_seconds(server.pid) - cpu) / seconds * 100}


def on_its_own(binary, memory, scratch, measure):
    """By a server that has not grown by anything else."""
    server = Millrace(binary, tempfile.mkdtemp(dir=memory), scratch)
    try:
        return measure(server)
    finally:
        server.stop()


def measure_kinesalite(seconds, scratch):
    """Kinesalite by npm, logs in its memory, into a directory that goes away again."""
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--omit=optional", "kinesalite"],
                   cwd=scratch, check=True, stdout=subprocess.DEVNULL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(os.path.join(scratch, "node_modules", "kinesalite", "package.json"),
              encoding="utf-8") as file:
        version = json.load(file)["version"]
    process = subprocess.Popen(
        ["node", os.path.join("node_modules", "kinesalite", "cli.js"), "--port", str(port),
         "--createStreamMs", "0"], cwd=scratch, stdout=subprocess.DEVNULL)
    try:
        address = f"127.0.0.1:{port}"
        client = boto3.client("kinesis", endpoint_url=f"http://{address}",
                              region_name="us-east-1", aws_access_key_id=KEY,
                              aws_secret_access_key=SECRET)

        def is_up():
            try:
                return client.list_streams()
            except botocore.exceptions.EndpointConnectionError:
                return None

        wait_for(is_up, 20, "kinesalite")
        client.create_stream(StreamName="puts", ShardCount=4)
        client.get_waiter("stream_exists").wait(StreamName="puts")
        body = put_body("puts", BATCH)
        one = expect(load(process.pid, address, signed(address, "PutRecords", body), body, seconds,
                          8, scratch), "kinesalite", True)
        return {"version": version, "records_per_second": one["per_second"] * BATCH,
                "records_per_cpu_second": one["per_cpu_second"] * BATCH}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default="build/release/app/millrace")
    parser.add_argument("--directory", help="a directory on a disk, for durable delivery")
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--produce-records", type=int, default=500_000)
    parser.add_argument("--kinesalite", action="store_true", help="fetch it by npm and measure it")
    parser.add_argument("--only", default="", help="steps, with commas between: put_records, "
                        "produce, encryption, put_record, get_records, delivery, idle, kinesalite")
    given = parser.parse_args()
    only = set(given.only.split(",")) - {""}
    binary = os.path.abspath(given.binary)
    scratch = tempfile.mkdtemp(prefix="kinesis-http-")
    memory = tempfile.mkdtemp(prefix="kinesis-http-", dir="/dev/shm")
    out = {"logs": "memory file system (/dev/shm)"}
    server = Millrace(binary, os.path.join(memory, "data"), scratch)
    steps = {
        "put_records": lambda: measure_put_records(server, given.seconds, scratch),
        "produce": lambda: measure_produce(server, binary, given.produce_records),
        "encryption": lambda: measure_encryption(server, given.seconds, scratch),
        "put_record": lambda: measure_put_record(server, given.seconds, scratch),
        "get_records": lambda: measure_get_records(server, given.seconds, scratch),
        "delivery": lambda: measure_delivery(server, 2000),
        "idle": lambda: {protocol: on_its_own(binary, memory, scratch, lambda one: measure_idle(
            one, protocol, 1000, 100, 5)) for protocol in ("HTTP/1.1", "HTTP/2")},
    }
    try:
        for name, step in steps.items():
            if not only or name in only:
                print(f"{name}…", file=sys.stderr, flush=True)
                out[name] = step()
        if given.kinesalite:
            out["kinesalite"] = measure_kinesalite(given.seconds, scratch)
            ours = out.get("put_records", {}).get("and append")
            if ours:
                out["times_kinesalite"] = (ours["records_per_second"] /
                                           out["kinesalite"]["records_per_second"])
    finally:
        server.stop()
        shutil.rmtree(memory, ignore_errors=True)
    if given.directory and (not only or "delivery" in only):
        disk = tempfile.mkdtemp(prefix="kinesis-http-", dir=given.directory)
        on_disk = Millrace(binary, os.path.join(disk, "data"), scratch)
        try:
            out["durable_delivery"] = {"disk": given.directory, "fsync": fsync_ms(disk),
                                       **measure_delivery(on_disk, 500)}
        finally:
            on_disk.stop()
            shutil.rmtree(disk, ignore_errors=True)
    shutil.rmtree(scratch, ignore_errors=True)
    json.dump(out, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
