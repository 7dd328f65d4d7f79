#!/usr/bin/env python3
"""HTTP/2 as it should be used and as it should not: the Kinesis API against a client that speaks
frames (http2_client.py)."""
import base64
import http.client
import json
import os
import socket
import struct
import unittest

import harness
from http2_client import *  # pylint: disable=wildcard-import,unused-wildcard-import


class Http2Test(harness.EndToEndTest):
    def setUp(self):
        super().setUp()
        self.one = self.server("--udp", "off", "--stream", "s:1")

    def connect(self, *arguments, **named):
        one = Connection(self.one.http, *arguments, **named)
        self.addCleanup(one.close)
        return one

    def assert_served(self, one=None):
        """It still answers: on that connection, and on a new one."""
        for each in filter(None, (one, self.connect())):
            status, body = each.answer(each.begin("ListStreams"))
            self.assertEqual(status, 200)
            self.assertEqual(json.loads(body)["StreamNames"], ["s"])

    def put(self, one, data):
        stream = one.begin("PutRecord", json.dumps(
            {"StreamName": "s", "PartitionKey": "k",
             "Data": base64.b64encode(data).decode()}).encode())
        status, body = one.answer(stream)
        self.assertEqual(status, 200, body)

    def iterator(self, one):
        stream = one.begin("GetShardIterator", json.dumps(
            {"StreamName": "s", "ShardId": harness.shard_name(0),
             "ShardIteratorType": "TRIM_HORIZON"}).encode())
        return json.loads(one.answer(stream)[1])["ShardIterator"]


