#!/usr/bin/env python3
"""kill -9 of the server again and again while views fold: the windows are those that a batch
computation gives, and each emission is given out once, the same before and after."""
import collections
import json
import random
import time
import urllib.error
import urllib.request

import harness
from batch_windows import SECOND, micros
from harness import EndToEndTest

RECORDS = 60_000
ROUNDS = 5
SHARDS = 4
SEED = 20_260_131
START_MS = 1_700_000_000_000
CONFIG = """
stream = ["demo:4"]
[[view]]
name = "sums"
stream = "demo"
layout = "json"
fields = { t = "timestamp(ms)", group = "string", value = "int64" }
time = "t"
delay = "2s"
idle = "1d"
window = { tumbling = "1s" }
group_by = ["group"]
aggregates = { n = "count", total = "sum(value)", newest = "last(value)" }
"""


class ViewsKillTest(EndToEndTest):
    def events(self, server):
        """{ordinal: rows} of whatever is there now."""
        out = {}
        request = f"http://{server.admin}/v1/views/sums/stream?follow=false&from=trim-horizon"
        with urllib.request.urlopen(request, timeout=harness.PATIENCE) as answer:
            text = answer.read().decode()
        for block in text.split("\n\n"):
            for line in block.splitlines():
                if line.startswith("data: "):
                    data = json.loads(line[6:])
                    self.assertIn("ordinal", data, "nothing is missing")
                    out.setdefault(data["ordinal"], []).extend(data["rows"])
        return out

    def test_windows_survive(self):
        chance = random.Random(SEED)
        rows = collections.defaultdict(list)
        lines = []
        for i in range(RECORDS):
            # A millisecond each, in disorder by less than the delay.
            at = START_MS + i + chance.randrange(1000)
            group, value = f"g{chance.randrange(20)}", chance.randrange(1_000_000)
            rows[at // 1000, group].append((at, value))
            lines.append(json.dumps({"t": at, "key": f"k{i % 100}", "group": group, "value": value}))
        for i in range(100):
            lines.append(json.dumps({"t": START_MS + RECORDS + 60_000, "key": f"k{i}", "group": "end",
                                     "value": 0}))
        path = self.write("lines.json", "\n".join(lines) + "\n")
        server = self.server("--config", self.write("millrace.toml", CONFIG))
        producer = server.produce_in_background(
            "demo", "--file", path, "--format", "json", "--key-field", "key", "--producer-id", "views",
            "--rate", "10000", "--give-up-seconds", str(harness.PATIENCE), "--no-progress")
        self.addCleanup(producer.stdout.close)
        self.addCleanup(producer.kill)

        seen = {}
        kills = 0
        while kills < ROUNDS and producer.poll() is None:
            known = len(seen)
            def more():
                now = self.events(server)
                for ordinal, part in now.items():
                    self.assertEqual(seen.setdefault(ordinal, part), part, "given out twice, otherwise")
                return len(seen) > known or producer.poll() is not None
            self.wait_until(more, "another window closes")
            time.sleep(chance.random() * 0.3)
            server.kill()
            kills += 1
            server.start()
        out, _ = producer.communicate(timeout=harness.PATIENCE)
        self.assertEqual(producer.returncode, 0, out)
        self.assertGreater(kills, 1, "the producer was done before the server was killed twice")

        def closed():
            return json.loads(server.request("GET", "/v1/views/sums?limit=100000")[1])["rows"]
        self.wait_until(lambda: len(closed()) >= len(rows), "all windows are closed")
        wanted = {(second * SECOND, group): (len(some), sum(v for _, v in some))
                  for (second, group), some in rows.items()}
        got = {(micros(r["window_start"]), r["group"]): (r["n"], r["total"]) for r in closed()}
        self.assertEqual(got, wanted)
        for row in closed():
            some = rows[micros(row["window_start"]) // SECOND, row["group"]]
            newest = max(at for at, _ in some)
            self.assertIn(row["newest"], [v for at, v in some if at == newest])
        final = self.events(server)
        self.assertEqual(sorted(final), list(range(len(final))), "each ordinal once")
        for ordinal, part in seen.items():
            self.assertEqual(final[ordinal], part)
        self.assertEqual(sum(len(part) for part in final.values()), len(wanted))
        self.assertEqual(server.stop(), 0)
        self.verify(server.data)


if __name__ == "__main__":
    harness.main()
