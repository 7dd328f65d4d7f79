#!/usr/bin/env python3
"""Streams, shards, consumers and settings by boto3."""
import os
import sqlite3
import time

import harness
from kinesis_case import KinesisTest, aged


class ControlTest(KinesisTest):
    def test_a_stream_is_described_listed_and_deleted(self):
        for name in ("a", "b", "c"):
            self.create(name, 2)
        self.assertEqual(self.client.list_streams()["StreamNames"], ["a", "b", "c"])
        page = self.client.list_streams(Limit=2)
        self.assertEqual((page["StreamNames"], page["HasMoreStreams"]), (["a", "b"], True))
        page = self.client.list_streams(Limit=2, ExclusiveStartStreamName="b")
        self.assertEqual((page["StreamNames"], page["HasMoreStreams"]), (["c"], False))
        self.refused("ResourceInUseException", self.client.create_stream, StreamName="a",
                     ShardCount=1)
        self.client.delete_stream(StreamName="b")
        self.client.get_waiter("stream_not_exists").wait(StreamName="b")
        found = self.client.describe_stream(StreamName="a")["StreamDescription"]
        self.assertEqual(found["StreamStatus"], "ACTIVE")
        self.assertEqual(found["StreamARN"], "arn:aws:kinesis:us-east-1:000000000000:stream/a")
        self.assertEqual(found["RetentionPeriodHours"], 24)
        self.assertEqual(len(found["Shards"]), 2)
        ranges = [shard["HashKeyRange"] for shard in found["Shards"]]
        self.assertEqual(ranges, [
            {"StartingHashKey": "0", "EndingHashKey": str(2**127 - 1)},
            {"StartingHashKey": str(2**127), "EndingHashKey": str(2**128 - 1)}])

    def test_shards_are_paged(self):
        self.create("wide", 250)
        shards = [s["ShardId"] for page in
                  self.client.get_paginator("describe_stream").paginate(StreamName="wide")
                  for s in page["StreamDescription"]["Shards"]]
        self.assertEqual(shards, [harness.shard_name(i) for i in range(250)])
        first = self.client.list_shards(StreamName="wide", MaxResults=200)
        second = self.client.list_shards(NextToken=first["NextToken"], MaxResults=200)
        self.assertEqual([s["ShardId"] for s in first["Shards"] + second["Shards"]], shards)
        self.assertNotIn("NextToken", second)

    def test_retention_tags_mode_and_monitoring_are_kept(self):
        self.create("kept", 1)
        name = {"StreamName": "kept"}
        arn = "arn:aws:kinesis:us-east-1:000000000000:stream/kept"
        self.client.increase_stream_retention_period(RetentionPeriodHours=48, **name)
        self.refused("InvalidArgumentException", self.client.increase_stream_retention_period,
                     RetentionPeriodHours=36, **name)
        self.client.add_tags_to_stream(Tags={"a": "1", "b": "2", "c": "3"}, **name)
        self.client.remove_tags_from_stream(TagKeys=["b"], **name)
        page = self.client.list_tags_for_stream(Limit=1, **name)
        self.assertEqual((page["Tags"], page["HasMoreTags"]), ([{"Key": "a", "Value": "1"}], True))
        page = self.client.list_tags_for_stream(ExclusiveStartTagKey="a", **name)
        self.assertEqual((page["Tags"], page["HasMoreTags"]), ([{"Key": "c", "Value": "3"}], False))
        self.client.update_stream_mode(StreamARN=arn,
                                       StreamModeDetails={"StreamMode": "ON_DEMAND"})
        answer = self.client.enable_enhanced_monitoring(ShardLevelMetrics=["ALL"], **name)
        self.assertEqual(len(answer["DesiredShardLevelMetrics"]), 7)
        answer = self.client.disable_enhanced_monitoring(ShardLevelMetrics=["IncomingBytes"], **name)
        self.assertEqual(len(answer["DesiredShardLevelMetrics"]), 6)
        self.assertEqual(self.one.stop(), 0)
        self.one.start()
        self.client = self.connect()
        found = self.client.describe_stream_summary(**name)["StreamDescriptionSummary"]
        self.assertEqual(found["RetentionPeriodHours"], 48)
        self.assertEqual(found["StreamModeDetails"], {"StreamMode": "ON_DEMAND"})
        self.assertEqual(len(found["EnhancedMonitoring"][0]["ShardLevelMetrics"]), 6)

    def test_consumers_are_registered_listed_and_removed(self):
        self.create("fans", 1)
        arn = "arn:aws:kinesis:us-east-1:000000000000:stream/fans"
        made = [self.client.register_stream_consumer(StreamARN=arn, ConsumerName=f"c{i}")["Consumer"]
                for i in range(3)]
        self.assertEqual(made[0]["ConsumerStatus"], "CREATING")
        self.refused("ResourceInUseException", self.client.register_stream_consumer,
                     StreamARN=arn, ConsumerName="c0")
        names = [c["ConsumerName"] for page in
                 self.client.get_paginator("list_stream_consumers").paginate(
                     StreamARN=arn, PaginationConfig={"PageSize": 2}) for c in page["Consumers"]]
        self.assertEqual(names, ["c0", "c1", "c2"])
        found = self.client.describe_stream_consumer(ConsumerARN=made[1]["ConsumerARN"])
        self.assertEqual(found["ConsumerDescription"]["StreamARN"], arn)
        self.assertEqual(found["ConsumerDescription"]["ConsumerStatus"], "ACTIVE")
        self.refused("ResourceInUseException", self.client.delete_stream, StreamName="fans")
        self.client.deregister_stream_consumer(StreamARN=arn, ConsumerName="c1")
        self.refused("ResourceNotFoundException", self.client.describe_stream_consumer,
                     ConsumerARN=made[1]["ConsumerARN"])
        self.client.delete_stream(StreamName="fans", EnforceConsumerDeletion=True)

    def test_nothing_looks_encrypted_that_is_not(self):
        self.create("plain", 1)
        self.refused("KMSNotFoundException", self.client.start_stream_encryption,
                     StreamName="plain", EncryptionType="KMS", KeyId="alias/aws/kinesis")
        found = self.client.describe_stream(StreamName="plain")["StreamDescription"]
        self.assertEqual(found["EncryptionType"], "NONE")

    def test_iterators_are_of_their_shard_and_cannot_be_made_up(self):
        self.create("s", 2)
        put = self.client.put_record(StreamName="s", PartitionKey="k", Data=b"x")
        other = harness.shard_name(1 - int(put["ShardId"][-1]))
        self.assertIn("It encodes " + put["ShardId"], self.refused(
            "InvalidArgumentException", self.iterator, "s", other, "AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=put["SequenceNumber"]))
        self.refused("InvalidArgumentException", self.client.get_records, ShardIterator="AAAA")
        good = self.iterator("s", other)
        forged = ("A" if good[0] != "A" else "B") + good[1:]
        self.refused("InvalidArgumentException", self.client.get_records, ShardIterator=forged)
        self.refused("ResourceNotFoundException", self.iterator, "s", "shardId-000000000009")
        self.refused("InvalidArgumentException", self.iterator, "s", other, "AT_TIMESTAMP",
                     Timestamp=time.time() + 3600)

    def test_a_sequence_number_that_is_to_come_starts_at_the_end(self):
        self.create("s", 1)
        first = self.client.put_record(StreamName="s", PartitionKey="k", Data=b"first")
        # Its index is above version, shard, second and a byte of nothing: 80 bits.
        future = str(int(first["SequenceNumber"]) + (1000 << 80))
        for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            at = self.iterator("s", harness.shard_name(0), kind, StartingSequenceNumber=future)
            put = self.client.put_record(StreamName="s", PartitionKey="k", Data=b"next")
            got = self.client.get_records(ShardIterator=at)["Records"]
            self.assertEqual([r["SequenceNumber"] for r in got], [put["SequenceNumber"]])

    def test_an_iterator_is_good_for_five_minutes(self):
        self.create("s", 1)
        self.client.put_record(StreamName="s", PartitionKey="k", Data=b"x")
        fresh = self.iterator("s", harness.shard_name(0))
        young = self.client.get_records(ShardIterator=aged(self.one, fresh, 290))
        self.assertEqual(len(young["Records"]), 1)
        message = self.refused("ExpiredIteratorException", self.client.get_records,
                               ShardIterator=aged(self.one, fresh, 301))
        self.assertRegex(message, "created at time .* while right now it is .* which is further in "
                                  "the future than the tolerated delay of 300000 milliseconds")
        # What it leads to is new.
        again = self.client.get_records(ShardIterator=young["NextShardIterator"])
        self.assertEqual(again["Records"], [])


class StateTest(KinesisTest):
    def arguments(self):
        return ["--udp", "off", "--state-change-ms", "1500"]

    def test_changes_are_shown_for_a_while(self):
        def state():
            return self.client.describe_stream_summary(StreamName="slow")[
                "StreamDescriptionSummary"]["StreamStatus"]
        self.client.create_stream(StreamName="slow", ShardCount=1)
        self.assertEqual(state(), "CREATING")
        self.refused("ResourceNotFoundException", self.client.put_record, StreamName="slow",
                     PartitionKey="k", Data=b"x")
        self.wait_until(lambda: state() == "ACTIVE", "the stream is active")
        self.client.split_shard(StreamName="slow", ShardToSplit="shardId-000000000000",
                                NewStartingHashKey=str(2**127))
        self.assertEqual(state(), "UPDATING")
        self.client.put_record(StreamName="slow", PartitionKey="k", Data=b"x")
        self.refused("ResourceInUseException", self.client.split_shard, StreamName="slow",
                     ShardToSplit="shardId-000000000001", NewStartingHashKey=str(2**126))
        self.wait_until(lambda: state() == "ACTIVE", "the stream is active again")


class UpgradeTest(KinesisTest):
    def test_a_catalog_of_the_first_version_is_taken_over(self):
        self.create("old", 2)
        self.client.put_record(StreamName="old", PartitionKey="k", Data=b"x")
        self.assertEqual(self.one.stop(), 0)
        catalog = sqlite3.connect(os.path.join(self.one.data, "catalog.db"))
        catalog.executescript("DROP TABLE attributes; PRAGMA user_version = 1;")
        catalog.close()
        self.one.start()
        self.client = self.connect()
        self.client.add_tags_to_stream(StreamName="old", Tags={"a": "b"})
        self.assertEqual(len(self.client.list_tags_for_stream(StreamName="old")["Tags"]), 1)
        records = [r for i in range(2) for r in self.read_shard("old", harness.shard_name(i))[0]]
        self.assertEqual([r["Data"] for r in records], [b"x"])


if __name__ == "__main__":
    harness.main()
