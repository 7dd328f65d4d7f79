#!/usr/bin/env python3
"""What the command line, the environment and the configuration file mean, and what is refused."""
import os

import harness
from harness import EndToEndTest, millrace


class ConfigTest(EndToEndTest):
    def config(self, text):
        return self.write("millrace.toml", text)

    def printed(self, *arguments, **environment):
        done = millrace("serve", "--print-config", *arguments, **environment)
        pairs = [line.split(" = ", 1) for line in done.stdout.decode().splitlines()
                 if line and not line.startswith("#")]
        return {name: value for name, value in pairs}

    def assert_refused(self, code, *arguments, contains, **environment):
        done = millrace(*arguments, check=False, **environment)
        self.assertEqual(done.returncode, code, done.stderr.decode())
        for word in contains:
            self.assertIn(word, done.stderr.decode())

    def test_defaults(self):
        shown = self.printed()
        self.assertEqual(shown["udp"], '"127.0.0.1:4567"')
        self.assertEqual(shown["admin"], '"127.0.0.1:9644"')
        self.assertEqual(shown["data"], '"./millrace-data"')
        self.assertEqual(shown["ack"], '"durable"')

    def test_flags_win_over_environment_over_file_over_defaults(self):
        path = self.config('udp = "127.0.0.1:1"\nadmin = "127.0.0.1:2"\ndata = "file"\n')
        shown = self.printed("--config", path, "--udp", "127.0.0.1:11",
                             MILLRACE_UDP="127.0.0.1:21", MILLRACE_ADMIN="127.0.0.1:22")
        self.assertEqual(shown["udp"], '"127.0.0.1:11"')
        self.assertEqual(shown["admin"], '"127.0.0.1:22"')
        self.assertEqual(shown["data"], '"file"')
        self.assertEqual(self.printed(MILLRACE_CONFIG=path)["data"], '"file"')

    def test_lists_are_replaced_by_what_is_stronger(self):
        path = self.config('stream = ["a:1", "b:2"]\n')
        self.assertEqual(self.printed("--config", path)["stream"], '["a:1", "b:2"]')
        self.assertEqual(self.printed("--config", path, MILLRACE_STREAM="c:3;d:4")["stream"],
                         '["c:3", "d:4"]')
        self.assertEqual(self.printed("--stream", "e:5", "--stream", "f:6")["stream"],
                         '["e:5", "f:6"]')

    def test_sizes_are_written_as_people_do(self):
        path = self.config('arena_bytes = "128MiB"\nsegment_bytes = 134217728\n')
        shown = self.printed("--config", path, "--retention-bytes", "1.5GiB")
        self.assertEqual(shown["arena_bytes"], "134217728")
        self.assertEqual(shown["segment_bytes"], "134217728")
        self.assertEqual(shown["retention_bytes"], "1610612736")

    def test_what_is_printed_is_a_configuration_that_gives_the_same(self):
        first = millrace("serve", "--print-config", "--stream", "a:1", "--doors", "2",
                         "--dpdk", "--no-huge \"quoted\"", "--allow-unauthenticated").stdout.decode()
        again = millrace("serve", "--print-config", "--config", self.config(first)).stdout.decode()
        self.assertEqual(first, again)

    def test_a_bad_file_is_78_and_names_its_line(self):
        for text, words in [
            ("data = 'x'\n\nudpp = 'y'\n", [":3:", "udpp", "udp"]),
            ("data = \n", [":1:"]),
            ("data = 5\n", [":1:", "data", "string"]),
            ("arena_bytes = 'lots'\n", [":1:", "arena_bytes", "lots"]),
            ("stream = ['a:1', 7]\n", [":1:", "stream"]),
            ("[serve]\ndata = 'x'\n", [":1:", "serve"]),
            ("doors = -1\n", [":1:", "doors"]),
            ("ack = 'maybe'\n", ["ack", "maybe", "durable"]),
            ("arena_bytes = 5\n", ["arena_bytes", "5", "67108864"]),
            ("stream = ['demo:0']\n", ["demo", "0"]),
        ]:
            with self.subTest(text=text):
                self.assert_refused(78, "serve", "--config", self.config(text), contains=words)
        missing = os.path.join(self.directory, "none.toml")
        self.assert_refused(78, "serve", "--config", missing, contains=[missing])

    def test_a_bad_environment_names_the_variable(self):
        self.assert_refused(78, "serve", contains=["MILLRACE_DOORS", "many"], MILLRACE_DOORS="many")

    def test_listening_beyond_loopback_takes_keys_or_a_word(self):
        self.assert_refused(78, "serve", "--udp", "0.0.0.0:4567", contains=["--allow-unauthenticated"])
        self.printed("--udp", "0.0.0.0:4567", "--allow-unauthenticated")
        self.printed("--udp", "0.0.0.0:4567", "--keys", "keys")
        self.assert_refused(78, "serve", "--raw-udp", "0.0.0.0:514=logs", "--keys", "keys",
                            contains=["raw_udp"])

    def test_wrong_usage_is_2(self):
        self.assert_refused(2, contains=["subcommand"])
        self.assert_refused(2, "serve", "--nonsense", contains=["--nonsense", "--help"])
        self.assert_refused(2, "serve", "--doors", "many", contains=["doors", "many"])
        self.assert_refused(2, "produce", "--stream", "s", contains=["--file"])
        self.assert_refused(2, "produce", "--stream", "s", "--file", "f", "--generate", "clicks",
                            contains=["--"])
        self.assert_refused(2, "tail", contains=["stream"])
        self.assert_refused(2, "stream", contains=["subcommand"])

    def test_help_and_version_are_0(self):
        for command in ([], ["serve"], ["produce"], ["stream"], ["tail"], ["verify"], ["doctor"],
                        ["bench"]):
            self.assertIn("--help", millrace(*command, "--help").stdout.decode())
        self.assertIn("millrace ", millrace("--version").stdout.decode())

    def test_clients_say_when_no_server_is_there(self):
        done = millrace("stream", "list", "--admin", "127.0.0.1:1", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("127.0.0.1:1", done.stderr.decode())

    def test_doctor_looks_at_this_machine(self):
        shown = millrace("doctor", "--data", self.directory, "--seconds", "0.2").stdout.decode()
        for word in ("cpu", "memory", "disk", "dpdk", "cuda", "limit"):
            self.assertIn(word, shown)

    def test_keys_files_are_read_with_care(self):
        server = ["serve", "--data", os.path.join(self.directory, "d"), "--udp", "127.0.0.1:0",
                  "--admin", "off", "--keys"]
        secret = "00112233445566778899aabbccddeeff"
        path = self.write("keys", f"# ours\n1:{secret} demo\n1:{secret}\n")
        os.chmod(path, 0o644)
        self.assert_refused(78, *server, path, contains=["600"])
        os.chmod(path, 0o600)
        self.assert_refused(78, *server, path, contains=[":3:", "twice"])
        done = millrace(*server, path, check=False)
        self.assertNotIn(secret, done.stderr.decode() + done.stdout.decode())


if __name__ == "__main__":
    harness.main()
