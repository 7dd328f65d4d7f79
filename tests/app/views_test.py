#!/usr/bin/env python3
"""Windows of a real access log, against a batch computation over the same file; and all the ways in
which they can be read say the same."""
import collections
import csv
import io
import json
import os
import unittest
import urllib.request

import batch_windows
import harness
from batch_windows import SECOND, micros
from harness import EndToEndTest, millrace

LOG = os.path.join(harness.DATA, "apache_access.log")
SHARDS = 4
HOUR = 3600 * SECOND
EXACT = ["requests", "with_bytes", "total", "least", "most", "oldest", "newest"]
VIEW = """
[[view]]
name = "%s"
stream = "web"
layout = "access_log"
time = "time"
delay = "%s"
idle = "1d"
window = { tumbling = "1h" }
group_by = ["status"]
metrics = true
aggregates = { requests = "count", with_bytes = "count(bytes)", total = "sum(bytes)", least = "min(bytes)", most = "max(bytes)", oldest = "first(bytes)", newest = "last(bytes)", hosts = "count_distinct(host)", median = "percentile(bytes, 0.5)" }
"""


def closers(after_us):
    """A log line for each shard, two days later: with them every window before is over."""
    when = (batch_windows.EPOCH + batch_windows.datetime.timedelta(
        microseconds=after_us + 48 * HOUR)).strftime("%d/%b/%Y:%H:%M:%S +0000")
    out = {}
    for i in range(1000):
        host = f"closer-{i}"
        out.setdefault(harness.shard_of(host, SHARDS),
                       f'{host} - - [{when}] "GET / HTTP/1.1" 200 1 "-" "-"')
    assert len(out) == SHARDS
    return list(out.values())


