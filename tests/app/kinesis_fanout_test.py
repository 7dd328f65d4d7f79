#!/usr/bin/env python3
"""SubscribeToShard by boto3."""
import botocore.exceptions

import harness
from kinesis_case import KinesisTest


class FanOutTest(KinesisTest):
    def subscribe(self, consumer, shard=0, **position):
        answer = self.client.subscribe_to_shard(
            ConsumerARN=consumer, ShardId=harness.shard_name(shard),
            StartingPosition=position or {"Type": "TRIM_HORIZON"})
        self.addCleanup(answer["EventStream"].close)
        return iter(answer["EventStream"])

    def consumer(self, stream, name="fan"):
        arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"
        return self.client.register_stream_consumer(
            StreamARN=arn, ConsumerName=name)["Consumer"]["ConsumerARN"]

    def take(self, events, count):
        records, last = [], None
        while len(records) < count:
            last = next(events)["SubscribeToShardEvent"]
            records += last["Records"]
        return records, last

    def test_records_are_pushed_as_they_come_and_again_from_the_continuation(self):
        self.create("pushed", 1)
        consumer = self.consumer("pushed")
        for i in range(3):
            self.client.put_record(StreamName="pushed", PartitionKey="k", Data=str(i).encode())
        events = self.subscribe(consumer)
        records, last = self.take(events, 3)
        self.assertEqual([r["Data"] for r in records], [b"0", b"1", b"2"])
        self.assertEqual(last["ContinuationSequenceNumber"], records[-1]["SequenceNumber"])
        for i in range(3, 6):
            self.client.put_record(StreamName="pushed", PartitionKey="k", Data=str(i).encode())
        records, last = self.take(events, 3)
        self.assertEqual([r["Data"] for r in records], [b"3", b"4", b"5"])
        self.client.put_record(StreamName="pushed", PartitionKey="k", Data=b"6")
        other = self.consumer("pushed", "other")
        again = self.subscribe(other, Type="AFTER_SEQUENCE_NUMBER",
                               SequenceNumber=last["ContinuationSequenceNumber"])
        self.assertEqual([r["Data"] for r in self.take(again, 1)[0]], [b"6"])

    def test_an_idle_shard_sends_a_continuation_that_misses_nothing(self):
        self.create("idle", 1)
        first = next(self.subscribe(self.consumer("idle"), Type="LATEST"))["SubscribeToShardEvent"]
        self.assertEqual(first["Records"], [])
        self.client.put_record(StreamName="idle", PartitionKey="k", Data=b"first")
        for i, kind in enumerate(("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER")):
            events = self.subscribe(self.consumer("idle", f"c{i}"), Type=kind,
                                    SequenceNumber=first["ContinuationSequenceNumber"])
            self.assertEqual(self.take(events, 1)[0][0]["Data"], b"first")

    def test_the_end_of_a_shard_names_its_children(self):
        self.create("split", 1)
        consumer = self.consumer("split")
        self.client.put_record(StreamName="split", PartitionKey="k", Data=b"x")
        events = self.subscribe(consumer)
        self.take(events, 1)
        self.client.split_shard(StreamName="split", ShardToSplit=harness.shard_name(0),
                                NewStartingHashKey=str(2**127))
        children = None
        for event in events:  # it ends by itself
            children = event["SubscribeToShardEvent"].get("ChildShards", children)
        self.assertEqual([c["ShardId"] for c in children],
                         [harness.shard_name(1), harness.shard_name(2)])
        self.assertEqual(children[0]["ParentShards"], [harness.shard_name(0)])

    def test_a_second_subscription_waits_its_turn_and_then_takes_over(self):
        self.create("once", 1)
        consumer = self.consumer("once")
        first = self.subscribe(consumer)
        next(first)
        self.refused("ResourceInUseException", self.client.subscribe_to_shard,
                     ConsumerARN=consumer, ShardId=harness.shard_name(0),
                     StartingPosition={"Type": "LATEST"})
        self.refused("ResourceNotFoundException", self.client.subscribe_to_shard,
                     ConsumerARN=consumer.rsplit(":", 1)[0] + ":1", ShardId=harness.shard_name(0),
                     StartingPosition={"Type": "LATEST"})
        next(first)  # an event comes every five seconds, also when there is nothing
        second = self.subscribe(consumer)
        next(second)
        with self.assertRaises(botocore.exceptions.EventStreamError) as caught:
            list(first)
        self.assertIn("ResourceInUseException", str(caught.exception))


if __name__ == "__main__":
    harness.main()
