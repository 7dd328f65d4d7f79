"""What a view must give, computed by another program from the same records: all at once, from the
rules of docs/decisions/0002-windows.md, with nothing of Millrace in it."""
import datetime
import math
import re

from harness import shard_of

SECOND = 1_000_000
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
ACCESS_LOG = re.compile(
    r'(\S+) \S+ \S+ \[(\d\d/\w\w\w/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] '
    r'"(?:[^"\\]|\\.)*" (\d{3}|-) (\d+|-)')


def micros(text):
    """RFC 3339 as the admin port writes it."""
    when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round((when - EPOCH).total_seconds() * SECOND)


def parse_access_log(line):
    """(host, time in µs, status, bytes); bytes may be None. None when it is no log line."""
    found = ACCESS_LOG.match(line)
    if not found:
        return None
    host, when, status, size = found.groups()
    parsed = datetime.datetime.strptime(when, "%d/%b/%Y:%H:%M:%S %z")
    time = round((parsed - EPOCH).total_seconds()) * SECOND
    return host, time, int(status), None if size == "-" else int(size)


def split_late(records, shards, delay_us):
    """Records are (key, time, …) in the order in which one producer sent them. What is in time, with
    its shard and number there, and what is below its own shard's watermark."""
    newest = [None] * shards
    count = [0] * shards
    kept, late = [], []
    for record in records:
        key, time = record[0], record[1]
        shard = shard_of(key, shards)
        number = count[shard]
        count[shard] += 1
        if newest[shard] is not None and time < newest[shard] - delay_us:
            late.append((record, shard, number))
            continue
        newest[shard] = time if newest[shard] is None else max(newest[shard], time)
        kept.append((record, shard, number))
    return kept, late, newest


def quantile_bounds(values, share, error=1 / 128):
    """The value of rank floor(share * (n - 1)), give or take the sketch's error."""
    value = sorted(values)[math.floor(share * (len(values) - 1))]
    slack = abs(value) * error + 1e-9
    return value - slack, value + slack


def numbers(values):
    """The aggregates of one group over (time, shard, number, value), nulls being None."""
    there = sorted(v for v in values if v[3] is not None)
    plain = [v[3] for v in there]
    return {
        "requests": len(values),
        "with_bytes": len(plain),
        "total": sum(plain) if plain else None,
        "least": min(plain) if plain else None,
        "most": max(plain) if plain else None,
        "oldest": plain[0] if plain else None,
        "newest": plain[-1] if plain else None,
    }
