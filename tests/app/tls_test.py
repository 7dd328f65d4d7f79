#!/usr/bin/env python3
"""The Kinesis API over TLS, by AWS' own clients and by Python's ssl; and its certificate, which is
replaced while the server runs."""
import collections
import os
import socket
import ssl
import subprocess
import unittest
import warnings

import boto3
import botocore.config
import botocore.exceptions

import harness

AWS = "/usr/bin/aws"
LIST = (b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\n"
        b"Content-Type: application/x-amz-json-1.1\r\nContent-Length: 2\r\n\r\n{}")


class Pair(collections.namedtuple("Pair", "certificate key")):
    def flags(self):
        return ["--tls-certificate", self.certificate, "--tls-key", self.key]


def make_pair(directory, name="own", subject="localhost", names="DNS:localhost,IP:127.0.0.1"):
    """A self-signed certificate, for this machine if nobody says otherwise, and its key."""
    pair = Pair(os.path.join(directory, f"{name}.crt"), os.path.join(directory, f"{name}.key"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", pair.key, "-out", pair.certificate, "-days", "2", "-subj", f"/CN={subject}",
         "-addext", f"subjectAltName={names}"], check=True, capture_output=True)
    os.chmod(pair.key, 0o600)
    return pair


class TlsTest(harness.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.pair = make_pair(self.directory)

    def serve(self, *arguments):
        self.one = self.server("--udp", "off", *self.pair.flags(), *arguments)
        host, port = self.one.http.rsplit(":", 1)
        self.address = (host, int(port))

    def context(self, *protocols):
        one = ssl.create_default_context(cafile=self.pair.certificate)
        if protocols:
            one.set_alpn_protocols(list(protocols))
        return one

    def connect(self, context=None):
        plain = socket.create_connection(self.address, timeout=harness.PATIENCE)
        self.addCleanup(plain.close)
        one = (context or self.context()).wrap_socket(plain, server_hostname="localhost")
        self.addCleanup(one.close)
        return one

    def talk(self, one):
        """Asks for the streams on a connection; returns the status."""
        one.sendall(LIST)
        return int(one.recv(65536).split(b" ")[1])

    def subject(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.pair.certificate)
        context.verify_mode = ssl.CERT_NONE
        certificate = self.connect(context).getpeercert(binary_form=True)
        done = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject"],
                              input=certificate, capture_output=True, check=True)
        return done.stdout.decode().strip()


class ClientTest(TlsTest):
    def test_boto3_writes_reads_and_subscribes(self):
        self.serve()
        client = boto3.client(
            "kinesis", endpoint_url=f"https://{self.one.http}", region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test", verify=self.pair.certificate,
            config=botocore.config.Config(retries={"max_attempts": 1}))
        self.addCleanup(client.close)
        client.create_stream(StreamName="safe", ShardCount=1)
        data = [os.urandom(size) for size in (1, 16_000, 16_384, 17_000, 400_000, 1_000_000)]
        for one in data:
            client.put_record(StreamName="safe", PartitionKey="k", Data=one)
        at = client.get_shard_iterator(StreamName="safe", ShardId=harness.shard_name(0),
                                       ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        self.assertEqual([r["Data"] for r in client.get_records(ShardIterator=at)["Records"]], data)
        stream = client.describe_stream_summary(StreamName="safe")["StreamDescriptionSummary"]
        consumer = client.register_stream_consumer(StreamARN=stream["StreamARN"],
                                                   ConsumerName="fan")["Consumer"]
        events = client.subscribe_to_shard(
            ConsumerARN=consumer["ConsumerARN"], ShardId=harness.shard_name(0),
            StartingPosition={"Type": "TRIM_HORIZON"})["EventStream"]
        got = []
        for event in events:
            got += [r["Data"] for r in event["SubscribeToShardEvent"]["Records"]]
            if len(got) >= len(data):
                break
        self.assertEqual(got, data)

    def test_a_client_that_does_not_know_the_certificate_goes_no_further(self):
        self.serve()
        client = boto3.client("kinesis", endpoint_url=f"https://{self.one.http}",
                              region_name="us-east-1", aws_access_key_id="test",
                              aws_secret_access_key="test",
                              config=botocore.config.Config(retries={"max_attempts": 0}))
        self.addCleanup(client.close)
        with self.assertRaises(botocore.exceptions.SSLError):
            client.list_streams()

    def test_the_command_line_of_aws_with_a_bundle(self):
        self.serve()
        for arguments in (["create-stream", "--stream-name", "cli", "--shard-count", "1"],
                          ["put-record", "--stream-name", "cli", "--partition-key", "k",
                           "--data", "aGVsbG8="]):
            done = subprocess.run(
                [AWS, "--endpoint-url", f"https://{self.one.http}", "--ca-bundle",
                 self.pair.certificate, "kinesis", *arguments], capture_output=True, text=True,
                timeout=harness.PATIENCE, check=False,
                env=harness.clean_environment(
                    AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test",
                    AWS_DEFAULT_REGION="us-east-1", AWS_EC2_METADATA_DISABLED="true"))
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("shardId-000000000000", done.stdout)


class ProduceTest(TlsTest):
    """`millrace produce --to https://`."""

    def setUp(self):
        super().setUp()
        self.serve("--stream", "safe:2")
        self.port = self.address[1]
        self.lines = [f"key-{i % 37} line {i}" for i in range(3000)]
        self.source = self.write("in", "\n".join(self.lines) + "\n")

    def produce(self, host, *arguments):
        return harness.millrace(
            "produce", "--to", f"https://{host}:{self.port}", "--stream", "safe", "--file",
            self.source, "--key-field", "1", "--request-records", "100", *arguments, check=False)

    def refused(self, reason, host, *arguments):
        done = self.produce(host, *arguments)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"TLS connection to {host}:{self.port}: the certificate is not to be trusted: "
                      f"{reason}", done.stderr.decode())
        self.assertEqual(self.one.tail("safe"), [])

    def test_records_go_to_a_server_whose_certificate_is_vouched_for(self):
        for host in ("localhost", "127.0.0.1"):
            done = self.produce(host, "--ca", self.pair.certificate)
            self.assertEqual(done.returncode, 0, done.stderr)
        records = self.one.tail("safe")
        self.assert_every_line_once(records, self.lines * 2, lambda _, line: line.split()[0], 2)

    def test_an_unknown_certificate_is_refused(self):
        stranger = make_pair(self.directory, "stranger", "stranger")
        self.refused("self-signed certificate", "localhost")
        self.refused("self-signed certificate", "localhost", "--ca", stranger.certificate)

    def test_a_certificate_of_another_host_is_refused(self):
        self.one.stop()
        self.pair = make_pair(self.directory, names="DNS:elsewhere.example,IP:127.0.0.9")
        self.one.start()
        self.refused("IP address mismatch", "127.0.0.1", "--ca", self.pair.certificate)
        self.refused("hostname mismatch", "localhost", "--ca", self.pair.certificate)

    def test_only_who_says_so_takes_any_certificate(self):
        done = self.produce("127.0.0.1", "--insecure")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.one.tail("safe")), len(self.lines))

    def test_a_server_without_tls_is_no_server_of_https(self):
        self.port = int(self.one.admin.rsplit(":", 1)[1])
        done = self.produce("127.0.0.1", "--ca", self.pair.certificate)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"TLS connection to 127.0.0.1:{self.port}: ", done.stderr.decode())


