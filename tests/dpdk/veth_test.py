#!/usr/bin/env python3
"""A DPDK port and the kernel's network stack, face to face over a veth pair.

    veth_test.py MILLRACE

`millrace serve` owns one end by net_af_packet; on the other, in a network namespace of its own,
`millrace produce` and plain sockets speak through the kernel. So ARP, neighbour discovery, echo,
checksums and the record protocol meet the peer that they will meet in the field. Needs no
privileges where user namespaces are allowed; says SKIP (exit code 77) where it cannot run.
"""
import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

SKIPPED = 77
SERVER4, CLIENT4 = "198.18.0.1", "198.18.0.2"
SERVER6, CLIENT6 = "fd00:18::1", "fd00:18::2"
RECORDS = 5000
RAW_DATAGRAMS = 300
INSIDE = "MILLRACE_VETH_TEST_INSIDE"
ADMIN = "http://127.0.0.1:9644"


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(SKIPPED)


def run(*command, **more):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=100, **more)


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def enter_namespace():
    """Starts this script again in a network namespace of its own."""
    for tool in ("unshare", "nsenter", "ip"):
        if not shutil.which(tool):
            skip(f"{tool} is not installed")
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user",
                                                            "--net"]
    allowed = subprocess.run([*unshare, "ip", "link", "add", "name", "server", "type", "veth", "peer",
                              "name", "client"], capture_output=True, text=True)
    if allowed.returncode != 0:
        skip(f"no network namespace with veth here: {allowed.stderr.strip()}")
    os.environ[INSIDE] = "1"
    os.execvp(unshare[0], [*unshare, sys.executable, *sys.argv])


