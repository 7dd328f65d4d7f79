#!/usr/bin/env python3
"""Records by boto3: put, read, kept, refused."""
import http.client
import json
import os

import harness
from kinesis_case import KinesisTest


class DataTest(KinesisTest):
    def test_what_is_put_is_read_with_every_kind_of_iterator(self):
        self.create("orders", 4)
        put = [self.client.put_record(StreamName="orders", PartitionKey=f"key-{i}",
                                      Data=f"data {i}".encode()) for i in range(20)]
        for i, one in enumerate(put):
            self.assertEqual(one["ShardId"],
                             harness.shard_name(harness.shard_of(f"key-{i}", 4)))
        shard = put[0]["ShardId"]
        mine = [(i, one) for i, one in enumerate(put) if one["ShardId"] == shard]
        records, children = self.read_shard("orders", shard)
        self.assertIsNone(children)
        self.assertEqual([r["Data"] for r in records], [f"data {i}".encode() for i, _ in mine])
        self.assertEqual([r["PartitionKey"] for r in records], [f"key-{i}" for i, _ in mine])
        self.assertEqual([r["SequenceNumber"] for r in records],
                         [one["SequenceNumber"] for _, one in mine])
        middle = mine[len(mine) // 2][1]["SequenceNumber"]
        at = self.client.get_records(ShardIterator=self.iterator(
            "orders", shard, "AT_SEQUENCE_NUMBER", StartingSequenceNumber=middle))["Records"]
        self.assertEqual(at, records[len(mine) // 2:])
        after = self.client.get_records(ShardIterator=self.iterator(
            "orders", shard, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=middle))["Records"]
        self.assertEqual(after, records[len(mine) // 2 + 1:])
        latest = self.iterator("orders", shard, "LATEST")
        self.assertEqual(self.client.get_records(ShardIterator=latest)["Records"], [])
        since = self.client.get_records(ShardIterator=self.iterator(
            "orders", shard, "AT_TIMESTAMP",
            Timestamp=records[0]["ApproximateArrivalTimestamp"]))["Records"]
        self.assertEqual(since, records)
        limited = self.client.get_records(ShardIterator=self.iterator("orders", shard), Limit=1)
        self.assertEqual(limited["Records"], records[:1])

    def test_put_records_answers_each_record_in_its_place(self):
        self.create("many", 8)
        entries = [{"Data": os.urandom(i * 7 % 2000), "PartitionKey": f"ключ {i}"}
                   for i in range(500)]
        entries[3]["ExplicitHashKey"] = "0"
        entries[4]["ExplicitHashKey"] = str(2**128 - 1)
        answer = self.client.put_records(StreamName="many", Records=entries)
        self.assertEqual(answer["FailedRecordCount"], 0)
        self.assertEqual(len(answer["Records"]), 500)
        self.assertEqual(answer["Records"][3]["ShardId"], harness.shard_name(0))
        self.assertEqual(answer["Records"][4]["ShardId"], harness.shard_name(7))
        stored = {}
        for i in range(8):
            records, _ = self.read_shard("many", harness.shard_name(i))
            numbers = [int(r["SequenceNumber"]) for r in records]
            self.assertEqual(numbers, sorted(set(numbers)))
            for record in records:
                stored[record["SequenceNumber"]] = (harness.shard_name(i), record)
        for wanted, got in zip(entries, answer["Records"]):
            shard, record = stored[got["SequenceNumber"]]
            self.assertEqual(shard, got["ShardId"])
            self.assertEqual(record["Data"], wanted["Data"])
            self.assertEqual(record["PartitionKey"], wanted["PartitionKey"])
        self.assertEqual(len(stored), 500)

    def test_what_was_answered_survives_kill_9(self):
        self.create("safe", 1)
        put = [self.client.put_record(StreamName="safe", PartitionKey="k", Data=str(i).encode())
               for i in range(50)]
        iterator = self.iterator("safe", harness.shard_name(0))
        self.client.add_tags_to_stream(StreamName="safe", Tags={"team": "blue"})
        self.client.register_stream_consumer(
            StreamARN=self.client.describe_stream_summary(StreamName="safe")
            ["StreamDescriptionSummary"]["StreamARN"], ConsumerName="reader")
        self.one.kill()
        self.one.start()
        self.client = self.connect()
        # Also the iterator is still good: it says all itself.
        records = self.client.get_records(ShardIterator=iterator)["Records"]
        self.assertEqual([r["SequenceNumber"] for r in records],
                         [one["SequenceNumber"] for one in put])
        self.assertEqual(self.client.list_tags_for_stream(StreamName="safe")["Tags"],
                         [{"Key": "team", "Value": "blue"}])
        summary = self.client.describe_stream_summary(StreamName="safe")
        self.assertEqual(summary["StreamDescriptionSummary"]["ConsumerCount"], 1)

    def test_records_up_to_the_streams_limit_and_not_beyond(self):
        self.create("large", 1)
        biggest = os.urandom(1024 * 1024 - 1)
        self.client.put_record(StreamName="large", PartitionKey="k", Data=biggest)
        self.client.put_records(StreamName="large", Records=[
            {"Data": bytes([i]) * 1_000_000, "PartitionKey": "k"} for i in range(10)])
        records, _ = self.read_shard("large", harness.shard_name(0))
        self.assertEqual(records[0]["Data"], biggest)
        self.assertEqual([r["Data"] for r in records[1:]],
                         [bytes([i]) * 1_000_000 for i in range(10)])
        self.assertIn("1048576", self.refused(
            "ValidationException", self.client.put_record, StreamName="large", PartitionKey="k",
            Data=bytes(1024 * 1024 + 1)))

    def test_records_of_ten_mebibytes_where_the_stream_allows_them(self):
        self.create("huge", 1)
        # Debian's botocore has no UpdateMaxRecordSize.
        link = http.client.HTTPConnection(self.one.http, timeout=harness.PATIENCE)
        self.addCleanup(link.close)
        arn = self.client.describe_stream(StreamName="huge")["StreamDescription"]["StreamARN"]
        link.request("POST", "/", json.dumps({"StreamARN": arn, "MaxRecordSizeInKiB": 10240}), {
            "X-Amz-Target": "Kinesis_20131202.UpdateMaxRecordSize",
            "Content-Type": "application/x-amz-json-1.1"})
        self.assertEqual(link.getresponse().status, 200)
        biggest = [os.urandom(10 * 2**20 - 1) for _ in range(3)]
        put = [self.client.put_record(StreamName="huge", PartitionKey="k", Data=data)
               for data in biggest]
        self.assertIn("10485760", self.refused(
            "ValidationException", self.client.put_record, StreamName="huge", PartitionKey="k",
            Data=bytes(10 * 2**20 + 1)))
        records, _ = self.read_shard("huge", harness.shard_name(0))
        self.assertEqual([r["SequenceNumber"] for r in records], [one["SequenceNumber"] for one in put])
        self.assertTrue([r["Data"] for r in records] == biggest, "the records are not what was put")

    def test_wrong_puts_are_refused_with_kinesis_errors(self):
        self.create("strict", 1)
        self.assertIn("Stream nowhere under account", self.refused(
            "ResourceNotFoundException", self.client.put_record, StreamName="nowhere", Data=b"x",
            PartitionKey="k"))
        self.assertIn("[0, 2^128-1]", self.refused(
            "InvalidArgumentException", self.client.put_record, StreamName="strict", Data=b"x",
            PartitionKey="k", ExplicitHashKey=str(2**128)))
        message = self.refused(
            "ValidationException", self.client.put_records, StreamName="strict",
            Records=[{"Data": b"x", "PartitionKey": "k" * 257},
                     {"Data": b"x", "PartitionKey": "k", "ExplicitHashKey": "01"}])
        self.assertTrue(message.startswith("2 validation errors detected: "), message)
        self.assertIn("records.1.member.partitionKey", message)
        self.assertIn("records.2.member.explicitHashKey", message)
        self.refused("ValidationException", self.client.put_records, StreamName="strict",
                     Records=[{"Data": b"x", "PartitionKey": "k"}] * 501)
        self.assertEqual(self.read_shard("strict", harness.shard_name(0))[0], [])


if __name__ == "__main__":
    harness.main()
