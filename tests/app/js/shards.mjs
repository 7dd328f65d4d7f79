// Waiters, paginators, every kind of iterator, and shards that change while records are written.
import assert from "node:assert/strict";
import {
  CreateStreamCommand, DeleteStreamCommand, GetRecordsCommand, GetShardIteratorCommand,
  ListShardsCommand, MergeShardsCommand, paginateListStreamConsumers, PutRecordsCommand,
  RegisterStreamConsumerCommand, SplitShardCommand, UpdateShardCountCommand,
  waitUntilStreamExists, waitUntilStreamNotExists,
} from "@aws-sdk/client-kinesis";
import { connect, done, protocol, shardName, text } from "./server.mjs";

const client = connect();
const StreamName = `shards-${protocol}`;
const waiting = { client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 };
await client.send(new CreateStreamCommand({ StreamName, ShardCount: 2 }));
const found = await waitUntilStreamExists(waiting, { StreamName });
assert.equal(found.state, "SUCCESS");
const StreamARN = found.reason.StreamDescription.StreamARN;

// One writer a key; each answers for the order of its own.
const sent = new Map();
let stopped = false;
let rounds = 0;
const write = async (writer) => {
  for (let round = 0; !stopped; ++round) {
    const Records = Array.from({ length: 40 }, (_, i) => ({
      PartitionKey: `${writer}-${i % 5}`, Data: Buffer.from(`${round} ${i}`) }));
    const answer = await client.send(new PutRecordsCommand({ StreamName, Records }));
    assert.equal(answer.FailedRecordCount, 0);
    for (const one of Records)
      sent.set(one.PartitionKey, [...(sent.get(one.PartitionKey) ?? []), text(one.Data)]);
    ++rounds;
  }
};
const writers = [0, 1, 2].map(write);
const letThemWrite = async () => {
  for (const until = rounds + 6; rounds < until;)
    await Promise.race([Promise.any(writers), new Promise((ready) => setTimeout(ready, 5))]);
};

await letThemWrite();
await client.send(new SplitShardCommand({
  StreamName, ShardToSplit: shardName(0), NewStartingHashKey: String(2n ** 126n) }));
await letThemWrite();
await client.send(new MergeShardsCommand({
  StreamName, ShardToMerge: shardName(3), AdjacentShardToMerge: shardName(1) }));
await letThemWrite();
const scaled = await client.send(new UpdateShardCountCommand({
  StreamName, TargetShardCount: 4, ScalingType: "UNIFORM_SCALING" }));
assert.deepEqual([scaled.CurrentShardCount, scaled.TargetShardCount], [2, 4]);
await letThemWrite();
stopped = true;
await Promise.all(writers);

const iterator = async (ShardId, ShardIteratorType, more = {}) =>
  (await client.send(new GetShardIteratorCommand({
    StreamARN, ShardId, ShardIteratorType, ...more }))).ShardIterator;
const page = (ShardIterator, more = {}) =>
  client.send(new GetRecordsCommand({ ShardIterator, ...more }));
const readShard = async (ShardId) => {
  const records = [];
  for (let at = await iterator(ShardId, "TRIM_HORIZON");;) {
    const got = await page(at);
    records.push(...got.Records);
    at = got.NextShardIterator;
    if (at === undefined) return { records, children: got.ChildShards };
    if (got.Records.length === 0 && got.MillisBehindLatest === 0) return { records, children: [] };
  }
};
const got = new Map();
const seen = new Set();
for (const todo = [shardName(0), shardName(1)]; todo.length > 0;) {
  const shard = todo.shift();
  const { records, children } = await readShard(shard);
  for (const one of records)
    got.set(one.PartitionKey, [...(got.get(one.PartitionKey) ?? []), text(one.Data)]);
  seen.add(shard);
  for (const child of children) {
    if (child.ParentShards.every((parent) => seen.has(parent)) && !todo.includes(child.ShardId))
      todo.push(child.ShardId);
  }
}
assert.deepEqual(new Map([...got].sort()), new Map([...sent].sort()));

// Every kind of iterator of a shard that is closed.
const all = (await readShard(shardName(0))).records;
const middle = all[all.length >> 1];
const numbers = (records) => records.map((one) => one.SequenceNumber);
const from = { StartingSequenceNumber: middle.SequenceNumber };
for (const [type, more, first] of [
  ["TRIM_HORIZON", {}, 0], ["AT_SEQUENCE_NUMBER", from, all.length >> 1],
  ["AFTER_SEQUENCE_NUMBER", from, (all.length >> 1) + 1],
  ["AT_TIMESTAMP", { Timestamp: all[0].ApproximateArrivalTimestamp }, 0],
  ["LATEST", {}, all.length],
]) {
  const read = await page(await iterator(shardName(0), type, more));
  assert.deepEqual(numbers(read.Records), numbers(all.slice(first)), type);
}
const limited = await page(await iterator(shardName(0), "TRIM_HORIZON"), { Limit: 3 });
assert.deepEqual(numbers(limited.Records), numbers(all.slice(0, 3)));

// Pages.
const shards = [];
for (let NextToken; ;) {
  const list = await client.send(
    new ListShardsCommand(NextToken ? { NextToken, MaxResults: 3 } : { StreamName, MaxResults: 3 }));
  shards.push(...list.Shards.map((one) => one.ShardId));
  if (!(NextToken = list.NextToken)) break;
}
assert.deepEqual(shards, Array.from({ length: shards.length }, (_, i) => shardName(i)));
assert.deepEqual(new Set(shards), seen);
for (const ConsumerName of ["a", "b", "c"])
  await client.send(new RegisterStreamConsumerCommand({ StreamARN, ConsumerName }));
const consumers = [];
for await (const list of paginateListStreamConsumers({ client, pageSize: 2 }, { StreamARN }))
  consumers.push(...list.Consumers.map((one) => one.ConsumerName));
assert.deepEqual(consumers, ["a", "b", "c"]);

await client.send(new DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true }));
assert.equal((await waitUntilStreamNotExists(waiting, { StreamName })).state, "SUCCESS");
done();
