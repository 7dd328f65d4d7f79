#!/usr/bin/env python3
"""GetRecords with X-Millrace-Wait-Ms."""
import http.client
import json

import harness
from kinesis_case import KinesisTest


class WaitTest(KinesisTest):
    """GetRecords that waits for records."""

    def reader(self, wait):
        """A client whose GetRecords wait."""
        one = self.connect(read_timeout=harness.PATIENCE)
        one.meta.events.register(
            "before-send.kinesis.GetRecords",
            lambda request, **_: request.headers.__setitem__("X-Millrace-Wait-Ms", str(wait)))
        return one

    def begin(self, iterator, wait=20_000):
        """Asks on a connection of its own; the answer is taken later."""
        one = http.client.HTTPConnection(self.one.http, timeout=harness.PATIENCE)
        self.addCleanup(one.close)
        one.request("POST", "/", json.dumps({"ShardIterator": iterator}), {
            "X-Amz-Target": "Kinesis_20131202.GetRecords", "X-Millrace-Wait-Ms": str(wait),
            "Content-Type": "application/x-amz-json-1.1"})
        return one

    def waiting(self):
        return self.one.metric("millrace_http_waiting_reads")

    def end(self, one):
        answer = one.getresponse()
        return answer.status, json.loads(answer.read())

    def test_records_that_come_later_are_the_answer(self):
        self.create("later", 2)
        first = [self.begin(self.iterator("later", harness.shard_name(shard), "LATEST"))
                 for shard in (0, 0, 1)]
        self.wait_until(lambda: self.waiting() == 3, "three calls wait")
        put = self.client.put_record(StreamName="later", PartitionKey="k", ExplicitHashKey="0",
                                     Data=b"news")
        for one in first[:2]:
            status, answer = self.end(one)
            self.assertEqual(status, 200)
            self.assertEqual([r["SequenceNumber"] for r in answer["Records"]],
                             [put["SequenceNumber"]])
            self.assertEqual(answer["MillisBehindLatest"], 0)
        # The other shard has no news yet.
        self.assertEqual(self.waiting(), 1)
        self.client.put_record(StreamName="later", PartitionKey="k",
                               ExplicitHashKey=str(2**128 - 1), Data=b"more")
        self.assertEqual(len(self.end(first[2])[1]["Records"]), 1)
        self.assertEqual(self.waiting(), 0)

    def test_what_is_there_already_is_answered_at_once(self):
        self.create("there", 1)
        self.client.put_record(StreamName="there", PartitionKey="k", Data=b"old")
        at = self.iterator("there", harness.shard_name(0))
        self.assertEqual(len(self.end(self.begin(at))[1]["Records"]), 1)

    def test_the_wait_ends_in_time_without_records_and_the_iterator_goes_on(self):
        self.create("quiet", 1)
        at = self.iterator("quiet", harness.shard_name(0), "LATEST")
        answer = self.reader(50).get_records(ShardIterator=at)
        self.assertEqual((answer["Records"], answer["MillisBehindLatest"]), ([], 0))
        self.client.put_record(StreamName="quiet", PartitionKey="k", Data=b"x")
        after = self.client.get_records(ShardIterator=answer["NextShardIterator"])
        self.assertEqual([r["Data"] for r in after["Records"]], [b"x"])

    def test_the_end_of_the_shard_or_of_the_stream_ends_the_wait(self):
        self.create("split", 1)
        one = self.begin(self.iterator("split", harness.shard_name(0), "LATEST"))
        self.wait_until(lambda: self.waiting() == 1, "a call waits")
        self.client.split_shard(StreamName="split", ShardToSplit=harness.shard_name(0),
                                NewStartingHashKey=str(2**127))
        _, answer = self.end(one)
        self.assertNotIn("NextShardIterator", answer)
        self.assertEqual(len(answer["ChildShards"]), 2)
        one = self.begin(self.iterator("split", harness.shard_name(1), "LATEST"))
        self.wait_until(lambda: self.waiting() == 1, "a call waits")
        self.client.delete_stream(StreamName="split")
        status, answer = self.end(one)
        self.assertEqual((status, answer["__type"]), (400, "ResourceNotFoundException"))

    def test_a_wait_that_is_no_number_or_too_long_is_refused(self):
        self.create("wrong", 1)
        at = self.iterator("wrong", harness.shard_name(0), "LATEST")
        for wait in ("x", "-1", "20001", "1.5", "99999999999999999999"):
            message = self.refused("InvalidArgumentException", self.reader(wait).get_records,
                                   ShardIterator=at)
            self.assertEqual(message, f"X-Millrace-Wait-Ms '{wait}' is not a number of milliseconds "
                                      "from 0 to 20000")

    def test_a_server_that_stops_answers_who_waits(self):
        self.create("stop", 1)
        one = self.begin(self.iterator("stop", harness.shard_name(0), "LATEST"))
        self.wait_until(lambda: self.waiting() == 1, "a call waits")
        self.assertEqual(self.one.stop(), 0)
        status, answer = self.end(one)
        self.assertEqual((status, answer["Records"]), (200, []))


if __name__ == "__main__":
    harness.main()
