#!/usr/bin/env python3
"""The Kinesis API by the AWS SDK for JavaScript v3, over HTTP/2 and HTTP/1.1, signed. Needs node 20
and npm, and says when it skips."""
import os
import shutil
import subprocess
import unittest

import harness
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
    os.makedirs(MODULES, exist_ok=True)
    for name in ("package.json", "package-lock.json", "kinesis.mjs"):
        shutil.copy(os.path.join(SOURCES, name), MODULES)
    if not os.path.isdir(os.path.join(MODULES, "node_modules", "@aws-sdk", "client-kinesis")):
        done = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=MODULES,
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return "npm ci failed: " + done.stderr[-300:]
    return None


class JavaScriptTest(harness.EndToEndTest):
    def run_with(self, protocol, scheme="http", *arguments, **environment):
        reason = why_not()
        if reason:
            self.skipTest(reason)
        credentials = self.write("credentials", "ADMIN admin-secret\n")
        os.chmod(credentials, 0o600)
        one = self.server("--udp", "off", "--credentials", credentials, *arguments)
        done = subprocess.run(
            ["node", "kinesis.mjs", f"{scheme}://{one.http}", protocol], cwd=MODULES,
            capture_output=True, text=True, timeout=harness.PATIENCE, check=False,
            env=harness.clean_environment(**environment))
        self.assertEqual((done.returncode, done.stdout), (0, "all as expected\n"), done.stderr)

    def test_everything_over_http_2(self):
        self.run_with("h2")

    def test_everything_over_http_1_1(self):
        self.run_with("h1")

    def test_everything_over_tls_with_http_2_by_alpn(self):
        pair = tls_test.make_pair(self.directory)
        self.run_with("h2", "https", *pair.flags(), NODE_EXTRA_CA_CERTS=pair.certificate)

    def test_everything_over_tls_with_http_1_1(self):
        pair = tls_test.make_pair(self.directory)
        self.run_with("h1", "https", *pair.flags(), NODE_EXTRA_CA_CERTS=pair.certificate)


if __name__ == "__main__":
    harness.main()
