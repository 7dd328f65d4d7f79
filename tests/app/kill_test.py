#!/usr/bin/env python3
"""kill -9 of the server again and again under load: every record that was acked is there once, at
the place that its ack named, and in the end every record is there once and in order."""
import os
import random
import time

import harness
from harness import EndToEndTest

RECORDS = 60_000
ROUNDS = 5
KEYS = 100
SEED = 20_240_501


class KillTest(EndToEndTest):
    def acked(self, path):
        """Whole lines only: the producer may be writing the last one."""
        if not os.path.exists(path):
            return []
        with open(path, encoding="ascii") as file:
            text = file.read()
        return [line.split() for line in text[:text.rfind("\n") + 1].splitlines()]

    def test_what_was_acked_is_there_once_whenever_the_server_is_killed(self):
        chance = random.Random(SEED)
        lines = [f"{i} key-{chance.randrange(KEYS)} {'x' * chance.randrange(200)}"
                 for i in range(RECORDS)]
        path = self.write("lines.txt", "\n".join(lines) + "\n")
        acks = os.path.join(self.directory, "acks")
        server = self.server("--stream", "demo:4")
        producer = server.produce_in_background(
            "demo", "--file", path, "--key-field", "2", "--acks", acks, "--producer-id", "killer",
            "--rate", "15000", "--give-up-seconds", str(harness.PATIENCE), "--no-progress")
        self.addCleanup(producer.stdout.close)
        self.addCleanup(producer.kill)

        kills = 0
        for _ in range(ROUNDS):
            before = len(self.acked(acks))
            # Under load: something new has been acked since the last start.
            self.wait_until(lambda: len(self.acked(acks)) > before or producer.poll() is not None,
                            "new records are acked")
            if producer.poll() is not None:
                break
            time.sleep(chance.random() * 0.4)
            server.kill()
            kills += 1
            server.start()
        out, _ = producer.communicate(timeout=harness.PATIENCE)
        self.assertEqual(producer.returncode, 0, out)
        self.assertGreater(kills, 1, "the producer was done before the server was killed twice")

        told = self.acked(acks)
        self.assertEqual(sorted(int(number) for number, _, _ in told), list(range(RECORDS)))
        records = server.tail("demo", "--from", "trim-horizon")
        self.assert_every_line_once(records, lines, lambda n, line: line.split()[1], 4)
        places = {(r["shard"], r["sequence"]): r["data"] for r in records}
        wrong = [(number, shard, sequence) for number, shard, sequence in told
                 if places.get((shard, sequence)) != lines[int(number)]]
        self.assertEqual(wrong[:5], [], f"{len(wrong)} acks name no place of their record")
        self.assertEqual(server.stop(), 0)
        self.verify(server.data)

    def test_a_producer_that_is_killed_too_goes_on_where_the_log_ends(self):
        lines = [f"{i} key-{i % KEYS}" for i in range(20_000)]
        path = self.write("lines.txt", "\n".join(lines) + "\n")
        server = self.server("--stream", "demo:4")
        arguments = ["--file", path, "--key-field", "2", "--producer-id", "killer", "--no-progress"]
        for _ in range(3):
            before = server.describe("demo")["records"]
            producer = server.produce_in_background("demo", *arguments, "--rate", "20000")
            self.wait_until(lambda: server.describe("demo")["records"] > before
                            or producer.poll() is not None, "records come in")
            producer.kill()
            producer.wait(harness.PATIENCE)
            producer.stdout.close()
            server.kill()
            server.start()
        server.produce("demo", *arguments)
        self.assert_every_line_once(server.tail("demo"), lines, lambda n, line: line.split()[1], 4)
        self.assertEqual(server.stop(), 0)
        self.verify(server.data)


if __name__ == "__main__":
    harness.main()