class Peer:
    """The other end: a namespace held by a process that sleeps in it."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "300"])
        here = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == here:
            time.sleep(0.01)

    def command(self, *words):
        return ["nsenter", "--target", str(self.holder.pid), "--net", *words]

    def run(self, *words, **more):
        return run(*self.command(*words), **more)

    def python(self, function, *arguments):
        return self.run(sys.executable, __file__, f"--peer={function}",
                        *[str(a) for a in arguments]).stdout

    def close(self):
        self.holder.kill()
        self.holder.wait()


def connect(peer):
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "name", "server", "type", "veth", "peer", "name", "client", "netns",
        str(peer.holder.pid))
    run("ip", "link", "set", "server", "up")
    peer.run("ip", "address", "add", f"{CLIENT4}/24", "dev", "client")
    peer.run("ip", "address", "add", f"{CLIENT6}/64", "dev", "client", "nodad")
    peer.run("ip", "link", "set", "client", "up")
    # Otherwise the kernel hands the server 64 KiB superframes that no wire would carry.
    peer.run("ip", "link", "set", "client", "gso_max_segs", "1")


# --- what runs on the other end ------------------------------------------------------------------


def internet_checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def peer_echo(size):
    """Pings the server over IPv4 and IPv6 with `size` bytes."""
    data = bytes(i % 251 for i in range(int(size)))
    for family, protocol, address, request, reply in (
            (socket.AF_INET, socket.IPPROTO_ICMP, SERVER4, 8, 0),
            (socket.AF_INET6, socket.IPPROTO_ICMPV6, SERVER6, 128, 129)):
        with socket.socket(family, socket.SOCK_RAW, protocol) as pinger:
            pinger.settimeout(0.5)
            message = struct.pack(">BBHHH", request, 0, 0, 7, 1) + data
            message = message[:2] + struct.pack(">H", internet_checksum(message)) + message[4:]
            for _ in range(20):
                pinger.sendto(message, (address, 0))
                try:
                    answer = pinger.recv(10_000)
                    while answer[20 if family == socket.AF_INET else 0] != reply:
                        answer = pinger.recv(10_000)
                    break
                except socket.timeout:
                    continue
            else:
                raise AssertionError(f"{address} does not answer echo")
            check(answer.endswith(data), f"{address} echoed other bytes")
    print("echoed")


def peer_raw(count):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for i in range(int(count)):
            sender.sendto(f"<13>raw {i} first\nraw {i} second\n".encode(), (SERVER4, 5514))
            time.sleep(0.0005)


# --- what runs on this end -------------------------------------------------------------------------


def wait_until_ready(server, log):
    for _ in range(300):
        if server.poll() is not None:
            raise AssertionError(f"serve ended with {server.returncode}:\n{open(log).read()}")
        try:
            if urllib.request.urlopen(f"{ADMIN}/readyz", timeout=1).status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("serve did not become ready")


def read_stream(millrace, stream):
    out = run(millrace, "tail", stream, "--admin", "127.0.0.1:9644", "--follow=false",
              "--from", "trim-horizon").stdout
    return [json.loads(line) for line in out.splitlines()]


def check_records(records, lines):
    check(sorted(r["data"] for r in records) == sorted(lines), "a line is missing or there twice")
    order = {}
    for record in records:
        key = record["key"]
        shard = int.from_bytes(hashlib.md5(key.encode()).digest(), "big") // (2**128 // 4)
        check(record["shard"].endswith(f"{shard:012d}"), f"{key!r} is in {record['shard']}")
        order.setdefault(key, []).append(record["data"])
    for key, got in order.items():
        want = [line for line in lines if line.split()[0] == key]
        check(got == want, f"records of {key!r} are out of order")


def produce(millrace, peer, address, path):
    peer.run(millrace, "produce", "--to", f"udp://{address}:4567", "--stream", "lines", "--file",
             path, "--format", "lines", "--key-field", "1")


def counter(name):
    text = urllib.request.urlopen(f"{ADMIN}/metrics", timeout=5).read().decode()
    for line in text.splitlines():
        if line.startswith(f"millrace_{name}_total"):
            return int(float(line.split()[-1]))
    raise AssertionError(f"no counter {name}")


def wait_for_raw(millrace):
    for _ in range(100):
        if counter("raw_records_received") == 2 * RAW_DATAGRAMS:
            break
        time.sleep(0.05)  # lossy by design: what is late or lost ends the wait, not the test
    time.sleep(0.2)
    records = read_stream(millrace, "raw")
    check(len(records) >= RAW_DATAGRAMS, f"only {len(records)} raw records of {2 * RAW_DATAGRAMS}")
    check({r["key"] for r in records} == {CLIENT4}, "raw records are keyed by source address")


def test(millrace, peer, directory):
    lines = [f"user{(i * i) % 97} record number {i}" for i in range(2 * RECORDS)]
    for part in range(2):
        with open(f"{directory}/part{part}", "w") as out:
            out.write("".join(f"{line}\n" for line in lines[part * RECORDS:(part + 1) * RECORDS]))
    log = f"{directory}/serve.log"
    server = subprocess.Popen(
        [millrace, "serve", "--data", f"{directory}/data", "--udp", "off", "--admin",
         "127.0.0.1:9644", "--allow-unauthenticated", "--stream", "lines:4", "--stream", "raw:2",
         "--raw-udp", "127.0.0.1:5514=raw,lines", "--dpdk-address", f"{SERVER4}/24",
         "--dpdk-address", f"{SERVER6}/64", "--dpdk",
         "--no-huge -m 128 --no-shconf --no-pci --no-telemetry --vdev=net_af_packet0,iface=server"],
        stdout=open(log, "w"), stderr=subprocess.STDOUT)
    try:
        wait_until_ready(server, log)
        for size in (0, 56, 1400):
            check(peer.python("echo", size) == "echoed\n", "no echo")
        produce(millrace, peer, SERVER4, f"{directory}/part0")
        produce(millrace, peer, f"[{SERVER6}]", f"{directory}/part1")
        peer.python("raw", RAW_DATAGRAMS)
        check_records(read_stream(millrace, "lines"), lines)
        wait_for_raw(millrace)
        server.send_signal(signal.SIGTERM)
        check(server.wait(timeout=30) == 0, "serve did not end cleanly")
        run(millrace, "verify", "--data", f"{directory}/data")
    except subprocess.CalledProcessError as failed:
        raise AssertionError(f"{failed}\n{failed.stdout}\n{failed.stderr}\n{open(log).read()}")
    finally:
        server.kill()
        server.wait()


def main():
    if sys.argv[1].startswith("--peer="):
        globals()[f"peer_{sys.argv[1][len('--peer='):]}"](*sys.argv[2:])
        return
    if not os.environ.get(INSIDE):
        enter_namespace()
    millrace = os.path.abspath(sys.argv[1])
    peer = Peer()
    try:
        connect(peer)
        with tempfile.TemporaryDirectory() as directory:
            test(millrace, peer, directory)
    finally:
        peer.close()
    print("ok")


if __name__ == "__main__":
    main()
