#!/usr/bin/env python3
"""The Kinesis API beside the AWS service model that comes with botocore: every action and every
member is tried on a running server, and what is found is docs/kinesis_api.md.

    tests/app/kinesis_model.py --check     fails when the document is not what the server does
    tests/app/kinesis_model.py --write     writes it
"""
import http.client
import json
import os
import sys
import tempfile

import botocore.session

import harness

DOCUMENT = os.path.join(harness.ROOT, "docs", "kinesis_api.md")
# A value of another type, for each type of the model.
WRONG = {"string": 7, "integer": "x", "boolean": "x", "timestamp": "x", "blob": 7, "list": "x",
         "map": "x", "structure": "x"}
# What the 2026 model has more than Debian's botocore, which does not have it yet: actions and members of
# @aws-sdk/client-kinesis. Their types are tried; their constraints are not in that package.
STREAM = ["StreamARN", "StreamId"]
RESOURCE = ["ResourceARN", "StreamId"]
NEWER = {
    **dict.fromkeys((
        "AddTagsToStream", "DecreaseStreamRetentionPeriod", "DeleteStream", "DescribeStream",
        "DescribeStreamSummary", "DisableEnhancedMonitoring", "EnableEnhancedMonitoring",
        "IncreaseStreamRetentionPeriod", "ListShards", "ListTagsForStream", "MergeShards",
        "RemoveTagsFromStream", "SplitShard", "StartStreamEncryption", "StopStreamEncryption",
        "UpdateShardCount"), STREAM),
    **dict.fromkeys(("GetRecords", "GetShardIterator", "PutRecord", "PutRecords"),
                    [*STREAM, "DryRun"]),
    **dict.fromkeys(("DeregisterStreamConsumer", "DescribeStreamConsumer", "ListStreamConsumers"),
                    ["StreamId"]),
    **dict.fromkeys(("DeleteResourcePolicy", "GetResourcePolicy", "ListTagsForResource"), RESOURCE),
    **dict.fromkeys(("CreateChannel", "DeleteChannel", "DescribeChannel", "ListChannels",
                     "UpdateChannel", "DescribeAccountSettings"), []),
    "CreateStream": ["Tags", "WarmThroughputMiBps", "MaxRecordSizeInKiB",
                     "RecordDistributionStrategy"],
    "ListStreams": ["NextToken"],
    "PutResourcePolicy": [*RESOURCE, "Policy"],
    "RegisterStreamConsumer": ["StreamId", "Tags"],
    "SubscribeToShard": ["StreamId", "DryRun"],
    "TagResource": [*RESOURCE, "Tags"],
    "UntagResource": [*RESOURCE, "TagKeys"],
    "UpdateAccountSettings": ["MinimumThroughputBillingCommitment",
                              "MinimumThroughputBillingCommitment.Status"],
    "UpdateMaxRecordSize": [*STREAM, "MaxRecordSizeInKiB"],
    "UpdateStreamMode": ["StreamId", "WarmThroughputMiBps"],
    "UpdateStreamRecordDistributionStrategy": [*STREAM, "RecordDistributionStrategy"],
    "UpdateStreamWarmThroughput": [*STREAM, "StreamName", "WarmThroughputMiBps"],
}
# Those of them that are no strings.
NEWER_TYPES = {"DryRun": "boolean", "Tags": "map", "TagKeys": "list", "WarmThroughputMiBps": "integer",
               "MaxRecordSizeInKiB": "integer", "MinimumThroughputBillingCommitment": "structure"}


class Probe:
    def __init__(self, address):
        host, port = address.split(":")
        self.link = http.client.HTTPConnection(host, int(port), timeout=harness.PATIENCE)

    def call(self, action, value):
        self.link.request("POST", "/", json.dumps(value), {
            "X-Amz-Target": f"Kinesis_20131202.{action}",
            "Content-Type": "application/x-amz-json-1.1"})
        answer = self.link.getresponse()
        text = answer.read()
        return answer.status, (json.loads(text) if text else {})


def too_much(shape):
    """(value, words of the error) that break each constraint of the member."""
    limits = shape.metadata
    kind = shape.type_name
    if kind == "string":
        if shape.enum:
            yield "NOT_ONE", "enum value set"
            return
        if limits.get("min", 0) > 0:
            yield "", "length greater than or equal to"
        if limits.get("max", 10**6) <= 2048:
            yield "a" * (limits["max"] + 1), "length less than or equal to"
        if "pattern" in limits and limits["pattern"] != ".*":
            yield "no such thing!", "regular expression pattern"
    elif kind == "integer":
        if "min" in limits:
            yield limits["min"] - 1, "value greater than or equal to"
        if "max" in limits:
            yield limits["max"] + 1, "value less than or equal to"
    elif kind in ("list", "map"):
        if limits.get("min", 0) > 0:
            yield ([] if kind == "list" else {}), "length greater than or equal to"


def try_type(probe, action, value):
    status, answer = probe.call(action, value)
    if answer.get("__type") != "SerializationException":
        return f"not checked for its type: {status} {answer}"
    return None


def try_newer(probe, action, path):
    value = WRONG[NEWER_TYPES.get(path, "string")]
    for name in reversed(path.split(".")):
        value = {name: value}
    return try_type(probe, action, value)


