#!/usr/bin/env python3
"""Records of the Kinesis Producer Library, which puts many of its user's into one: stored as they are,
and taken apart by `tail --deaggregate`. The encoder here is the test's own."""
import hashlib

import harness
from kinesis_case import KinesisTest


def number(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(identity, content):
    if isinstance(content, int):
        return number(identity << 3) + number(content)
    return number(identity << 3 | 2) + number(len(content)) + content


def aggregate(records):
    """Of (partition key, explicit hash key or None, data)."""
    keys = list(dict.fromkeys(key for key, _, _ in records))
    hash_keys = list(dict.fromkeys(h for _, h, _ in records if h is not None))
    message = b"".join(field(1, key.encode()) for key in keys)
    message += b"".join(field(2, h.encode()) for h in hash_keys)
    for key, hash_key, data in records:
        one = field(1, keys.index(key))
        if hash_key is not None:
            one += field(2, hash_keys.index(hash_key))
        message += field(3, one + field(3, data))
    return b"\xf3\x89\x9a\xc2" + message + hashlib.md5(message).digest()


class KplTest(KinesisTest):
    def setUp(self):
        super().setUp()
        self.create("clicks", 4)
        # All of them of one shard, as the library sees to by the same rule.
        self.shard = 2
        self.records = []
        for i in range(1000):
            if harness.shard_of(f"user-{i}", 4) == self.shard:
                self.records.append((f"user-{i}", None, f"click {i}".encode()))
        self.records[3] = (self.records[3][0], None, b"\xff\x00 no text")
        self.records[5] = ("elsewhere", str(self.shard * 2**126 + 17), b"by its hash key")
        self.hash_key = str(self.shard * 2**126)
        self.data = aggregate(self.records)

    def put(self, data):
        return self.client.put_record(StreamName="clicks", PartitionKey="a", Data=data,
                                      ExplicitHashKey=self.hash_key)

    def tail(self, *arguments):
        return self.one.tail("clicks", "--from", "trim-horizon", *arguments)

    def test_an_aggregate_is_stored_as_it_is_where_its_keys_belong(self):
        put = self.put(self.data)
        self.assertEqual(put["ShardId"], harness.shard_name(self.shard))
        records, _ = self.read_shard("clicks", put["ShardId"])
        self.assertEqual([r["Data"] for r in records], [self.data])
        self.assertEqual(records[0]["PartitionKey"], "a")
        shard = self.client.list_shards(StreamName="clicks")["Shards"][self.shard]["HashKeyRange"]
        for key, hash_key, _ in self.records:
            at = int(hash_key or int.from_bytes(hashlib.md5(key.encode()).digest(), "big"))
            self.assertTrue(int(shard["StartingHashKey"]) <= at <= int(shard["EndingHashKey"]))

    def test_tail_takes_it_apart_when_it_is_asked_to(self):
        put = self.put(self.data)
        whole = self.tail()
        self.assertEqual(len(whole), 1)
        self.assertNotIn("subsequence", whole[0])
        parts = self.tail("--deaggregate")
        self.assertEqual([p["key"] for p in parts], [key for key, _, _ in self.records])
        self.assertEqual([p["subsequence"] for p in parts], list(range(len(self.records))))
        self.assertEqual({(p["sequence"], p["shard"], p["stream"]) for p in parts},
                         {(put["SequenceNumber"], put["ShardId"], "clicks")})
        self.assertEqual(parts[0]["data"], "click " + self.records[0][0][5:])
        self.assertEqual(parts[3]["data_base64"], "/wAgbm8gdGV4dA==")
        self.assertEqual(parts[5]["explicit_hash_key"], self.records[5][1])
        self.assertEqual(self.tail("--deaggregate", "--limit", "7"), parts[:7])
        raw = harness.millrace("tail", "clicks", "--admin", self.one.admin, "--follow=false",
                               "--deaggregate", "--format", "raw")
        self.assertEqual(raw.stdout, b"".join(data + b"\n" for _, _, data in self.records))

    def test_what_is_no_aggregate_is_shown_as_the_record_that_it_is(self):
        wrong = self.data[:-1] + bytes([self.data[-1] ^ 1])
        for data in (b"plain", wrong, self.data[:100]):
            self.put(data)
        self.assertEqual(self.tail("--deaggregate"), self.tail())
        self.assertEqual(len(self.tail()), 3)


if __name__ == "__main__":
    harness.main()
