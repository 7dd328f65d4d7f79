#!/usr/bin/env python3
"""Windows over ten million records, against a batch computation by awk over the same file."""
import json
import os
import subprocess

import harness
from batch_windows import SECOND, micros
from harness import EndToEndTest

RECORDS = int(os.environ.get("MILLRACE_TEST_RECORDS", "10000000"))
SHARDS = 4
START_MS = 1_700_000_000_000
AWK = "/usr/bin/awk"
# A hundred records a millisecond, out of order by up to 0.8 s.
GENERATE = """
BEGIN {
  srand(20240501)
  for (i = 0; i < records; ++i)
    printf("%.0f k%d %d\\n", start + int(i / 100) + int(800 * rand()), int(1000 * rand()),
           int(2000000 * rand()) - 1000000)
}"""
# Windows of 10 s of a key; and of everything, 20 s long, each 5 s.
BATCH = """
{
  w = int($1 / 10000)
  id = w " " $2
  if (!(id in n) || $3 < low[id]) low[id] = $3
  if (!(id in n) || $3 > high[id]) high[id] = $3
  ++n[id]
  sum[id] += $3
  pane = int($1 / 5000)
  ++panes[pane]
  sums[pane] += $3
  if (pane > last) last = pane
  if (!first) first = pane
}
END {
  for (id in n) printf("key %s %d %.0f %d %d\\n", id, n[id], sum[id], low[id], high[id])
  for (p = first - 3; p <= last + 3; ++p) {
    count = total = 0
    for (q = p - 3; q <= p; ++q) { count += panes[q]; total += sums[q] }
    if (count > 0) printf("hop %d %d %.0f\\n", p, count, total)
  }
}"""
CONFIG = """
stream = ["demo:4"]
[[view]]
name = "keys"
stream = "demo"
layout = "csv"
delimiter = " "
fields = { t = "timestamp(ms) 1", key = "string 2", value = "int64 3" }
time = "t"
delay = "1s"
idle = "1d"
window = { tumbling = "10s" }
group_by = ["key"]
aggregates = { n = "count", total = "sum(value)", low = "min(value)", high = "max(value)" }
[[view]]
name = "hops"
stream = "demo"
layout = "csv"
delimiter = " "
fields = { t = "timestamp(ms) 1", value = "int64 3" }
time = "t"
delay = "1s"
idle = "1d"
window = { hopping = "20s", by = "5s" }
aggregates = { n = "count", total = "sum(value)" }
"""


class LargeTest(EndToEndTest):
    def test_ten_million_records(self):
        path = os.path.join(self.directory, "records")
        with open(path, "w", encoding="ascii") as file:
            subprocess.run([AWK, "-v", f"records={RECORDS}", "-v", f"start={START_MS}", GENERATE],
                           stdout=file, check=True)
        # Beside the server: awk and Millrace have a core each.
        batch = subprocess.Popen([AWK, BATCH, path], stdout=subprocess.PIPE, text=True)
        self.addCleanup(batch.kill)
        server = self.server("--config", self.write("millrace.toml", CONFIG))
        server.produce("demo", "--file", path, "--key-field", "2")
        end = START_MS + RECORDS // 100 + 3_600_000
        closers = self.write("closers", "".join(f"{end} closer-{i} 0\n" for i in range(100)))
        server.produce("demo", "--file", closers, "--key-field", "2")
        wanted, hops = {}, {}
        for line in batch.communicate()[0].splitlines():
            kind, window, *rest = line.split()
            if kind == "key":
                key, *values = rest
                wanted[int(window) * 10, key] = tuple(map(int, values))
            else:
                hops[(int(window) + 1) * 5] = tuple(map(int, rest))
        self.assertEqual(batch.returncode, 0)
        self.assertEqual(sum(one[0] for one in wanted.values()), RECORDS)

        def rows(view):
            return json.loads(server.request("GET", f"/v1/views/{view}?limit=100000")[1])["rows"]
        self.wait_until(lambda: len(rows("hops")) >= len(hops), "the last window is closed")
        self.wait_until(lambda: len(rows("keys")) >= len(wanted), "the last window is closed")
        got = {(micros(r["window_start"]) // SECOND, r["key"]):
               (r["n"], r["total"], r["low"], r["high"]) for r in rows("keys")}
        self.assertTrue(got == wanted, f"{len(got)} rows, {len(wanted)} wanted")
        self.assertEqual({micros(r["window_end"]) // SECOND: (r["n"], r["total"])
                          for r in rows("hops")}, hops)
        for view in json.loads(server.request("GET", "/v1/views")[1])["views"]:
            self.assertEqual(view["records"]["folded"], RECORDS + 100)
            self.assertEqual(view["records"]["late"] + view["records"]["left_out"], 0)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    harness.main()
