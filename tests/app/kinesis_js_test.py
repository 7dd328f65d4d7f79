#!/usr/bin/env python3
"""The Kinesis API by the AWS SDK for JavaScript v3, over HTTP/2 and HTTP/1.1, signed. Needs node 20
and npm, and says when it skips."""
import os
import shutil
import subprocess

import harness
import kinesis_case
import tls_test

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "js")
# Installed once, beside the program under test.
MODULES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(harness.PROGRAM))), "js")


def why_not():
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return "node and npm are not here"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 20:
        return f"node {version.strip()} is older than 20, which the SDK needs"
    shutil.copytree(SOURCES, MODULES, dirs_exist_ok=True)
    if not os.path.isdir(os.path.join(MODULES, "node_modules", "@aws-sdk", "client-kinesis")):
        done = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=MODULES,
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return "npm ci failed: " + done.stderr[-300:]
    return None


class JavaScriptTest(harness.EndToEndTest):
    def setUp(self):
        super().setUp()
        if reason := why_not():
            self.skipTest(reason)

    def private(self, name, text):
        path = self.write(name, text)
        os.chmod(path, 0o600)
        return path

    def serve(self, *arguments):
        return self.server("--udp", "off", "--credentials",
                           self.private("credentials", "ADMIN admin-secret\n"), *arguments)

    def run_script(self, script, server, protocol, scheme="http", **environment):
        done = subprocess.run(
            ["node", f"{script}.mjs", f"{scheme}://{server.http}", protocol], cwd=MODULES,
            capture_output=True, text=True, timeout=harness.PATIENCE, check=False,
            env=harness.clean_environment(**environment))
        self.assertEqual((done.returncode, done.stdout), (0, "all as expected\n"), done.stderr)

    def test_records_and_shards_over_http_2(self):
        server = self.serve()
        self.run_script("records", server, "h2")
        self.run_script("shards", server, "h2")

    def test_records_and_shards_over_http_1_1(self):
        server = self.serve()
        self.run_script("records", server, "h1")
        self.run_script("shards", server, "h1")

    def test_refusals_and_encryption(self):
        ring = self.private("keyring", f"1:{'a' * 64} own alias/aws/kinesis\n")
        server = self.serve("--compat-limits", "on", "--keyring", ring)
        boto = kinesis_case.connect(server, "ADMIN", "admin-secret")
        self.addCleanup(boto.close)
        boto.create_stream(StreamName="before", ShardCount=1)
        fresh = boto.get_shard_iterator(StreamName="before", ShardId=harness.shard_name(0),
                                        ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        self.run_script("refusals", server, "h2",
                        EXPIRED_ITERATOR=kinesis_case.aged(server, fresh, 360))

    def test_records_over_tls_with_http_2_by_alpn(self):
        pair = tls_test.make_pair(self.directory)
        self.run_script("records", self.serve(*pair.flags()), "h2", "https",
                        NODE_EXTRA_CA_CERTS=pair.certificate)

    def test_records_over_tls_with_http_1_1(self):
        pair = tls_test.make_pair(self.directory)
        self.run_script("records", self.serve(*pair.flags()), "h1", "https",
                        NODE_EXTRA_CA_CERTS=pair.certificate)


if __name__ == "__main__":
    harness.main()