class RulesTest(Http2Test):
    def test_the_settings_say_what_is_allowed(self):
        one = self.connect()
        self.assert_served(one)
        self.assertEqual(one.server_settings[MAX_CONCURRENT_STREAMS], 128)
        self.assertEqual(one.server_settings[MAX_HEADER_LIST_SIZE], 16384)
        self.assertEqual(one.server_settings[INITIAL_WINDOW_SIZE], 4 * 2**20)

    def test_ping_is_answered_with_its_own_bytes(self):
        one = self.connect()
        one.send(frame(PING, payload=b"whatever"))
        answer = one.read_until(PING)
        self.assertEqual((answer.flags & ACK, answer.payload), (ACK, b"whatever"))
        one.send(frame(PING, payload=b"short"))
        self.assertIsNotNone(one.goaway())  # FRAME_SIZE_ERROR
        self.assert_served()

    def test_a_window_of_one_byte_gets_the_answer_byte_by_byte(self):
        one = self.connect(initial_window_size=0)
        stream = one.begin("ListStreams")
        self.assertIsNotNone(one.read_until(HEADERS, stream))
        text = b""
        while True:
            one.open_window(stream, 1)
            part = one.read_until(DATA, stream)
            self.assertLessEqual(len(part.payload), 1)
            text += part.payload
            if part.flags & END_STREAM:
                break
        self.assertEqual(json.loads(text)["StreamNames"], ["s"])
        one.send(settings(initial_window_size=65535))
        self.assert_served(one)

    def test_no_more_is_sent_than_the_windows_allow(self):
        one = self.connect()
        data = os.urandom(300_000)
        self.put(one, data)
        at = self.iterator(one)
        # 65535 bytes are the windows of a connection and of a stream, if nobody opens them; the
        # answers so far have used some of the connection's.
        stream = one.begin("GetRecords", json.dumps({"ShardIterator": at}).encode())
        one.send(frame(PING, payload=b"\0" * 8))
        got, text = 0, b""
        for _ in range(3):
            while (each := one.read()).kind != PING:
                if each.kind == DATA and each.stream == stream:
                    text += each.payload
            one.send(frame(PING, payload=b"\0" * 8))
        self.assertLessEqual(len(text), 65535)
        one.open_window(0, 2**20)
        one.open_window(stream, 2**20)
        while True:
            each = one.read()
            if each.kind == DATA and each.stream == stream:
                text += each.payload
                if each.flags & END_STREAM:
                    break
        self.assertEqual(base64.b64decode(json.loads(text)["Records"][0]["Data"]), data)

    def test_windows_that_overflow_end_the_stream_or_the_connection(self):
        one = self.connect(initial_window_size=0)
        stream = one.begin("ListStreams")
        one.read_until(HEADERS, stream)
        one.open_window(stream, 2**31 - 1)
        one.open_window(stream, 2**31 - 1)
        # All that was to be sent may have gone before the second one came.
        while (each := one.read()).stream != stream or (
                each.kind != RST_STREAM and not each.flags & END_STREAM):
            pass
        one.send(settings(initial_window_size=65535))
        self.assert_served(one)
        one.open_window(0, 2**31 - 1)
        self.assertEqual(one.goaway(), FLOW_CONTROL_ERROR)
        self.assert_served()

    def test_the_clients_goaway_lets_what_is_under_way_end(self):
        one = self.connect()
        stream = one.begin("ListStreams")
        one.send(frame(GOAWAY, payload=struct.pack(">II", 0, NO_ERROR)))
        self.assertEqual(one.answer(stream)[0], 200)
        self.assert_served()

    def test_frames_that_are_none_end_the_connection_with_a_reason(self):
        wrong = {
            "data on stream 0": frame(DATA, 0, 0, b"x"),
            "data of no stream": frame(DATA, 0, 99, b"x"),
            "headers on stream 0": frame(HEADERS, END_HEADERS, 0, fields(call("ListStreams"))),
            "an even stream": frame(HEADERS, END_HEADERS | END_STREAM, 2, fields(call("ListStreams"))),
            "settings with half a value": frame(SETTINGS, payload=b"\0\1\0"),
            "settings of a stream": frame(SETTINGS, 0, 1),
            "a window of nothing": frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"),
            "fields that are none": frame(HEADERS, END_HEADERS, 1, b"\x7f\xff\xff\xff\xff\xff"),
            "a promise": frame(PUSH, END_HEADERS, 1, b"\0\0\0\2"),
            "a frame that is too long": struct.pack(">I", 2**24 - 1)[1:] + bytes(6),
            "a continuation of nothing": frame(CONTINUATION, END_HEADERS, 1, b""),
        }
        for what, bytes_ in wrong.items():
            with self.subTest(what):
                one = self.connect()
                one.send(bytes_)
                self.assertNotIn(one.goaway(), (None, NO_ERROR))
        self.assert_served()

    def test_frames_of_kinds_to_come_are_passed_over(self):
        one = self.connect()
        one.send(frame(0xfa, 0xff, 0, b"who knows") + frame(PRIORITY, 0, 5, b"\0\0\0\0\1"))
        self.assert_served(one)


