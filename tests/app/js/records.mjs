// Records of every size, at once and pushed.
import assert from "node:assert/strict";
import {
  CreateStreamCommand, DeleteStreamCommand, DescribeStreamSummaryCommand, GetRecordsCommand,
  GetShardIteratorCommand, KinesisClient, ListTagsForResourceCommand, PutRecordCommand,
  PutRecordsCommand, RegisterStreamConsumerCommand, SubscribeToShardCommand, TagResourceCommand,
  UpdateMaxRecordSizeCommand,
} from "@aws-sdk/client-kinesis";
import { connect, done, protocol, text } from "./server.mjs";

const client = connect();
const StreamName = `js-${protocol}`;
const put = (Data) => client.send(new PutRecordCommand({ StreamName, PartitionKey: "k", Data }));

await client.send(new CreateStreamCommand({ StreamName, ShardCount: 1 }));
const summary = await client.send(new DescribeStreamSummaryCommand({ StreamName }));
const StreamARN = summary.StreamDescriptionSummary.StreamARN;
assert.equal(summary.StreamDescriptionSummary.StreamStatus, "ACTIVE");

// Many at once, on one connection when it is HTTP/2.
const large = new Uint8Array(900_000).fill(7);
const answers = await Promise.all(
  Array.from({ length: 60 }, (_, i) => put(i % 10 === 9 ? large : Buffer.from(`n${i}`))));
assert.equal(new Set(answers.map((one) => one.SequenceNumber)).size, 60);
const many = await client.send(new PutRecordsCommand({
  StreamARN,
  Records: Array.from({ length: 500 }, (_, i) => ({ PartitionKey: `k${i}`, Data: Buffer.from(`m${i}`) })),
}));
assert.equal(many.FailedRecordCount, 0);

let { ShardIterator } = await client.send(new GetShardIteratorCommand({
  StreamName, ShardId: "shardId-000000000000", ShardIteratorType: "TRIM_HORIZON" }));
const got = [];
while (got.length < 560) {
  const page = await client.send(new GetRecordsCommand({ ShardIterator }));
  got.push(...page.Records);
  ShardIterator = page.NextShardIterator;
}
assert.deepEqual(got.slice(60).map((one) => text(one.Data)), Array.from({ length: 500 }, (_, i) => `m${i}`));
assert.equal(got.filter((one) => one.Data.length === 900_000).length, 6);
await assert.rejects(put(new Uint8Array(1_100_000)), { name: "ValidationException" });

// Of the 2026 model: larger records, tags by ARN.
await client.send(new UpdateMaxRecordSizeCommand({ StreamARN, MaxRecordSizeInKiB: 10240 }));
const biggest = new Uint8Array(10 * 1024 * 1024 - 1).fill(9);
await put(biggest);
await client.send(new TagResourceCommand({ ResourceARN: StreamARN, Tags: { a: "b" } }));
const tags = await client.send(new ListTagsForResourceCommand({ ResourceARN: StreamARN }));
assert.deepEqual(tags.Tags, [{ Key: "a", Value: "b" }]);

const { Consumer } = await client.send(
  new RegisterStreamConsumerCommand({ StreamARN, ConsumerName: "fan" }));
const { EventStream } = await client.send(new SubscribeToShardCommand({
  ConsumerARN: Consumer.ConsumerARN, ShardId: "shardId-000000000000",
  StartingPosition: { Type: "AT_SEQUENCE_NUMBER", SequenceNumber: many.Records[498].SequenceNumber } }));
const pushed = [];
for await (const event of EventStream) {
  pushed.push(...event.SubscribeToShardEvent.Records);
  if (pushed.length === 3) await put(Buffer.from("later"));
  if (pushed.length >= 4) break;
}
assert.equal(text(pushed[0].Data), "m498");
assert.equal(pushed[2].Data.length, biggest.length);
assert.equal(text(pushed[3].Data), "later");

await client.send(new DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true }));
await assert.rejects(client.send(new DescribeStreamSummaryCommand({ StreamName })),
  { name: "ResourceNotFoundException" });
done();
