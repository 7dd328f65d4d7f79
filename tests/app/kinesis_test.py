#!/usr/bin/env python3
"""The Kinesis API by AWS' own clients: boto3 and the AWS CLI, as Debian has them."""
import base64
import http.client
import json
import os
import sqlite3
import struct
import subprocess
import time
import unittest

import boto3
import botocore.config
import botocore.exceptions

import harness

AWS = "/usr/bin/aws"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}


class KinesisTest(harness.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.one = self.server(*self.arguments())
        self.client = self.connect()

    def arguments(self):
        return ["--udp", "off"]

    def connect(self, key="test", secret="test", token=None, **extra):
        one = boto3.client(
            "kinesis", endpoint_url=f"http://{self.one.http}", region_name="us-east-1",
            aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
            config=botocore.config.Config(retries={"max_attempts": 1}, **extra))
        self.addCleanup(one.close)
        return one

    def refused(self, code, call, *arguments, **named):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(*arguments, **named)
        error = caught.exception.response["Error"]
        self.assertEqual(error["Code"], code, error)
        return error["Message"]

    def create(self, name, shards):
        self.client.create_stream(StreamName=name, ShardCount=shards)
        self.client.get_waiter("stream_exists").wait(StreamName=name)

    def iterator(self, stream, shard, kind="TRIM_HORIZON", **more):
        return self.client.get_shard_iterator(StreamName=stream, ShardId=shard,
                                              ShardIteratorType=kind, **more)["ShardIterator"]

    def read_shard(self, stream, shard):
        """Every record of a shard, and the children it ends with (None: still open)."""
        records, at = [], self.iterator(stream, shard)
        while True:
            page = self.client.get_records(ShardIterator=at)
            records += page["Records"]
            at = page.get("NextShardIterator")
            if at is None:
                return records, page["ChildShards"]
            if not page["Records"] and page["MillisBehindLatest"] == 0:
                return records, None


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

        got, done = {key: [] for key in sent}, set()
        todo = [harness.shard_name(0), harness.shard_name(1)]
        while todo:
            shard = todo.pop(0)
            records, children = self.read_shard("moving", shard)
            for record in records:
                got[record["PartitionKey"]].append(record["Data"])
            done.add(shard)
            for child in children or []:
                if set(child["ParentShards"]) <= done and child["ShardId"] not in todo:
                    todo.append(child["ShardId"])
        self.assertEqual(got, sent)
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


class WireTest(KinesisTest):
    def post(self, body, action="ListStreams", **headers):
        host, port = self.one.http.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=harness.PATIENCE)
        self.addCleanup(connection.close)
        connection.request("POST", "/", body, {
            "X-Amz-Target": f"Kinesis_20131202.{action}",
            "Content-Type": "application/x-amz-json-1.1",
            **{k.replace("_", "-"): v for k, v in headers.items()}})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers

    def test_errors_have_the_form_that_clients_expect(self):
        status, body, headers = self.post(b"{nothing")
        self.assertEqual(status, 400)
        self.assertEqual(json.loads(body)["__type"], "SerializationException")
        self.assertRegex(headers["x-amzn-RequestId"], r"^[0-9a-f-]{36}$")
        status, body, _ = self.post(b"{}", "NoSuchThing")
        self.assertEqual((status, json.loads(body)["__type"]), (400, "UnknownOperationException"))
        status, body, _ = self.post(b'{"Limit":"x"}')
        self.assertEqual((status, json.loads(body)["__type"]), (400, "SerializationException"))
        self.assertIn("can not be converted to an Integer", body)
        status, body, _ = self.post(b'{"Limit":0}')
        self.assertEqual(json.loads(body), {
            "__type": "ValidationException",
            "message": "1 validation error detected: Value '0' at 'limit' failed to satisfy "
                       "constraint: Member must have value greater than or equal to 1"})
        status, body, _ = self.post(b"{}", Content_Type="text/html")
        self.assertEqual(status, 404)

    def test_a_web_page_can_do_nothing(self):
        status, body, headers = self.post(b"{}", Host="evil.example")
        self.assertEqual(status, 403)
        status, body, headers = self.post(b"{}", Origin="http://evil.example")
        self.assertNotIn("Access-Control-Allow-Origin", headers)

    def test_malformed_and_oversized_requests_are_refused(self):
        import socket

        def talk(text):
            host, port = self.one.http.split(":")
            with socket.create_connection((host, int(port)), timeout=harness.PATIENCE) as link:
                link.sendall(text)
                link.shutdown(socket.SHUT_WR)
                got = b""
                while piece := link.recv(65536):
                    got += piece
                return got.split(b"\r\n")[0]
        self.assertIn(b" 400 ", talk(b"nonsense\r\n\r\n"))
        self.assertIn(b" 431 ", talk(b"POST / HTTP/1.1\r\nX: " + b"a" * 20000))
        self.assertIn(b" 413 ", talk(b"POST / HTTP/1.1\r\nHost: localhost\r\n"
                                     b"Content-Length: 99999999\r\n\r\n"))
        self.assertIn(b" 411 ", talk(b"POST / HTTP/1.1\r\nHost: localhost\r\n"
                                     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
        self.assertEqual(self.client.list_streams()["StreamNames"], [])

    def test_records_in_odd_json_come_through_whole(self):
        self.create("odd", 1)
        data = base64.b64encode(bytes(range(256)) * 3).decode()
        escaped = data.replace("/", "\\/")
        body = ('{ "StreamName" : "odd" , "Records" : [ {"PartitionKey":"\\u006b\\n","Data":"%s"},'
                '{"Data":"","PartitionKey":"\\ud83d\\ude00", "Other":{"x":[1,2]}} ,'
                '{"Data":"%s", "ExplicitHashKey":null, "PartitionKey":"k"}]}' % (escaped, data))
        status, answer, _ = self.post(body, "PutRecords")
        self.assertEqual(status, 200, answer)
        records, _ = self.read_shard("odd", harness.shard_name(0))
        self.assertEqual([(r["PartitionKey"], r["Data"]) for r in records],
                         [("k\n", bytes(range(256)) * 3), ("\U0001f600", b""),
                          ("k", bytes(range(256)) * 3)])
        status, answer, _ = self.post('{"StreamName":"odd","Data":"a","PartitionKey":"k"}',
                                      "PutRecord")
        self.assertEqual(json.loads(answer)["__type"], "SerializationException")


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


class PageTest(KinesisTest):
    """What a browser sends for a page."""
    ORIGIN = "https://app.example.com"

    def arguments(self):
        return ["--udp", "off", "--cors-origin", "http://localhost:3000", "--cors-origin", self.ORIGIN]

    def ask(self, method, origin, action="ListStreams", **headers):
        one = http.client.HTTPConnection(self.one.http, timeout=harness.PATIENCE)
        self.addCleanup(one.close)
        sent = {"Origin": origin, "Host": self.one.http} if origin else {}
        if method == "POST":
            sent.update({"X-Amz-Target": f"Kinesis_20131202.{action}",
                         "Content-Type": "application/x-amz-json-1.1"})
        one.request(method, "/", "{}" if method == "POST" else None, {**sent, **headers})
        answer = one.getresponse()
        answer.read()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()
                               if k.lower().startswith("access-control-") or k.lower() == "vary"}

    def test_a_configured_origin_may_ask_and_read(self):
        for origin in (self.ORIGIN, "http://localhost:3000"):
            status, headers = self.ask("OPTIONS", origin, **{
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,x-amz-target"})
            self.assertEqual(status, 200)
            self.assertEqual(headers["access-control-allow-origin"], origin)
            self.assertEqual(headers["access-control-allow-methods"], "POST")
            for name in ("authorization", "content-type", "x-amz-target", "x-amz-date"):
                self.assertIn(name, headers["access-control-allow-headers"])
            for action, wanted in (("ListStreams", 200), ("DescribeStream", 400)):
                status, headers = self.ask("POST", origin, action)
                self.assertEqual(status, wanted)
                self.assertEqual((headers["access-control-allow-origin"], headers["vary"]),
                                 (origin, "Origin"))

    def test_no_other_origin_is_told_anything(self):
        for origin in ("https://evil.example.com", "http://app.example.com", self.ORIGIN + ":444",
                       self.ORIGIN + ".evil.example", "null", "*", None):
            self.assertEqual(self.ask("OPTIONS", origin), (403, {}), origin)
            self.assertEqual(self.ask("POST", origin), (200, {}), origin)

    def test_the_host_is_still_looked_at(self):
        self.assertEqual(self.ask("OPTIONS", self.ORIGIN, Host="evil.example.com")[0], 403)
        self.assertEqual(self.ask("POST", self.ORIGIN, Host="evil.example.com")[0], 403)

    def test_what_is_no_origin_is_refused_at_start(self):
        for origin in ("*", "app.example.com", "https://app.example.com/", "ftp://a"):
            done = harness.millrace("serve", "--data", self.directory + "/x", "--cors-origin", origin,
                                    check=False)
            self.assertEqual(done.returncode, 78)
            self.assertIn(f"cors_origin '{origin}' is not SCHEME://HOST[:PORT]", done.stderr.decode())


class MetricsTest(KinesisTest):
    def count(self, action, status):
        return self.one.metric(f'millrace_http_answers_total{{action="{action}",status="{status}"}}')

    def test_requests_are_counted_by_action_and_status(self):
        self.create("counted", 1)
        for _ in range(3):
            self.client.put_record(StreamName="counted", PartitionKey="k", Data=b"12345")
        self.refused("ResourceNotFoundException", self.client.put_record, StreamName="none",
                     PartitionKey="k", Data=b"x")
        self.assertEqual(self.count("PutRecord", 200), 3)
        self.assertEqual(self.count("PutRecord", 400), 1)
        self.assertEqual(self.count("CreateStream", 200), 1)
        self.assertIsNone(self.count("GetRecords", 200))
        self.assertGreaterEqual(self.one.metric("millrace_http_requests_total"), 6)
        self.assertGreater(self.one.metric("millrace_http_bytes_received_total"), 500)
        self.assertGreater(self.one.metric("millrace_http_bytes_sent_total"), 500)
        before = self.one.metric("millrace_http_connections")
        one = http.client.HTTPConnection(self.one.http, timeout=harness.PATIENCE)
        self.addCleanup(one.close)
        one.putrequest("POST", "/")
        one.putheader("Content-Length", str(17 * 2**20))
        one.endheaders()
        self.assertEqual(one.getresponse().status, 413)
        self.assertEqual(self.count("none", 413), 1)
        self.assertEqual(self.one.metric("millrace_http_bodies_refused_total"), 1)
        self.assertGreaterEqual(self.one.metric("millrace_http_connections"), before)


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


class SignedTest(KinesisTest):
    KEYS = ("ADMIN admin-secret\nWRITER writer-secret actions=PutRecord* streams=or*\n"
            "GUEST guest-secret token=the-token\n")

    def arguments(self):
        return ["--udp", "off", "--credentials", self.write_keys(self.KEYS)]

    def write_keys(self, text, mode=0o600):
        path = self.write("credentials", text)
        os.chmod(path, mode)
        return path

    def connect(self, key="ADMIN", secret="admin-secret", token=None, **extra):
        return super().connect(key, secret, token, **extra)

    def test_only_signed_requests_of_known_keys_are_served(self):
        self.create("orders", 1)
        self.refused("UnrecognizedClientException", self.connect("NOBODY", "x").list_streams)
        self.assertIn("does not match", self.refused(
            "InvalidSignatureException", self.connect("ADMIN", "wrong").list_streams))
        self.refused("UnrecognizedClientException",
                     self.connect("GUEST", "guest-secret").list_streams)
        guest = self.connect("GUEST", "guest-secret", "the-token")
        self.assertEqual(guest.list_streams()["StreamNames"], ["orders"])
        large = self.connect("NOBODY", "x")
        self.refused("UnrecognizedClientException", large.put_record, StreamName="orders",
                     PartitionKey="k", Data=bytes(500_000))

    def test_a_key_does_what_it_is_for_and_no_more(self):
        self.create("orders", 1)
        self.create("secrets", 1)
        writer = self.connect("WRITER", "writer-secret")
        writer.put_record(StreamName="orders", PartitionKey="k", Data=b"x" * 100_000)
        for refused in (
                lambda: writer.put_record(StreamName="secrets", PartitionKey="k", Data=b"x"),
                lambda: writer.put_record(StreamName="nowhere", PartitionKey="k", Data=b"x"),
                lambda: writer.describe_stream(StreamName="orders"),
                lambda: writer.delete_stream(StreamName="orders")):
            self.assertIn("not authorized", self.refused("AccessDeniedException", refused))
        self.assertEqual(len(self.read_shard("orders", harness.shard_name(0))[0]), 1)

    def test_the_keys_of_the_file_are_replaced_on_sighup(self):
        self.create("orders", 1)
        guest = self.connect("GUEST", "guest-secret", "the-token")
        guest.list_streams()
        self.write_keys("ADMIN other-secret\nNEW new-secret\nWRITER writer-secret actions=List*\n")
        # Nothing happens before it is asked for.
        guest.list_streams()
        said = self.hang_up(self.one)
        self.assertEqual((said["event"], said["access_keys"]), ("reloaded", "3"))
        self.assertEqual(self.connect("NEW", "new-secret").list_streams()["StreamNames"], ["orders"])
        self.refused("UnrecognizedClientException", guest.list_streams)
        self.refused("InvalidSignatureException", self.client.list_streams)
        self.connect("ADMIN", "other-secret").list_streams()
        writer = self.connect("WRITER", "writer-secret")
        writer.list_streams()
        self.refused("AccessDeniedException", writer.put_record, StreamName="orders",
                     PartitionKey="k", Data=b"x")

    def test_a_bad_file_of_keys_changes_nothing_on_sighup(self):
        path = os.path.join(self.directory, "credentials")
        for text, mode, reason in (
                ("NEW new-secret\nADMIN\n", 0o600, f"{path}:2: not ACCESS_KEY SECRET"),
                ("NEW a\n# again\nNEW b\n", 0o600, f"{path}:3: this access key is there twice"),
                ("# nobody\n", 0o600, f"{path}: there is no key in it"),
                ("NEW new-secret\n", 0o640, "can be read by others")):
            self.write_keys(text, mode)
            said = self.hang_up(self.one)
            self.assertEqual((said["level"], said["event"]),
                             ("error", "not reloaded, what is in use stays"))
            self.assertIn(reason, said["reason"])
            self.assertNotIn("new-secret", said["reason"])
            self.client.list_streams()
            self.refused("UnrecognizedClientException",
                         self.connect("NEW", "new-secret").list_streams)
        os.remove(path)
        self.assertIn("No such file", self.hang_up(self.one)["reason"])
        self.client.list_streams()

    def test_a_credentials_file_that_others_can_read_is_refused(self):
        path = self.write("open", "A b\n")
        os.chmod(path, 0o644)
        done = harness.millrace("serve", "--data", os.path.join(self.directory, "other"), "--udp",
                                "off", "--http", "127.0.0.1:0", "--admin", "off",
                                "--credentials", path, check=False)
        self.assertEqual(done.returncode, 78)


def cbor(value):
    """As the Java SDK writes it: indefinite maps and lists."""
    def head(major, number):
        for extra, width in ((24, "B"), (25, ">H"), (26, ">I")):
            if number < 24:
                return bytes([major << 5 | number])
            if number < 256 ** struct.calcsize(width):
                return bytes([major << 5 | extra]) + struct.pack(width, number)
        return bytes([major << 5 | 27]) + struct.pack(">Q", number)
    if isinstance(value, dict):
        return b"\xbf" + b"".join(cbor(k) + cbor(v) for k, v in value.items()) + b"\xff"
    if isinstance(value, list):
        return b"\x9f" + b"".join(map(cbor, value)) + b"\xff"
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, float):  # a time
        return b"\xc1\x1b" + struct.pack(">Q", round(value * 1000))
    return head(0, value)


def read_cbor(text, at=0):
    """Value and position behind it; times as ("time", milliseconds)."""
    major, info = text[at] >> 5, text[at] & 31
    at += 1
    if major == 7:
        return {20: False, 21: True, 22: None, 31: "break"}[info], at
    number = info
    if 24 <= info < 28:
        width = 1 << (info - 24)
        number = int.from_bytes(text[at:at + width], "big")
        at += width
    if major in (2, 3):
        piece = text[at:at + number]
        return (piece if major == 2 else piece.decode()), at + number
    if major == 6:
        value, at = read_cbor(text, at)
        return ("time", value), at
    if major in (4, 5):
        items = []
        while True:
            value, at = read_cbor(text, at)
            if value == "break":
                break
            items.append(value)
        return (items if major == 4 else dict(zip(items[::2], items[1::2]))), at
    return (number if major == 0 else -1 - number), at


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

    def test_errors_are_cbor_too(self):
        got = self.call("DescribeStream", {"StreamName": "nowhere"}, 400)
        self.assertEqual(got["__type"], "ResourceNotFoundException")


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


if __name__ == "__main__":
    harness.main()
