#!/usr/bin/env python3
"""`--compat-limits on`: AWS' quotas, as boto3 meets them."""
import concurrent.futures
import time

import harness
from kinesis_case import KinesisTest


class LimitsTest(KinesisTest):
    def arguments(self):
        return ["--udp", "off", "--compat-limits", "on", "--region", "eu-central-1"]

    def test_records_over_a_shards_rate_are_refused_one_by_one_in_their_places(self):
        self.create("slow", 2)
        low, high = "0", str(2**128 - 1)
        # Of the low shard, too many for a second; between them, a few of the other.
        entries = [{"Data": b"x" * 5000, "PartitionKey": "k",
                    "ExplicitHashKey": high if i % 50 == 7 else low} for i in range(500)]
        answer = self.client.put_records(StreamName="slow", Records=entries)
        failed = [i for i, one in enumerate(answer["Records"]) if "ErrorCode" in one]
        self.assertEqual(answer["FailedRecordCount"], len(failed))
        self.assertGreater(len(failed), 200)
        self.assertLess(len(failed), 350)
        for i, one in enumerate(answer["Records"]):
            if i % 50 == 7:
                self.assertEqual(one["ShardId"], harness.shard_name(1))
        refused = answer["Records"][failed[0]]
        self.assertEqual(refused["ErrorCode"], "ProvisionedThroughputExceededException")
        self.assertEqual(refused["ErrorMessage"], "Rate exceeded for shard shardId-000000000000 in "
                         "stream slow under account 000000000000.")
        stored = [r for shard in (0, 1) for r in self.read_shard("slow", str(shard))[0]]
        self.assertEqual(sorted(r["SequenceNumber"] for r in stored),
                         sorted(one["SequenceNumber"] for one in answer["Records"]
                                if "ErrorCode" not in one))

    def test_put_record_over_the_rate_is_an_error_and_passes_a_moment_later(self):
        self.create("one", 1)
        with self.assertRaises(
                self.client.exceptions.ProvisionedThroughputExceededException) as refused:
            for _ in range(50):  # on a busy machine one may take as long as its bytes may
                self.client.put_record(StreamName="one", PartitionKey="k",
                                       Data=b"x" * ((1 << 20) - 1))
        self.assertIn("Rate exceeded for shard", str(refused.exception))
        self.wait_until(lambda: self.passes(self.client.put_record, StreamName="one",
                                            PartitionKey="k", Data=b"x" * (1 << 19)), "it passes")

    def passes(self, call, **named):
        try:
            return call(**named)
        except self.client.exceptions.ProvisionedThroughputExceededException:
            time.sleep(0.1)
            return None

    def test_a_client_that_tries_again_gets_all_of_it_through(self):
        self.create("patient", 1)
        client = self.connect(retries={"mode": "standard", "max_attempts": 12})
        sizes = [int(size) for size in (3e5, 2e5, 1e5, 3e5, 2e5, 3e5, 3e5, 1e5, 2e5, 3e5, 3e5, 3e5)]
        tries = 0
        for size in sizes:
            answer = client.put_record(StreamName="patient", PartitionKey="k", Data=bytes(size))
            tries += 1 + answer["ResponseMetadata"]["RetryAttempts"]
        self.assertGreater(tries, len(sizes), "nothing was throttled")
        # Reads have a rate of their own.
        records, at = [], self.iterator("patient", harness.shard_name(0))
        while len(records) < len(sizes):
            page = client.get_records(ShardIterator=at)
            records, at = records + page["Records"], page["NextShardIterator"]
        self.assertEqual([len(r["Data"]) for r in records], sizes)

    def test_a_shard_is_read_five_times_a_second(self):
        self.create("read", 1)
        at = self.iterator("read", harness.shard_name(0))

        def read(_):
            try:
                self.client.get_records(ShardIterator=at)
                return None
            except self.client.exceptions.ProvisionedThroughputExceededException as refused:
                return str(refused)

        # Many at once: on a busy machine one after the other may be slow enough to be allowed.
        with concurrent.futures.ThreadPoolExecutor(10) as several:
            refused = [why for why in several.map(read, range(100)) if why]
        self.assertIn("Rate exceeded for shard", refused[0])
        self.assertLess(len(refused), 100)

    def test_control_actions_have_their_rates_and_limits(self):
        with self.assertRaises(self.client.exceptions.LimitExceededException):
            for _ in range(100):
                self.client.describe_limits()
        message = self.refused("LimitExceededException", self.client.create_stream,
                               StreamName="large", ShardCount=1001)
        self.assertIn("would exceed the shard limit", message)

    def test_the_mode_of_a_stream_is_changed_twice_a_day(self):
        self.create("switched", 1)
        arn = self.client.describe_stream_summary(
            StreamName="switched")["StreamDescriptionSummary"]["StreamARN"]

        def change(mode):
            self.client.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": mode})

        for mode in ("ON_DEMAND", "ON_DEMAND", "PROVISIONED", "PROVISIONED"):
            change(mode)  # what is the mode already is no change
        self.assertIn("twice in the last 24 hours",
                      self.refused("LimitExceededException", change, "ON_DEMAND"))

    def test_produce_slows_down_and_loses_nothing(self):
        self.create("produced", 4)
        done = harness.millrace("produce", "--to", f"http://{self.one.http}", "--stream",
                                "produced", "--generate", "clicks", "--skew", "0", "--records",
                                "10000")
        self.assertIn("durable   10000 records", done.stdout.decode())
        self.assertNotIn(" 0 records sent again", done.stdout.decode())
        self.assertEqual(len(self.one.tail("produced", "--from", "trim-horizon")), 10000)


class CreatingTest(KinesisTest):
    def arguments(self):
        return ["--udp", "off", "--compat-limits", "on", "--state-change-ms", "600000"]

    def try_to_create(self, name):
        """The message of the refusal, if it is one, but for that of CreateStream's rate."""
        while True:
            try:
                self.client.create_stream(StreamName=name, ShardCount=1)
                return None
            except self.client.exceptions.LimitExceededException as refused:
                message = refused.response["Error"]["Message"]
                if not message.startswith("Rate exceeded"):
                    return message
            time.sleep(0.1)

    def test_five_streams_are_created_at_once(self):
        for i in range(5):
            self.assertIsNone(self.try_to_create(f"stream-{i}"))
        self.assertIn("5 streams in the CREATING state", self.try_to_create("another"))
        self.client.delete_stream(StreamName="stream-3")
        self.assertIsNone(self.try_to_create("another"))


if __name__ == "__main__":
    harness.main()