class RequestTest(Http2Test):
    def test_a_head_that_is_too_large_is_refused_and_the_connection_goes_on(self):
        one = self.connect()
        stream = one.begin("ListStreams", padding="x" * 15_000, more="y" * 3_000)
        status, why = one.answer(stream)
        self.assertIn(status, (None, 0))  # reset, or 431
        self.assert_served(one)

    def test_bodies_that_are_not_as_long_as_they_say_are_reset(self):
        one = self.connect()
        for said, sent in ((5, b"{}"), (1, b"{}")):
            stream = one.next_stream
            one.next_stream += 2
            one.send(frame(HEADERS, END_HEADERS, stream, fields(call("ListStreams", said))) +
                     frame(DATA, END_STREAM, stream, sent))
            self.assertEqual(one.answer(stream), (None, PROTOCOL_ERROR))
        self.assert_served(one)

    def test_a_body_without_a_length_or_with_a_huge_one_is_refused(self):
        one = self.connect()
        for length in (None, 17 * 2**20, 2**62):
            stream = one.next_stream
            one.next_stream += 2
            one.send(frame(HEADERS, END_HEADERS, stream, fields(call("ListStreams", length))))
            status, body = one.answer(stream)
            self.assertEqual(status, 0, (length, body))  # 411 or 413, which have no code of their own
            self.assertIn(b"Exception", body)
            one.send(frame(RST_STREAM, 0, stream, b"\0\0\0\0"))
        self.assert_served(one)

    def test_trailers_and_padding_are_taken(self):
        one = self.connect()
        stream = one.next_stream
        one.next_stream += 2
        one.send(frame(HEADERS, END_HEADERS | 0x8, stream,
                       b"\x05" + fields(call("ListStreams", 2)) + bytes(5)) +
                 frame(DATA, 0x8, stream, b"\x03{}" + bytes(3)) +
                 frame(HEADERS, END_HEADERS | END_STREAM, stream, fields([("x-checksum", "1")])))
        self.assertEqual(one.answer(stream)[0], 200)

    def test_a_request_in_many_small_pieces(self):
        one = self.connect()
        head, stream = fields(call("ListStreams", 2)), one.next_stream
        one.next_stream += 2
        text = (frame(HEADERS, 0, stream, head[:50]) + frame(CONTINUATION, 0, stream, head[50:99]) +
                frame(CONTINUATION, END_HEADERS, stream, head[99:]) +
                frame(DATA, 0, stream, b"{") + frame(DATA, 0, stream, b"") +
                frame(DATA, END_STREAM, stream, b"}"))
        for at in range(0, len(text), 7):
            one.send(text[at:at + 7])
        self.assertEqual(one.answer(stream)[0], 200)

    def test_more_streams_than_allowed_are_refused(self):
        one = self.connect(initial_window_size=0)  # so that no answer can end
        streams = [one.begin("ListStreams") for _ in range(140)]
        self.assertEqual(len(streams), 140)
        # The settings have been acked, so that this is an error of the connection.
        self.assertEqual(one.goaway(), PROTOCOL_ERROR)
        self.assert_served()
        one = self.connect(initial_window_size=0)
        streams = [one.begin("ListStreams") for _ in range(128)]
        one.send(settings(initial_window_size=65535))
        left = set(streams)
        while left:
            each = one.read()
            self.assertIsNotNone(each)
            if each.kind == DATA and each.flags & END_STREAM:
                left.discard(each.stream)


class FloodTest(Http2Test):
    """Many of what is cheap to send: the connection ends, and the server does not mind."""

    def flood(self, text, times, hello=True, start=b""):
        """Sends until the server ends the connection; how much it took, in times."""
        one = self.connect(hello)
        one.socket.settimeout(0.001)
        sent = 0
        try:
            one.socket.settimeout(harness.PATIENCE)
            one.send(start)
            for sent in range(times):
                one.send(text(sent) if callable(text) else text)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return one, sent

    def test_rapid_reset(self):
        def pair(number):
            stream = 2 * number + 1
            return (frame(HEADERS, END_HEADERS, stream, fields(call("ListStreams", 2))) +
                    frame(RST_STREAM, 0, stream, struct.pack(">I", 8)))
        one, sent = self.flood(pair, 50_000)
        self.assertLess(sent, 49_999, "it took fifty thousand of them")
        self.assert_served()

    def test_continuations_without_an_end(self):
        start = frame(HEADERS, 0, 1, fields(call("ListStreams", 2)))
        one, sent = self.flood(frame(CONTINUATION, 0, 1, fields([("a", "b" * 100)])), 20_000,
                               start=start)
        self.assertLess(sent, 19_999)
        one, sent = self.flood(frame(CONTINUATION, 0, 1, b""), 200_000, start=start)
        self.assertLess(sent, 199_999)
        self.assert_served()

    def test_settings_and_pings_whose_answers_nobody_reads(self):
        for text in (settings(initial_window_size=65535), frame(PING, payload=b"12345678")):
            before = self.resident()
            one, sent = self.flood(text * 100, 20_000)
            self.assertLess(sent, 19_999)
            self.assertLess(self.resident() - before, 32 * 2**20)
        self.assert_served()

    def test_a_table_of_fields_that_grows_no_further_than_it_may(self):
        before = self.resident()
        one = self.connect(header_table_size=2**32 - 1)
        one.send(settings(header_table_size=0))
        for _ in range(50):
            self.assertEqual(one.answer(one.begin("ListStreams"))[0], 200)
        self.assertLess(self.resident() - before, 16 * 2**20)

    def resident(self):
        return self.one.metric("process_resident_memory_bytes")

    def test_readers_that_take_nothing_hold_no_more_than_their_answers(self):
        one = self.connect()
        self.put(one, os.urandom(700_000))
        at = self.iterator(one)
        slow = self.connect(receive_buffer=4096, initial_window_size=0)
        for _ in range(20):
            slow.begin("GetRecords", json.dumps({"ShardIterator": at}).encode())
        self.assert_served(one)
        self.assertLess(self.one.metric("millrace_http_unsent_bytes"), 64 * 2**20)
        slow.close()
        self.wait_until(lambda: self.one.metric("millrace_http_unsent_bytes") == 0,
                        "what nobody will take is forgotten")

    def test_reading_pauses_while_too_much_is_not_taken(self):
        one = self.connect()
        for _ in range(14):
            self.put(one, os.urandom(700_000))
        at = json.dumps({"ShardIterator": self.iterator(one)})

        def read():
            link = http.client.HTTPConnection(self.one.http, timeout=harness.PATIENCE)
            self.addCleanup(link.close)
            link.request("POST", "/", at, {"X-Amz-Target": "Kinesis_20131202.GetRecords",
                                           "Content-Type": "application/x-amz-json-1.1"})
            answer = link.getresponse()
            return answer.status, answer.read()

        self.assertEqual(read()[0], 200)
        slow = self.connect(initial_window_size=0)
        unsent = 0
        while unsent < 256 * 2**20:
            before = unsent
            slow.begin("GetRecords", at.encode())
            self.wait_until(lambda: self.unsent() > before, "another answer waits")
            unsent = self.unsent()
        self.assertLess(unsent, 288 * 2**20)
        status, body = read()
        self.assertEqual(status, 503, body)
        # What is small goes on.
        self.assert_served(one)
        self.put(one, b"x")
        slow.close()
        self.wait_until(lambda: self.unsent() == 0, "it is given back")
        self.assertEqual(read()[0], 200)

    def unsent(self):
        return self.one.metric("millrace_http_unsent_bytes")


