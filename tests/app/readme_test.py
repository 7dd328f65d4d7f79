#!/usr/bin/env python3
"""What the README has a newcomer paste works as it stands, but for the address."""
import os
import re
import shlex
import subprocess

import harness
import kinesis_js_test
from kinesis_js_test import JavaScriptTest

del JavaScriptTest  # its tests run elsewhere
ADDRESS = "127.0.0.1:4567"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
               "AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1"}


def readme():
    with open(os.path.join(harness.ROOT, "README.md"), encoding="utf-8") as text:
        return text.read()


class ReadmeTest(harness.EndToEndTest):
    def block(self, language, having):
        """The one fenced block of a language that has a text in it, for this test's server."""
        found = [block for block in re.findall(rf"```{language}\n(.*?)```", readme(), re.DOTALL)
                 if having in block]
        self.assertEqual(len(found), 1, f"blocks of {language} with {having}")
        self.assertIn(ADDRESS, found[0])
        return found[0].replace(ADDRESS, self.one.http)

    def run_lines(self, command, lines, **how):
        done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False,
                              timeout=harness.PATIENCE, **how)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def records(self):
        out = harness.millrace("tail", "clicks", "--from", "trim-horizon", "--follow=false", "--admin",
                               self.one.admin).stdout.decode()
        return out.count("hello")

    def test_the_lines_for_the_aws_clients_paste_and_work(self):
        self.one = self.server("--udp", "off")
        path = "/usr/bin:" + os.environ["PATH"]  # Debian's aws before any other
        out = self.run_lines(
            ["bash"], "set -e; shopt -s expand_aliases\n" + self.block("sh", "aws --endpoint-url"),
            env=harness.clean_environment(PATH=path, HOME=self.directory))
        self.assertIn("shardId-000000000001", out)
        self.run_lines(["/usr/bin/python3", "-"], self.block("python", "boto3"),
                       env=harness.clean_environment(**CREDENTIALS))
        self.assertEqual(self.records(), 2)
        if reason := kinesis_js_test.why_not():
            self.skipTest("JavaScript: " + reason)
        out = self.run_lines(["node", "--input-type=module", "-"],
                             self.block("javascript", "client-kinesis"),
                             cwd=kinesis_js_test.MODULES,
                             env=harness.clean_environment(**CREDENTIALS))
        self.assertIn("SequenceNumber", out)
        self.assertEqual(self.records(), 3)

    def test_produce_speaks_to_the_api(self):
        self.one = self.server("--udp", "off", "--stream", "clicks:2")
        lines = self.block("sh", "--to http://").replace("build/release/app/millrace",
                                                         shlex.quote(harness.PROGRAM))
        self.run_lines(["bash", "-e"], lines, env=harness.clean_environment(**CREDENTIALS))


if __name__ == "__main__":
    harness.main()
