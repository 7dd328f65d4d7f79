#!/usr/bin/env python3
"""The Kinesis API by the AWS CLI, as Debian has it."""
import base64
import json
import subprocess

import harness
from kinesis_case import KinesisTest

AWS = "/usr/bin/aws"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}


class CommandLineTest(KinesisTest):
    def aws(self, *arguments):
        done = subprocess.run(
            [AWS, "--endpoint-url", f"http://{self.one.http}", "--output", "json", "kinesis",
             *arguments], capture_output=True, timeout=harness.PATIENCE, check=False,
            env=harness.clean_environment(**KEYS))
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return json.loads(done.stdout) if done.stdout.strip() else None

    def test_the_readme_lines_work(self):
        self.aws("create-stream", "--stream-name", "clicks", "--shard-count", "2")
        self.aws("wait", "stream-exists", "--stream-name", "clicks")
        put = self.aws("put-record", "--stream-name", "clicks", "--partition-key", "user-1",
                       "--data", base64.b64encode(b"hello").decode())
        at = self.aws("get-shard-iterator", "--stream-name", "clicks", "--shard-id",
                      put["ShardId"], "--shard-iterator-type", "TRIM_HORIZON")
        got = self.aws("get-records", "--shard-iterator", at["ShardIterator"])
        self.assertEqual(base64.b64decode(got["Records"][0]["Data"]), b"hello")
        self.assertEqual(len(self.aws("list-shards", "--stream-name", "clicks")["Shards"]), 2)
        self.aws("delete-stream", "--stream-name", "clicks")
        self.assertEqual(self.aws("list-streams")["StreamNames"], [])

    def test_shards_consumers_tags_and_pages_and_every_kind_of_iterator(self):
        name = ["--stream-name", "whole"]
        self.aws("create-stream", *name, "--shard-count", "1")
        self.aws("wait", "stream-exists", *name)
        records = [{"Data": base64.b64encode(b"%d" % i).decode(), "PartitionKey": "k"}
                   for i in range(5)]
        put = self.aws("put-records", *name, "--records", json.dumps(records))
        self.assertEqual(put["FailedRecordCount"], 0)
        numbers = [one["SequenceNumber"] for one in put["Records"]]
        at = ["--starting-sequence-number", numbers[2]]
        for kind, more, wanted in (
                ("TRIM_HORIZON", [], [0, 1, 2, 3, 4]), ("LATEST", [], []),
                ("AT_SEQUENCE_NUMBER", at, [2, 3, 4]), ("AFTER_SEQUENCE_NUMBER", at, [3, 4]),
                ("AT_TIMESTAMP", ["--timestamp", "2020-01-01T00:00:00Z"], [0, 1, 2, 3, 4])):
            iterator = self.aws("get-shard-iterator", *name, "--shard-id", harness.shard_name(0),
                                "--shard-iterator-type", kind, *more)["ShardIterator"]
            got = self.aws("get-records", "--shard-iterator", iterator)["Records"]
            self.assertEqual([r["SequenceNumber"] for r in got], [numbers[i] for i in wanted], kind)
        self.aws("split-shard", *name, "--shard-to-split", harness.shard_name(0),
                 "--new-starting-hash-key", str(2**127))
        self.aws("merge-shards", *name, "--shard-to-merge", harness.shard_name(1),
                 "--adjacent-shard-to-merge", harness.shard_name(2))
        self.aws("update-shard-count", *name, "--target-shard-count", "2", "--scaling-type",
                 "UNIFORM_SCALING")
        shards = self.aws("list-shards", *name)["Shards"]
        self.assertEqual(len(shards), 6)
        # Asks for a page after the other.
        paged = self.aws("describe-stream", *name, "--page-size", "2")["StreamDescription"]
        self.assertEqual([s["ShardId"] for s in paged["Shards"]], [s["ShardId"] for s in shards])
        self.aws("add-tags-to-stream", *name, "--tags", "team=blue,cost=1")
        self.aws("remove-tags-from-stream", *name, "--tag-keys", "cost")
        self.assertEqual(self.aws("list-tags-for-stream", *name)["Tags"],
                         [{"Key": "team", "Value": "blue"}])
        arn = ["--stream-arn", paged["StreamARN"]]
        self.aws("register-stream-consumer", *arn, "--consumer-name", "fan")
        self.assertEqual([c["ConsumerName"] for c in
                          self.aws("list-stream-consumers", *arn)["Consumers"]], ["fan"])
        self.aws("increase-stream-retention-period", *name, "--retention-period-hours", "48")
        summary = self.aws("describe-stream-summary", *name)["StreamDescriptionSummary"]
        self.assertEqual((summary["OpenShardCount"], summary["ConsumerCount"],
                          summary["RetentionPeriodHours"]), (2, 1, 48))
        self.aws("delete-stream", *name, "--enforce-consumer-deletion")
        self.aws("wait", "stream-not-exists", *name)


if __name__ == "__main__":
    harness.main()