class ProtocolTest(TlsTest):
    def test_alpn_takes_http_2_first_and_nothing_that_is_not_spoken(self):
        self.serve()
        for offered, wanted in ((("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1"), ((), None)):
            one = self.connect(self.context(*offered))
            self.assertEqual(one.selected_alpn_protocol(), wanted)
            if wanted != "h2":
                self.assertEqual(self.talk(one), 200)
        with self.assertRaises(ssl.SSLError) as caught:
            self.connect(self.context("spdy/3"))
        self.assertIn("no application protocol", str(caught.exception))

    def test_nothing_older_than_tls_1_2(self):
        self.serve()
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context()
            context.minimum_version = context.maximum_version = version
            self.assertEqual(self.talk(self.connect(context)), 200)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.load_verify_locations(self.pair.certificate)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises(ssl.SSLError) as caught:
            self.connect(old)
        self.assertEqual(caught.exception.reason, "TLSV1_ALERT_PROTOCOL_VERSION")

    def test_tls_1_2_has_forward_secrecy_and_authenticated_encryption_alone(self):
        self.serve()
        context = self.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        for suite in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"):
            context.set_ciphers(suite)
            one = self.connect(context)
            self.assertEqual((one.cipher()[0], one.compression()), (suite, None))
        for suite in ("AES128-GCM-SHA256", "AES256-SHA", "ECDHE-ECDSA-AES128-SHA"):
            context.set_ciphers(suite)
            with self.assertRaises(ssl.SSLError) as caught:
                self.connect(context)
            self.assertIn("HANDSHAKE_FAILURE", caught.exception.reason)

    def test_there_is_no_compression_no_renegotiation_and_no_early_data(self):
        self.serve()
        for version in ("-tls1_2", "-tls1_3"):
            said = self.openssl(version, b"")
            self.assertIn("Compression: NONE", said)
            self.assertNotIn("Early data was accepted", said)
        # A ticket says how much may come early with it.
        self.assertIn("Max Early Data: 0", self.openssl("-tls1_3", LIST))
        # R asks for another handshake.
        said = self.openssl("-tls1_2", b"R\n")
        self.assertIn("RENEGOTIATING", said)
        self.assertIn("no renegotiation", said)

    def openssl(self, version, text):
        """What s_client tells of a connection on which `text` was sent."""
        done = subprocess.run(
            ["openssl", "s_client", version, "-connect", self.one.http, "-CAfile",
             self.pair.certificate, *(["-ign_eof"] if text == LIST else [])],
            input=text.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
            capture_output=True, timeout=harness.PATIENCE, check=False)
        return (done.stdout + done.stderr).decode(errors="replace")

    def test_what_comes_without_tls_is_refused(self):
        self.serve()
        with socket.create_connection(self.address, timeout=harness.PATIENCE) as plain:
            plain.sendall(LIST)
            answer = plain.recv(65536)
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
            self.assertIn(b"use https", answer)
        with socket.create_connection(self.address, timeout=harness.PATIENCE) as plain:
            plain.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            self.assertEqual(plain.recv(65536), b"")

    def test_plain_http_beside_tls_where_it_is_asked_for(self):
        self.serve("--plain-http")
        self.assertEqual(self.talk(self.connect()), 200)
        with socket.create_connection(self.address, timeout=harness.PATIENCE) as plain:
            self.assertEqual(self.talk(plain), 200)

    def test_many_requests_on_one_connection_and_what_is_no_tls(self):
        self.serve()
        one = self.connect()
        for _ in range(200):
            self.assertEqual(self.talk(one), 200)
        with socket.create_connection(self.address, timeout=harness.PATIENCE) as broken:
            broken.sendall(b"\x16\x03\x01\x00\x10" + b"\xff" * 64)
            broken.settimeout(harness.PATIENCE)
            try:
                while broken.recv(4096):  # an alert, perhaps, and the end
                    pass
            except ConnectionResetError:
                pass
        self.assertEqual(self.talk(one), 200)


class CertificateTest(TlsTest):
    def replace(self, other):
        for own, new in zip(self.pair, other):
            os.replace(new, own)

    def test_a_new_pair_is_taken_on_sighup_and_a_bad_one_is_not(self):
        self.serve()
        held = self.connect()
        self.assertEqual(self.subject(), "subject=CN = localhost")
        self.replace(make_pair(self.directory, "new", "second"))
        self.assertEqual(self.subject(), "subject=CN = localhost")
        said = self.hang_up(self.one)
        self.assertEqual(said["event"], "reloaded")
        self.assertIn("CN = second", said["certificate"])
        self.assertEqual(self.subject(), "subject=CN = second")
        # A key of another certificate, no key at all, no file, and one that others can read.
        stranger = make_pair(self.directory, "stranger", "third")
        with open(self.pair.key, encoding="ascii") as file:
            good = file.read()
        os.replace(stranger.key, self.pair.key)
        for text, mode, reason in ((None, 0o600, "not the key of the certificate"),
                                   ("nonsense", 0o600, "no private key in PEM"),
                                   (good, 0o644, "can be read by others")):
            if text is not None:
                with open(self.pair.key, "w", encoding="ascii") as file:
                    file.write(text)
            os.chmod(self.pair.key, mode)
            said = self.hang_up(self.one)
            self.assertEqual((said["level"], said["event"]),
                             ("error", "not reloaded, what is in use stays"))
            self.assertIn(reason, said["reason"])
            self.assertEqual(self.subject(), "subject=CN = second")
        os.remove(self.pair.key)
        self.assertIn("No such file", self.hang_up(self.one)["reason"])
        self.assertEqual(self.subject(), "subject=CN = second")
        # Whoever was connected before stays so.
        self.assertEqual(self.talk(held), 200)
        self.assertEqual(self.one.stop(), 0)

    def test_sighup_ends_nothing_where_there_is_no_tls(self):
        self.one = self.server("--udp", "off")
        self.assertEqual(self.hang_up(self.one)["certificate"], "none")
        self.assertEqual(self.one.stop(), 0)

    def refused(self, *arguments):
        done = harness.millrace("serve", "--data", os.path.join(self.directory, "data"), "--udp",
                                "off", "--admin", "127.0.0.1:0", "--http", "127.0.0.1:0",
                                *arguments, check=False)
        self.assertEqual(done.returncode, 78, done.stderr)
        return done.stderr.decode()

    def test_a_server_does_not_start_with_half_a_pair_or_a_bad_one(self):
        certificate, key = self.pair
        self.assertIn("tls_certificate is given, but not tls_key",
                      self.refused("--tls-certificate", certificate))
        self.assertIn("plain_http is given, but not tls_certificate", self.refused("--plain-http"))
        self.assertIn("it has no certificate in PEM",
                      self.refused("--tls-certificate", key, "--tls-key", key))
        stranger = make_pair(self.directory, "stranger")
        self.assertIn("not the key of the certificate",
                      self.refused("--tls-certificate", certificate, "--tls-key", stranger.key))
        os.chmod(key, 0o640)
        self.assertIn("can be read by others", self.refused(*self.pair.flags()))

    def test_tls_alone_does_not_open_the_port_to_the_network(self):
        done = harness.millrace("serve", "--data", os.path.join(self.directory, "data"), "--udp",
                                "off", "--admin", "off", "--http", "0.0.0.0:0", *self.pair.flags(),
                                check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("listens beyond loopback without credentials", done.stderr.decode())


if __name__ == "__main__":
    harness.main()
