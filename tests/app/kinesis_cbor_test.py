#!/usr/bin/env python3
"""The Kinesis API in CBOR, as the Java SDK speaks it."""
import http.client
import os
import time

import botocore.eventstream

import harness
from java_cbor import cbor, read_cbor
from kinesis_case import KinesisTest


class CborTest(KinesisTest):
    def call(self, action, value, status=200):
        host, port = self.one.http.split(":")
        link = http.client.HTTPConnection(host, int(port), timeout=harness.PATIENCE)
        self.addCleanup(link.close)
        link.request("POST", "/", cbor(value), {
            "X-Amz-Target": f"Kinesis_20131202.{action}",
            "Content-Type": "application/x-amz-cbor-1.1"})
        answer = link.getresponse()
        text = answer.read()
        self.assertEqual(answer.status, status, text)
        self.assertEqual(answer.headers["Content-Type"], "application/x-amz-cbor-1.1")
        if not text:
            return None
        got, end = read_cbor(text)
        self.assertEqual(end, len(text))
        return got

    def test_the_whole_way_in_cbor(self):
        self.call("CreateStream", {"StreamName": "c", "ShardCount": 1})
        found = self.call("DescribeStreamSummary", {"StreamName": "c"})["StreamDescriptionSummary"]
        kind, created = found["StreamCreationTimestamp"]
        self.assertEqual(kind, "time")
        self.assertLess(abs(created / 1000 - time.time()), 60)  # milliseconds, not seconds
        data = [os.urandom(n) for n in (0, 1, 23, 24, 300, 70_000)]
        put = self.call("PutRecords", {"StreamName": "c", "Records": [
            {"Data": d, "PartitionKey": f"k{i}"} for i, d in enumerate(data)]})
        self.assertEqual(put["FailedRecordCount"], 0)
        at = self.call("GetShardIterator", {
            "StreamName": "c", "ShardId": "shardId-000000000000",
            "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": created / 1000})
        got = self.call("GetRecords", {"ShardIterator": at["ShardIterator"]})
        self.assertEqual([r["Data"] for r in got["Records"]], data)
        self.assertEqual([r["SequenceNumber"] for r in got["Records"]],
                         [r["SequenceNumber"] for r in put["Records"]])
        self.assertEqual(got["Records"][0]["ApproximateArrivalTimestamp"][0], "time")
        self.assertEqual(got["MillisBehindLatest"], 0)

    def test_fan_out_in_cbor(self):
        self.call("CreateStream", {"StreamName": "c", "ShardCount": 1})
        arn = self.call("DescribeStreamSummary", {"StreamName": "c"})[
            "StreamDescriptionSummary"]["StreamARN"]
        consumer = self.call("RegisterStreamConsumer", {"StreamARN": arn, "ConsumerName": "fan"})
        data = os.urandom(70_000)
        put = self.call("PutRecord", {"StreamName": "c", "PartitionKey": "k", "Data": data})
        link = http.client.HTTPConnection(self.one.http, timeout=harness.PATIENCE)
        self.addCleanup(link.close)
        link.request("POST", "/", cbor({
            "ConsumerARN": consumer["Consumer"]["ConsumerARN"], "ShardId": harness.shard_name(0),
            "StartingPosition": {"Type": "AT_SEQUENCE_NUMBER",
                                 "SequenceNumber": put["SequenceNumber"]}}),
            {"X-Amz-Target": "Kinesis_20131202.SubscribeToShard",
             "Content-Type": "application/x-amz-cbor-1.1"})
        answer = link.getresponse()
        self.assertEqual((answer.status, answer.headers["Content-Type"]),
                         (200, "application/vnd.amazon.eventstream"))
        frames, events = botocore.eventstream.EventStreamBuffer(), []
        while len(events) < 2:
            frames.add_data(answer.read1())
            events += list(frames)
        self.assertEqual([(e.headers[":event-type"], e.headers[":content-type"]) for e in events[:2]],
                         [("initial-response", "application/cbor"),
                          ("SubscribeToShardEvent", "application/cbor")])
        self.assertEqual(read_cbor(events[0].payload)[0], {})
        event, _ = read_cbor(events[1].payload)
        self.assertEqual([r["Data"] for r in event["Records"]], [data])
        self.assertEqual(event["Records"][0]["ApproximateArrivalTimestamp"][0], "time")
        self.assertEqual(event["ContinuationSequenceNumber"], put["SequenceNumber"])

    def test_errors_are_cbor_too(self):
        got = self.call("DescribeStream", {"StreamName": "nowhere"}, 400)
        self.assertEqual(got["__type"], "ResourceNotFoundException")


if __name__ == "__main__":
    harness.main()