class UpgradeTest(Http2Test):
    """h2c by Upgrade, as RFC 7540 had it."""

    def upgrade(self, body=b"{}", settings_text="AAMAAABkAAQAAP__", action="ListStreams", **more):
        one = self.connect(False)
        head = {"Host": "127.0.0.1", "X-Amz-Target": f"Kinesis_20131202.{action}",
                "Content-Type": "application/x-amz-json-1.1", "Content-Length": len(body),
                "Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c",
                "HTTP2-Settings": settings_text, **more}
        one.send(b"POST / HTTP/1.1\r\n" + b"".join(
            f"{name}: {value}\r\n".encode() for name, value in head.items()) + b"\r\n" + body)
        text = b""
        while b"\r\n\r\n" not in text:
            text += one.socket.recv(65536)
        head, _, one.buffer = text.partition(b"\r\n\r\n")
        return one, head

    def test_the_request_is_answered_as_stream_1_and_more_follow(self):
        one, head = self.upgrade()
        self.assertTrue(head.startswith(b"HTTP/1.1 101 Switching Protocols"), head)
        self.assertIn(b"Upgrade: h2c", head)
        one.send(PREFACE + settings())
        status, body = one.answer(1)
        self.assertEqual((status, json.loads(body)["StreamNames"]), (200, ["s"]))
        one.next_stream = 3
        self.assert_served(one)

    def test_a_large_body_comes_with_it(self):
        body = json.dumps({"StreamName": "s", "PartitionKey": "k", "Data": base64.b64encode(
            b"z" * 900_000).decode()}).encode()
        one, head = self.upgrade(body, action="PutRecord")
        self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
        one.send(PREFACE + settings())
        self.assertEqual(one.answer(1)[0], 200)

    def test_settings_that_are_none_leave_it_http_1(self):
        for text in ("!", "AAM", "AAMAAABkAA"):
            _, head = self.upgrade(settings_text=text)
            self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)
        _, head = self.upgrade(Connection="keep-alive, Upgrade")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 "), head)


if __name__ == "__main__":
    harness.main()
