"""A server of the Kinesis API, and boto3 as Debian has it."""
import base64
import hmac
import os
import sqlite3
import struct

import boto3
import botocore.config
import botocore.exceptions

import harness


def connect(server, key="test", secret="test", token=None, **extra):
    """A client, which its caller closes."""
    return boto3.client(
        "kinesis", endpoint_url=f"http://{server.http}", region_name="us-east-1",
        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
        config=botocore.config.Config(**{"retries": {"max_attempts": 1}, **extra}))


def aged(server, iterator, seconds):
    """The same iterator, made that long ago: sealed with the server's own key."""
    catalog = sqlite3.connect(os.path.join(server.data, "catalog.db"))
    (key,) = catalog.execute(
        "SELECT value FROM attributes WHERE name = 'kinesis_token_key'").fetchone()
    catalog.close()
    what = bytearray(base64.b64decode(iterator)[16:])  # behind its code
    (made,) = struct.unpack_from("<Q", what, 1)
    struct.pack_into("<Q", what, 1, made - 1000 * seconds)
    code = hmac.digest(base64.b64decode(key), bytes(what), "sha256")[:16]
    return base64.b64encode(code + what).decode()


class KinesisTest(harness.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.one = self.server(*self.arguments())
        self.client = self.connect()

    def arguments(self):
        return ["--udp", "off"]

    def connect(self, key="test", secret="test", token=None, **extra):
        one = connect(self.one, key, secret, token, **extra)
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