@unittest.skipUnless(os.path.isfile(LOG), f"there is no {LOG}")
class AccessLogTest(EndToEndTest):
    def setUp(self):
        super().setUp()
        with open(LOG, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
        newest = max(r[1] for r in map(batch_windows.parse_access_log, lines) if r)
        lines += closers(newest)
        path = os.path.join(self.directory, "lines.log")
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("\n".join(lines) + "\n")
        self.lines = lines
        self.records = []
        for line in lines:
            # The key is the first word, also of a line that is no log line.
            self.records.append((line.split()[0], batch_windows.parse_access_log(line)))
        config = self.write("millrace.toml", 'stream = ["web:4"]\n' + VIEW % ("whole", "1d") +
                            VIEW % ("strict", "0s") + VIEW % ("patient", "90s"))
        self.running = self.server("--config", config)
        self.running.produce("web", "--file", path, "--key-field", "1")
        for name in ("whole", "strict", "patient"):
            self.wait_until(lambda view=name: self.folded(view) == len(lines),
                            f"view {name} has folded everything")

    def describe(self, name):
        views = json.loads(self.running.request("GET", "/v1/views")[1])["views"]
        return next(v for v in views if v["name"] == name)

    def folded(self, name):
        counts = self.describe(name)["records"]
        return sum(counts[k] for k in ("folded", "late", "no_time", "left_out", "filtered"))

    def read(self, name, query="limit=100000"):
        status, body = self.running.request("GET", f"/v1/views/{name}?{query}")
        self.assertEqual(status, 200, body)
        return json.loads(body)["rows"]

    def batch(self, delay_us):
        """Rows by (end, status), the late records, and how many have no time."""
        timed = [(key, r[1], r) for key, r in self.records if r]
        # A record without a time moves no clock, but has a number in its shard.
        with_numbers, count = [], collections.Counter()
        for key, parsed in self.records:
            shard = harness.shard_of(key, SHARDS)
            if parsed:
                with_numbers.append(count[shard])
            count[shard] += 1
        kept, late, newest = batch_windows.split_late(timed, SHARDS, delay_us)
        numbers = {id(record): number for record, number in zip(timed, with_numbers)}
        watermark = min(newest) - delay_us
        groups = collections.defaultdict(list)
        hosts = collections.defaultdict(set)
        for record, shard, _ in kept:
            host, time, status, size = record[2]
            end = time // HOUR * HOUR + HOUR
            if end <= watermark:
                groups[end, status].append((time, shard, numbers[id(record)], size))
                hosts[end, status].add(host)
        return groups, hosts, late, len(self.records) - len(timed)

    def check(self, name, delay_us):
        groups, hosts, late, no_time = self.batch(delay_us)
        self.assertGreater(len(groups), 100)
        self.wait_until(lambda: len(self.read(name)) >= len(groups), "all windows are closed")
        rows = self.read(name)
        self.assertEqual(len(rows), len(groups))
        for row in rows:
            key = micros(row["window_end"]), row["status"]
            self.assertEqual(micros(row["window_start"]), key[0] - HOUR)
            wanted = batch_windows.numbers(groups[key])
            self.assertEqual({k: row[k] for k in EXACT}, wanted, row)
            # Below 100 values the estimate is off by hardly any; beyond, by four standard errors.
            exact = len(hosts[key])
            self.assertLessEqual(abs(row["hosts"] - exact), max(2, 4 * 0.016 * exact), row)
            sizes = [v[3] for v in groups[key] if v[3] is not None]
            if sizes:
                low, high = batch_windows.quantile_bounds(sizes, 0.5)
                self.assertTrue(low <= row["median"] <= high, (row, low, high))
            else:
                self.assertIsNone(row["median"])
        order = [(row["window_end"], row["window_start"]) for row in rows]
        self.assertEqual(order, sorted(order, reverse=True), "the newest first")
        counts = self.describe(name)["records"]
        self.assertEqual(counts["late"], len(late))
        self.assertEqual(counts["no_time"], no_time)
        self.assertEqual(counts["left_out"], 0)
        return rows, late

    def test_windows_are_those_of_a_batch_computation(self):
        rows, late = self.check("whole", 24 * HOUR)
        self.assertEqual(late, [], "a day is long enough for this file")
        self.all_readers_agree("whole", rows)
        _, late = self.check("patient", 90 * SECOND)
        patient = len(late)
        _, late = self.check("strict", 0)
        self.assertGreater(len(late), max(patient, 100), "this file is not in order")
        self.late_records_are_told(late)
        self.check_metrics(rows)
        self.after_a_restart_they_are_the_same(rows)

    def all_readers_agree(self, name, rows):
        status, text = self.running.request("GET", f"/v1/views/{name}?limit=100000&format=csv")
        self.assertEqual(status, 200)
        lines = list(csv.DictReader(io.StringIO(text, newline="")))
        self.assertEqual([{k: "" if v is None else str(v) for k, v in row.items()
                           if k != "median"} for row in rows],
                         [{k: v for k, v in line.items() if k != "median"} for line in lines])
        tail = millrace("tail", "--view", name, "--admin", self.running.admin, "--follow=false",
                        "--format", "json").stdout.decode()
        told = [json.loads(line) for line in tail.splitlines()]
        by_key = lambda row: (row["window_end"], row["status"])
        self.assertEqual(sorted(told, key=by_key), sorted(rows, key=by_key))
        table = millrace("tail", "--view", name, "--admin", self.running.admin, "--limit",
                         "3").stdout.decode().splitlines()
        self.assertIn("window_end", table[0])
        newest = rows[0]["window_end"]
        some = self.read(name, f"from={rows[-1]['window_start']}&to={rows[-1]['window_end']}")
        self.assertEqual({row["window_end"] for row in some}, {rows[-1]["window_end"]})
        self.assertEqual([row["window_end"] for row in self.read(name, "limit=1")], [newest])
        opened = self.read(name, "state=open")
        self.assertEqual(sum(row["requests"] for row in opened), SHARDS, "the last lines are open")
        for bad in ("state=ajar", "limit=many", "from=noon", "format=xml"):
            self.assertEqual(self.running.request("GET", f"/v1/views/{name}?{bad}")[0], 400, bad)
        self.assertEqual(self.running.request("GET", "/v1/views/none")[0], 404)
        self.assertEqual(self.running.request("POST", "/v1/views", {})[0], 405)
        self.ordinals_have_no_gaps(name)

    def events(self, name, query="", **headers):
        request = urllib.request.Request(
            f"http://{self.running.admin}/v1/views/{name}/stream?follow=false{query}",
            headers=headers)
        with urllib.request.urlopen(request, timeout=harness.PATIENCE) as answer:
            text = answer.read().decode()
        out = []
        for block in text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if "data" in fields:
                out.append((fields.get("id"), json.loads(fields["data"])))
        return out

    def ordinals_have_no_gaps(self, name):
        events = self.events(name, "&from=trim-horizon")
        whole = [int(number) for number, _ in events if number is not None]
        self.assertEqual(whole, list(range(len(whole))))
        last = whole[-1]
        resumed = self.events(name, **{"Last-Event-ID": str(last - 1)})
        self.assertEqual({data["ordinal"] for _, data in resumed}, {last})

    def late_records_are_told(self, late):
        status, body = self.running.request("GET", "/v1/views/strict?state=late&limit=1000")
        self.assertEqual(status, 200, body)
        places = {(harness.shard_name(shard), record[1], record[2][0]) for record, shard, _ in late}
        told = json.loads(body)["rows"]
        self.assertGreater(len(told), 0)
        for one in told:
            self.assertIn((one["shard"], micros(one["time"]), one["key"]), places)
            self.assertLess(micros(one["time"]), micros(one["watermark"]))
            self.assertEqual(batch_windows.parse_access_log(one["data"])[1], micros(one["time"]))

    def check_metrics(self, rows):
        newest = rows[0]["window_end"]
        for row in rows:
            if row["window_end"] == newest:
                self.assertEqual(self.running.metric(
                    f'millrace_window{{view="whole",value="requests",status="{row["status"]}"}}'),
                    row["requests"])
        self.assertEqual(self.running.metric('millrace_window_end_seconds{view="whole"}'),
                         micros(newest) / SECOND)
        self.assertEqual(self.running.metric('millrace_view_records_late_total{view="whole"}'), 0)
        ready = json.loads(self.running.request("GET", "/readyz")[1])
        self.assertEqual((ready["ready"], ready["view_faults"]), (True, []))

    def after_a_restart_they_are_the_same(self, rows):
        before = self.events("whole", "&from=trim-horizon")
        self.assertEqual(self.running.stop(), 0)
        self.running.start()
        self.assertEqual(self.read("whole"), rows)
        self.assertEqual(self.events("whole", "&from=trim-horizon"), before)
        self.assertEqual(self.folded("whole"), len(self.lines))


if __name__ == "__main__":
    harness.main()
