#!/usr/bin/env python3
"""The Kinesis API by AWS' own clients: boto3 and the AWS CLI, as Debian has them."""
import base64
import http.client
import json
import os
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

    def connect(self, **extra):
        one = boto3.client(
            "kinesis", endpoint_url=f"http://{self.one.http}", region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
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
