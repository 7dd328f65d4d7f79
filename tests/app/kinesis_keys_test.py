#!/usr/bin/env python3
"""Signatures, and what each key of a credentials file may do, by boto3."""
import json
import os

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.httpsession

import harness
from kinesis_case import KinesisTest


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

    def test_a_resource_policy_is_kept_and_decides_nothing(self):
        self.create("orders", 1)
        arn = self.client.describe_stream(StreamName="orders")["StreamDescription"]["StreamARN"]
        policy = json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "kinesis:Put*", "Resource": arn},
            {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kinesis:Get*",
             "Resource": arn}]})

        def call(action, **members):
            # Debian's botocore does not have these actions.
            request = botocore.awsrequest.AWSRequest(
                "POST", f"http://{self.one.http}/", data=json.dumps({"ResourceARN": arn, **members}),
                headers={"X-Amz-Target": f"Kinesis_20131202.{action}",
                         "Content-Type": "application/x-amz-json-1.1"})
            botocore.auth.SigV4Auth(botocore.credentials.Credentials("ADMIN", "admin-secret"),
                                    "kinesis", "us-east-1").add_auth(request)
            answer = botocore.httpsession.URLLib3Session().send(request.prepare())
            self.assertEqual(answer.status_code, 200, answer.content)
            return answer.content

        call("PutResourcePolicy", Policy=policy)
        self.assertEqual(json.loads(call("GetResourcePolicy"))["Policy"], policy)
        writer = self.connect("WRITER", "writer-secret")
        writer.put_record(StreamName="orders", PartitionKey="k", Data=b"denied by the policy")
        at = self.iterator("orders", harness.shard_name(0))
        self.refused("AccessDeniedException", writer.get_records, ShardIterator=at)

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


if __name__ == "__main__":
    harness.main()
