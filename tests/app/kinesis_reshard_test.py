#!/usr/bin/env python3
"""Splits, merges and new shard counts by boto3: no record is lost and no key loses its order."""
import threading

import harness
from kinesis_case import KinesisTest


class ReshardTest(KinesisTest):
    def read_all(self, stream, shards):
        """Data by key, parents before their children; and which shards there were."""
        got, done = {}, set()
        todo = [harness.shard_name(i) for i in range(shards)]
        while todo:
            shard = todo.pop(0)
            records, children = self.read_shard(stream, shard)
            for record in records:
                got.setdefault(record["PartitionKey"], []).append(record["Data"])
            done.add(shard)
            for child in children or []:
                if set(child["ParentShards"]) <= done and child["ShardId"] not in todo:
                    todo.append(child["ShardId"])
        return got, done

    def test_resharding_keeps_every_record_and_the_order_of_each_key(self):
        self.create("moving", 2)
        sent = {f"k{i}": [] for i in range(20)}

        def put_some(round_number):
            entries = []
            for i in range(100):
                key = f"k{i % 20}"
                sent[key].append(f"{round_number} {i}".encode())
                entries.append({"Data": sent[key][-1], "PartitionKey": key})
            answer = self.client.put_records(StreamName="moving", Records=entries)
            self.assertEqual(answer["FailedRecordCount"], 0)

        put_some(0)
        self.client.split_shard(StreamName="moving", ShardToSplit="shardId-000000000000",
                                NewStartingHashKey=str(2**126))
        put_some(1)
        self.client.merge_shards(StreamName="moving", ShardToMerge="shardId-000000000003",
                                 AdjacentShardToMerge="shardId-000000000001")
        put_some(2)
        answer = self.client.update_shard_count(StreamName="moving", TargetShardCount=4,
                                                ScalingType="UNIFORM_SCALING")
        self.assertEqual((answer["CurrentShardCount"], answer["TargetShardCount"]), (2, 4))
        put_some(3)

        self.assertEqual(self.read_all("moving", 2)[0], sent)
        lineage = {s["ShardId"]: s for s in self.client.list_shards(StreamName="moving")["Shards"]}
        self.assertEqual(lineage["shardId-000000000002"]["ParentShardId"], "shardId-000000000000")
        self.assertIn("EndingSequenceNumber",
                      lineage["shardId-000000000000"]["SequenceNumberRange"])
        end = lineage["shardId-000000000000"]["SequenceNumberRange"]["EndingSequenceNumber"]
        for kind in ("AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"):
            answer = self.client.get_records(ShardIterator=self.iterator(
                "moving", harness.shard_name(0), kind, StartingSequenceNumber=end))
            self.assertEqual(answer["Records"], [])
            self.assertNotIn("NextShardIterator", answer, "nothing comes after the end")
        self.assertEqual(
            {lineage["shardId-000000000004"][k] for k in ("ParentShardId", "AdjacentParentShardId")},
            {"shardId-000000000001", "shardId-000000000003"})
        self.assertIn("already been merged or split", self.refused(
            "InvalidArgumentException", self.client.split_shard, StreamName="moving",
            ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**126)))

    def open_shards(self, stream):
        return [s for s in self.client.list_shards(StreamName=stream)["Shards"]
                if "EndingSequenceNumber" not in s["SequenceNumberRange"]]

    def middle(self, shard):
        hashes = shard["HashKeyRange"]
        return str((int(hashes["StartingHashKey"]) + int(hashes["EndingHashKey"])) // 2 + 1)

    def test_writers_that_go_on_meanwhile_lose_nothing(self):
        self.create("busy", 2)
        stop, sent, failures = threading.Event(), {}, []

        def write(writer):
            """Each key by one writer alone: its order is known."""
            client = self.connect()
            number = 0
            try:
                while not stop.is_set():
                    entries = [{"Data": f"{number} {i}".encode(), "PartitionKey": f"{writer}-{i % 7}"}
                               for i in range(50)]
                    answer = client.put_records(StreamName="busy", Records=entries)
                    if answer["FailedRecordCount"] != 0:
                        raise AssertionError(answer)
                    single = {"Data": b"single %d" % number, "PartitionKey": f"{writer}-0"}
                    client.put_record(StreamName="busy", **single)
                    for one in [*entries, single]:
                        sent.setdefault(one["PartitionKey"], []).append(one["Data"])
                    number += 1
                    rounds[writer] = number
            except Exception as failure:  # pylint: disable=broad-except
                failures.append(failure)

        rounds = [0, 0, 0]
        writers = [threading.Thread(target=write, args=(i,)) for i in range(3)]
        for one in writers:
            one.start()

        def let_them_write():
            before = list(rounds)
            self.wait_until(lambda: failures or all(now > was for now, was in zip(rounds, before)),
                            "every writer has written")

        try:
            for _ in range(3):
                let_them_write()
                first = self.open_shards("busy")[0]
                self.client.split_shard(StreamName="busy", ShardToSplit=first["ShardId"],
                                        NewStartingHashKey=self.middle(first))
                let_them_write()
                self.client.update_shard_count(
                    StreamName="busy", TargetShardCount=len(self.open_shards("busy")) * 2,
                    ScalingType="UNIFORM_SCALING")
                let_them_write()
                low, high = sorted(self.open_shards("busy"),
                                   key=lambda s: int(s["HashKeyRange"]["StartingHashKey"]))[:2]
                self.client.merge_shards(StreamName="busy", ShardToMerge=low["ShardId"],
                                         AdjacentShardToMerge=high["ShardId"])
                self.client.update_shard_count(
                    StreamName="busy", TargetShardCount=(len(self.open_shards("busy")) + 1) // 2,
                    ScalingType="UNIFORM_SCALING")
            let_them_write()
        finally:
            stop.set()
            for one in writers:
                one.join(harness.PATIENCE)
        self.assertEqual(failures, [])
        got, shards = self.read_all("busy", 2)
        self.assertEqual(got, sent)
        self.assertEqual(
            shards, {s["ShardId"] for s in self.client.list_shards(StreamName="busy")["Shards"]})


if __name__ == "__main__":
    harness.main()
