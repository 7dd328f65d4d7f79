#!/usr/bin/env python3
"""[[view]] in the configuration file: what is understood, what is refused and where, and that the
examples of docs/views.md are right."""
import os
import re

import harness
from harness import EndToEndTest, millrace

GOOD = """stream = ["web:4"]
[[view]]
name = "v"
stream = "web"
layout = "json"
fields = { ts = "timestamp(ms)", status = "int64", ms = "float64 a.ms" }
time = "ts"
window = { tumbling = "10s" }
group_by = ["status"]
aggregates = { n = "count", p = "percentile(ms, 0.5)" }
"""


class ViewsConfigTest(EndToEndTest):
    def config(self, text):
        return self.write("millrace.toml", text)

    def printed(self, text):
        return millrace("serve", "--print-config", "--config", self.config(text)).stdout.decode()

    def refused(self, text):
        done = millrace("serve", "--print-config", "--config", self.config(text), check=False)
        self.assertEqual(done.returncode, 78, done.stdout.decode() + done.stderr.decode())
        return done.stderr.decode()

    def test_every_example_of_the_documentation_is_understood(self):
        with open(os.path.join(harness.ROOT, "docs", "views.md"), encoding="utf-8") as file:
            examples = re.findall(r"```toml\n(.*?)```", file.read(), re.DOTALL)
        self.assertGreaterEqual(len(examples), 3)
        for example in examples:
            with self.subTest(example=example):
                shown = self.printed(example)
                self.assertEqual(shown.count("[[view]]"), example.count("[[view]]"))
                self.assertEqual(self.printed(shown), shown)

    def test_everything_is_written_out(self):
        shown = self.printed(GOOD)
        for line in ['delay = "0s"', 'future_max = "1m"', 'window = { tumbling = "10s" }',
                     '"ms" = { type = "float64", path = "a.ms" }',
                     '"p" = "approx_percentile(\\"ms\\", 0.5)"']:
            self.assertIn(line, shown)

    def test_errors_name_line_view_and_key(self):
        def swap(old, new):
            self.assertIn(old, GOOD)
            return GOOD.replace(old, new)
        for text, words in [
            (swap("layout", "layuot"), [":5:", "'v'", "layuot", "layout"]),
            (swap('"json"', '"jsn"'), [":5:", "'v'", "jsn", "json"]),
            (swap('name = "v"\n', ""), ["name", "missing"]),
            (swap('stream = "web"\n', ""), ["'v'", "stream", "missing"]),
            (swap("timestamp(ms)", "timestamp"), [":6:", "'ts'", "timestamp(s)"]),
            (swap('"int64"', '"int"'), [":6:", "'status'", "int"]),
            (swap('"int64"', "5"), [":6:", "'status'", "string"]),
            (swap('time = "ts"', 'time = "tss"'), [":7:", "tss", "status"]),
            (swap('time = "ts"', 'time = "status"'), ["'v'", "status", "timestamp"]),
            (swap('tumbling = "10s"', 'tumbling = "10"'), [":8:", "tumbling", "10"]),
            (swap('tumbling = "10s"', 'hopping = "10s"'), [":8:", "by"]),
            (swap('tumbling = "10s"', 'hopping = "10s", by = "3s"'), ["'v'", "divide"]),
            (swap('tumbling = "10s"', 'tumbling = "1s", session = "1s"'), [":8:", "one of"]),
            (swap('["status"]', '["stat"]'), [":9:", "stat"]),
            (swap('["status"]', '"status"'), [":9:", "array"]),
            (swap('"count"', '"cuont"'), [":10:", "'n'", "column 1", "cuont"]),
            (swap('percentile(ms, 0.5)', 'sum(ts)'), ["'v'", "sum", "timestamp"]),
            (swap('percentile(ms, 0.5)', 'sum(x)'), [":10:", "'p'", "column 5", "'x'"]),
            (GOOD + 'where = "status >"\n', [":11:", "where", "column 9"]),
            (GOOD + 'top = { by = "m", k = 3 }\n', [":11:", "'m'"]),
            (GOOD + 'top = { by = "n" }\n', [":11:", "k"]),
            (GOOD + 'limits = { group = 3 }\n', [":11:", "group", "groups"]),
            (GOOD + 'limits = { groups = 0 }\n', [":11:", "groups"]),
            (GOOD + 'metrics = "yes"\n', [":11:", "metrics", "true"]),
            (GOOD + 'delimiter = ";"\n', [":11:", "csv"]),
            (GOOD + GOOD.split("\n", 1)[1], [":11:", "'v'", "another"]),
            (GOOD.replace("[[view]]", "[view]"), ["[[view]]"]),
        ]:
            with self.subTest(text=text):
                said = self.refused(text)
                for word in words:
                    self.assertIn(word, said)

    def test_a_view_of_a_stream_that_is_not_there_is_refused_at_start(self):
        path = self.config(GOOD.replace('stream = ["web:4"]', 'udp = "127.0.0.1:0"'))
        done = millrace("serve", "--config", path, "--data", os.path.join(self.directory, "data"),
                        "--admin", "127.0.0.1:0", "--arena-bytes", "128MiB", check=False)
        self.assertEqual(done.returncode, 78)
        for word in ["'v'", "'web'", "web:SHARDS"]:
            self.assertIn(word, done.stderr.decode())


if __name__ == "__main__":
    harness.main()
