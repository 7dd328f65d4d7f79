// The server that a script is for: node SCRIPT ENDPOINT h2|h1
import { KinesisClient } from "@aws-sdk/client-kinesis";
import { NodeHttp2Handler, NodeHttpHandler } from "@smithy/node-http-handler";

const [endpoint, protocol] = process.argv.slice(2);
const admin = { accessKeyId: "ADMIN", secretAccessKey: "admin-secret" };

export { protocol };
export const connect = (more = {}) => new KinesisClient({
  endpoint,
  region: "us-east-1",
  credentials: admin,
  requestHandler: protocol === "h2" ? new NodeHttp2Handler() : new NodeHttpHandler(),
  maxAttempts: 1,
  ...more,
});
export const text = (bytes) => new TextDecoder().decode(bytes);
export const shardName = (index) => `shardId-${String(index).padStart(12, "0")}`;
/// The last line of every script: open connections would keep node.
export const done = () => {
  console.log("all as expected");
  process.exit(0);
};
