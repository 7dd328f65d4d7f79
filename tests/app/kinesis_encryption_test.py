#!/usr/bin/env python3
"""Encryption at rest by StartStreamEncryption, as boto3 and the files see it."""
import glob
import os

import harness
from kinesis_case import KinesisTest

ORDERS, NEXT, OFF, GOING, OTHERS = ("a" * 64, "b" * 64, "c" * 64, "d" * 64, "e" * 64)
RING = (f"1:{ORDERS} orders-key alias/orders\n2:{NEXT} next-key\n3:{OFF} off-key state=disabled\n"
        f"4:{GOING} going-key state=pending-deletion\n5:{OTHERS} others-key streams=others\n")


class EncryptionTest(KinesisTest):
    def arguments(self):
        return ["--udp", "off", "--keyring", self.ring(RING)]

    def ring(self, text):
        path = self.write("keyring", text)
        os.chmod(path, 0o600)
        return path

    def start_encryption(self, stream, key):
        self.client.start_stream_encryption(StreamName=stream, EncryptionType="KMS", KeyId=key)

    def put(self, stream, *data):
        for one in data:
            self.client.put_record(StreamName=stream, PartitionKey="k", Data=one)

    def data_of(self, stream):
        return [r["Data"] for r in self.read_shard(stream, harness.shard_name(0))[0]]

    def on_disk(self):
        files = glob.glob(os.path.join(self.one.data, "streams", "*", "*.segment"))
        self.assertTrue(files)
        found = b""
        for name in files:
            with open(name, "rb") as file:
                found += file.read()
        return found

    def test_an_encrypted_stream_is_readable_by_clients_and_unreadable_on_the_disk(self):
        self.create("orders", 1)
        self.put("orders", b"plain-words")
        self.start_encryption("orders", "alias/orders")
        described = self.client.describe_stream(StreamName="orders")["StreamDescription"]
        self.assertEqual((described["EncryptionType"], described["KeyId"]), ("KMS", "alias/orders"))
        put = self.client.put_record(StreamName="orders", PartitionKey="k", Data=b"secret-words")
        self.assertEqual(put["EncryptionType"], "KMS")
        self.start_encryption("orders", "arn:aws:kms:us-east-1:000000000000:key/next-key")
        self.put("orders", b"secret-words-again")
        everything = [b"plain-words", b"secret-words", b"secret-words-again"]
        self.assertEqual(self.data_of("orders"), everything)
        self.one.kill()
        self.one.start()
        self.client = self.connect()
        self.put("orders", b"secret-after-the-crash")
        everything.append(b"secret-after-the-crash")
        self.assertEqual(self.data_of("orders"), everything)
        self.assertEqual([r["data"].encode() for r in self.one.tail(
            "orders", "--from", "trim-horizon")], everything)
        self.assertIn(b"plain-words", self.on_disk())
        self.assertNotIn(b"secret", self.on_disk())
        self.client.stop_stream_encryption(StreamName="orders", EncryptionType="KMS",
                                           KeyId="next-key")
        self.put("orders", b"in-the-clear")
        self.assertIn(b"in-the-clear", self.on_disk())
        self.assertEqual(self.data_of("orders"), [*everything, b"in-the-clear"])
        self.assertEqual(self.client.describe_stream(StreamName="orders")["StreamDescription"]
                         ["EncryptionType"], "NONE")
        self.one.stop()
        self.assertIn("3 more are encrypted", self.verify(self.one.data))
        done = harness.millrace("verify", "--data", self.one.data, "--keyring",
                                f"{self.directory}/keyring")
        self.assertIn("5 records", done.stdout.decode())

    def test_each_record_says_how_it_was_stored_whatever_the_stream_is_now(self):
        self.create("orders", 1)
        wanted = []

        def put(kind):
            one = self.client.put_record(StreamName="orders", PartitionKey="k", Data=b"one")
            many = self.client.put_records(StreamName="orders", Records=[
                {"PartitionKey": "k", "Data": b"two"}, {"PartitionKey": "k", "Data": b"three"}])
            self.assertEqual([one.get("EncryptionType"), many.get("EncryptionType")], [kind] * 2)
            wanted.extend([kind] * 3)

        def check():
            records, _ = self.read_shard("orders", harness.shard_name(0))
            self.assertEqual([r.get("EncryptionType") for r in records], wanted)
            events = self.client.subscribe_to_shard(
                ConsumerARN=consumer, ShardId=harness.shard_name(0),
                StartingPosition={"Type": "TRIM_HORIZON"})["EventStream"]
            got = []
            for event in events:
                got += event["SubscribeToShardEvent"]["Records"]
                if len(got) >= len(wanted):
                    break
            self.assertEqual([r.get("EncryptionType") for r in got], wanted)

        self.start_encryption("orders", "orders-key")
        put("KMS")
        self.client.stop_stream_encryption(StreamName="orders", EncryptionType="KMS",
                                           KeyId="orders-key")
        put(None)
        arn = self.client.describe_stream(StreamName="orders")["StreamDescription"]["StreamARN"]
        consumer = self.client.register_stream_consumer(
            StreamARN=arn, ConsumerName="fan")["Consumer"]["ConsumerARN"]
        check()
        # From the disk, and with the stream encrypted again, it is the same.
        self.one.kill()
        self.one.start()
        self.client = self.connect()
        self.start_encryption("orders", "next-key")
        check()
        put("KMS")
        self.assertEqual([r.get("EncryptionType") for r in self.read_shard(
            "orders", harness.shard_name(0))[0]], wanted)

    def test_keys_that_cannot_be_used_are_refused_as_kms_does(self):
        self.create("orders", 1)
        for key, code in (("no-key", "KMSNotFoundException"), ("off-key", "KMSDisabledException"),
                          ("going-key", "KMSInvalidStateException"),
                          ("others-key", "KMSAccessDeniedException")):
            self.refused(code, self.start_encryption, "orders", key)
        self.assertEqual(self.client.describe_stream(StreamName="orders")["StreamDescription"]
                         ["EncryptionType"], "NONE")

    def test_a_key_that_is_gone_blocks_its_stream_and_no_other(self):
        self.create("orders", 1)
        self.create("others", 1)
        self.start_encryption("orders", "next-key")
        self.put("orders", b"locked-words")
        at = self.iterator("orders", harness.shard_name(0))
        consumer = self.client.register_stream_consumer(
            StreamARN=self.client.describe_stream(StreamName="orders")["StreamDescription"]
            ["StreamARN"], ConsumerName="fan")["Consumer"]["ConsumerARN"]

        def subscribe(start):
            return self.client.subscribe_to_shard(
                ConsumerARN=consumer, ShardId=harness.shard_name(0),
                StartingPosition={"Type": start})["EventStream"]

        self.one.stop()
        self.ring(RING.replace(f"2:{NEXT} next-key\n", ""))
        self.one.start()
        self.client = self.connect()
        self.refused("KMSNotFoundException", self.put, "orders", b"x")
        self.refused("KMSNotFoundException", self.client.get_records, ShardIterator=at)
        self.refused("KMSNotFoundException", subscribe, "TRIM_HORIZON")
        self.put("others", b"goes on")
        self.assertEqual(self.data_of("others"), [b"goes on"])
        # By another key it can be written again; what was written under the old one stays shut.
        self.start_encryption("orders", "orders-key")
        self.put("orders", b"new-words")
        self.assertIn("key 2", self.refused("KMSAccessDeniedException", self.client.get_records,
                                            ShardIterator=at))
        # The subscription itself may be had: what it gets instead of records says why.
        self.assertIn("key 2", self.refused("KMSAccessDeniedException", list,
                                            subscribe("TRIM_HORIZON")))
        self.assertEqual(next(iter(subscribe("LATEST")))["SubscribeToShardEvent"]["Records"], [])
        latest = self.client.get_records(ShardIterator=self.iterator(
            "orders", harness.shard_name(0), "LATEST"))
        self.assertEqual(latest["Records"], [])
        self.assertNotIn(b"words", self.on_disk())

    def test_a_keyring_that_others_can_read_is_refused(self):
        os.chmod(self.ring(RING), 0o644)
        done = harness.millrace("serve", "--data", f"{self.directory}/other", "--keyring",
                                f"{self.directory}/keyring", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("keyring", done.stderr.decode())


if __name__ == "__main__":
    harness.main()