def try_member(probe, action, path, shape):
    """What the server does with the member: its type, then its constraints."""
    def nest(value):
        for name in reversed(path):
            value = [value] if name == "[]" else {name: value}
        return value
    if wrong := try_type(probe, action, nest(WRONG[shape.type_name])):
        return wrong
    for value, words in too_much(shape):
        status, answer = probe.call(action, nest(value))
        text = answer.get("message", "")
        if answer.get("__type") != "ValidationException" or words not in text:
            return f"{value!r:.40} is not refused with '{words}': {status} {answer}"
    return None


def members(shape, path=()):
    """Every member below a structure, with its path."""
    for name, inner in shape.members.items():
        yield (*path, name), inner
        if inner.type_name == "structure":
            yield from members(inner, (*path, name))
        elif inner.type_name == "list" and inner.member.type_name == "structure":
            yield from members(inner.member, (*path, name, "[]"))


def describe(address):
    probe = Probe(address)
    model = botocore.session.get_session().get_service_model("kinesis")
    lines, gaps = [], []
    for action in sorted({*model.operation_names, *NEWER}):
        status, answer = probe.call(action, {})
        kind = answer.get("__type", "")
        if kind == "UnknownOperationException":
            gaps.append(f"{action} is unknown to the server")
            continue
        if "is not supported" in answer.get("message", ""):
            why = "channels" if "Channel" in action else "AUTO record distribution"
            lines.append(f"| `{action}` | answers that it is not supported | none: {why}, see above |")
            continue
        checked = []
        if action in model.operation_names and model.operation_model(action).input_shape:
            shape = model.operation_model(action).input_shape
            for path, inner in members(shape):
                wrong = try_member(probe, action, path, inner)
                if wrong:
                    gaps.append(f"{action}.{'.'.join(path)}: {wrong}")
                checked.append("`" + ".".join(p for p in path if p != "[]") + "`")
            # What the 2026 model allows to be left out, because there are ARNs, is not needed.
            needed = set(shape.required_members) - {"StreamName"}
            missing = {n for n in needed if f"'{n[0].lower()}{n[1:]}'" not in answer.get("message", "")}
            if missing:
                gaps.append(f"{action} does not ask for {', '.join(sorted(missing))}: {answer}")
        for path in NEWER.get(action, []):
            wrong = try_newer(probe, action, path)
            if wrong:
                gaps.append(f"{action}.{path}: {wrong}")
            checked.append(f"`{path}`*")
        lines.append(f"| `{action}` | yes | {', '.join(checked) or 'it has none'} |")
    return lines, gaps


HEAD = """# The Kinesis API: what is supported

Made by `tests/app/kinesis_model.py --write`, which tries every action and every member of the AWS service model (botocore's, as
in Debian 12) on a running server: each member's type and each of its constraints is checked by the server, with Kinesis' own
errors. CI compares. What the actions do is tested by AWS' clients in `tests/app/kinesis_*_test.py`. Members with a * are of the newer
model, of `@aws-sdk/client-kinesis`: of them the type is tried.

Not here yet: channels and AUTO record distribution (CreateStream refuses AUTO too). AWS' quotas are off unless `--compat-limits on`
(`tests/app/kinesis_limits_test.py`): rates of actions, shards and their records, open shards of an account, streams in ON_DEMAND mode,
five streams in CREATING at once, and in 24 hours ten UpdateShardCount and two changes of mode a stream. Not counted: changes of
encryption and consumers in CREATING. `StreamId` is
taken and ignored, `StreamARN` is taken wherever the newer model has it; its region and account are not compared.

## Waiting for records

`GetRecords` with the header `X-Millrace-Wait-Ms: N`, 0 to 20000, is answered when there is something to read, or with no records
after N milliseconds: a polling consumer gets the latency of fan-out, and an idle shard costs it a request every 20 seconds
instead of five a second. What is there already is answered at once, as is the end of a closed shard, a shard that is split or
merged, and a stream that is deleted, meanwhile (within half a second). A value that is none of these is an `InvalidArgumentException`. 4096 calls wait
in each thread of the server; more are answered at once (`millrace_http_waits_refused_total`). The client's own time-out for
reading has to be longer. With boto3:

```python
kinesis.meta.events.register("before-send.kinesis.GetRecords",
    lambda request, **_: request.headers.__setitem__("X-Millrace-Wait-Ms", "10000"))
```

## Records of the Kinesis Producer Library

An aggregate, that is a record in which the library has put many of its user's, is stored and read back byte for byte, in the shard
of the partition key or hash key that it was sent with, as any other record. Consumers take it apart (the KCL does), and so does
`millrace tail --deaggregate`: a line for each record within, with its own key and data, the aggregate's sequence number and
a `subsequence` number from 0 on. What has no good digest, or points outside itself, is shown as the record that it is
(`tests/app/kinesis_kpl_test.py`).

## Actions

| action | supported | members tried |
|---|---|---|
"""


def main():
    with tempfile.TemporaryDirectory(prefix="millrace-test-") as directory:
        server = harness.Server(directory, "--udp", "off").start()
        try:
            lines, gaps = describe(server.http)
        finally:
            server.close()
    for gap in gaps:
        print(gap, file=sys.stderr)
    text = HEAD + "\n".join(lines) + "\n"
    if "--write" in sys.argv:
        with open(DOCUMENT, "w", encoding="utf-8") as file:
            file.write(text)
    else:
        with open(DOCUMENT, encoding="utf-8") as file:
            if file.read() != text:
                print("docs/kinesis_api.md is not what the server does: --write it", file=sys.stderr)
                return 1
    return 1 if gaps else 0


if __name__ == "__main__":
    sys.exit(main())
