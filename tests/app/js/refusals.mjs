// Keys, iterators and rates that are refused as Kinesis does it; a client that tries again; records
// that are encrypted.
import assert from "node:assert/strict";
import {
  CreateStreamCommand, DescribeStreamSummaryCommand, GetRecordsCommand, GetShardIteratorCommand,
  ListStreamsCommand, PutRecordCommand, StartStreamEncryptionCommand,
} from "@aws-sdk/client-kinesis";
import { connect, done, shardName, text } from "./server.mjs";

const client = connect();
const StreamName = "refused";
await client.send(new CreateStreamCommand({ StreamName, ShardCount: 1 }));

const as = (accessKeyId, secretAccessKey) =>
  connect({ credentials: { accessKeyId, secretAccessKey } }).send(new ListStreamsCommand({}));
await assert.rejects(as("ADMIN", "wrong"), { name: "InvalidSignatureException" });
await assert.rejects(as("NOBODY", "x"), { name: "UnrecognizedClientException" });

// The server has an iterator of a stream before this one's, made six minutes ago.
await assert.rejects(
  client.send(new GetRecordsCommand({ ShardIterator: process.env.EXPIRED_ITERATOR })),
  { name: "ExpiredIteratorException" });

// One MiB a second: who asks once is told, who tries again gets through.
const put = (by, Data) => by.send(new PutRecordCommand({ StreamName, PartitionKey: "k", Data }));
const tooFast = Array.from({ length: 8 }, () => put(client, new Uint8Array(600_000)));
const answers = await Promise.allSettled(tooFast);
const refused = answers.filter((one) => one.status === "rejected").map((one) => one.reason.name);
assert(refused.length > 0, "nothing was throttled");
assert.deepEqual(new Set(refused), new Set(["ProvisionedThroughputExceededException"]));
const patient = connect({ maxAttempts: 15 });
for (let i = 0; i < 4; ++i) await put(patient, new Uint8Array(600_000));

await client.send(new StartStreamEncryptionCommand({
  StreamName, EncryptionType: "KMS", KeyId: "alias/aws/kinesis" }));
const summary = await client.send(new DescribeStreamSummaryCommand({ StreamName }));
assert.equal(summary.StreamDescriptionSummary.EncryptionType, "KMS");
const secret = await put(patient, Buffer.from("secret"));
assert.equal(secret.EncryptionType, "KMS");
const { ShardIterator } = await client.send(new GetShardIteratorCommand({
  StreamName, ShardId: shardName(0), ShardIteratorType: "AT_SEQUENCE_NUMBER",
  StartingSequenceNumber: secret.SequenceNumber }));
const { Records } = await patient.send(new GetRecordsCommand({ ShardIterator }));
assert.deepEqual(Records.map((one) => [text(one.Data), one.EncryptionType]), [["secret", "KMS"]]);
done();
