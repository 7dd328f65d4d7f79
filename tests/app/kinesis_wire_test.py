#!/usr/bin/env python3
"""What the Kinesis port says to requests that no SDK makes, to web pages, and in /metrics."""
import base64
import http.client
import json
import socket

import harness
from kinesis_case import KinesisTest


class WireTest(KinesisTest):
    def post(self, body, action="ListStreams", **headers):
        host, port = self.one.http.split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=harness.PATIENCE)
        self.addCleanup(connection.close)
        connection.request("POST", "/", body, {
            "X-Amz-Target": f"Kinesis_20131202.{action}",
            "Content-Type": "application/x-amz-json-1.1",
            **{k.replace("_", "-"): v for k, v in headers.items()}})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers

    def test_errors_have_the_form_that_clients_expect(self):
        status, body, headers = self.post(b"{nothing")
        self.assertEqual(status, 400)
        self.assertEqual(json.loads(body)["__type"], "SerializationException")
        self.assertRegex(headers["x-amzn-RequestId"], r"^[0-9a-f-]{36}$")
        status, body, _ = self.post(b"{}", "NoSuchThing")
        self.assertEqual((status, json.loads(body)["__type"]), (400, "UnknownOperationException"))
        status, body, _ = self.post(b'{"Limit":"x"}')
        self.assertEqual((status, json.loads(body)["__type"]), (400, "SerializationException"))
        self.assertIn("can not be converted to an Integer", body)
        status, body, _ = self.post(b'{"Limit":0}')
        self.assertEqual(json.loads(body), {
            "__type": "ValidationException",
            "message": "1 validation error detected: Value '0' at 'limit' failed to satisfy "
                       "constraint: Member must have value greater than or equal to 1"})
        status, body, _ = self.post(b"{}", Content_Type="text/html")
        self.assertEqual(status, 404)

    def test_a_web_page_can_do_nothing(self):
        status, body, headers = self.post(b"{}", Host="evil.example")
        self.assertEqual(status, 403)
        status, body, headers = self.post(b"{}", Origin="http://evil.example")
        self.assertNotIn("Access-Control-Allow-Origin", headers)

    def test_malformed_and_oversized_requests_are_refused(self):
        def talk(text):
            host, port = self.one.http.split(":")
            with socket.create_connection((host, int(port)), timeout=harness.PATIENCE) as link:
                link.sendall(text)
                link.shutdown(socket.SHUT_WR)
                got = b""
                while piece := link.recv(65536):
                    got += piece
                return got.split(b"\r\n")[0]
        self.assertIn(b" 400 ", talk(b"nonsense\r\n\r\n"))
        self.assertIn(b" 431 ", talk(b"POST / HTTP/1.1\r\nX: " + b"a" * 20000))
        self.assertIn(b" 413 ", talk(b"POST / HTTP/1.1\r\nHost: localhost\r\n"
                                     b"Content-Length: 99999999\r\n\r\n"))
        self.assertIn(b" 411 ", talk(b"POST / HTTP/1.1\r\nHost: localhost\r\n"
                                     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
        self.assertEqual(self.client.list_streams()["StreamNames"], [])

    def test_records_in_odd_json_come_through_whole(self):
        self.create("odd", 1)
        data = base64.b64encode(bytes(range(256)) * 3).decode()
        escaped = data.replace("/", "\\/")
        body = ('{ "StreamName" : "odd" , "Records" : [ {"PartitionKey":"\\u006b\\n","Data":"%s"},'
                '{"Data":"","PartitionKey":"\\ud83d\\ude00", "Other":{"x":[1,2]}} ,'
                '{"Data":"%s", "ExplicitHashKey":null, "PartitionKey":"k"}]}' % (escaped, data))
        status, answer, _ = self.post(body, "PutRecords")
        self.assertEqual(status, 200, answer)
        records, _ = self.read_shard("odd", harness.shard_name(0))
        self.assertEqual([(r["PartitionKey"], r["Data"]) for r in records],
                         [("k\n", bytes(range(256)) * 3), ("\U0001f600", b""),
                          ("k", bytes(range(256)) * 3)])
        status, answer, _ = self.post('{"StreamName":"odd","Data":"a","PartitionKey":"k"}',
                                      "PutRecord")
        self.assertEqual(json.loads(answer)["__type"], "SerializationException")


class PageTest(KinesisTest):
    """What a browser sends for a page."""
    ORIGIN = "https://app.example.com"

    def arguments(self):
        return ["--udp", "off", "--cors-origin", "http://localhost:3000", "--cors-origin", self.ORIGIN]

    def ask(self, method, origin, action="ListStreams", **headers):
        one = http.client.HTTPConnection(self.one.http, timeout=harness.PATIENCE)
        self.addCleanup(one.close)
        sent = {"Origin": origin, "Host": self.one.http} if origin else {}
        if method == "POST":
            sent.update({"X-Amz-Target": f"Kinesis_20131202.{action}",
                         "Content-Type": "application/x-amz-json-1.1"})
        one.request(method, "/", "{}" if method == "POST" else None, {**sent, **headers})
        answer = one.getresponse()
        answer.read()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()
                               if k.lower().startswith("access-control-") or k.lower() == "vary"}

    def test_a_configured_origin_may_ask_and_read(self):
        for origin in (self.ORIGIN, "http://localhost:3000"):
            status, headers = self.ask("OPTIONS", origin, **{
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,x-amz-target"})
            self.assertEqual(status, 200)
            self.assertEqual(headers["access-control-allow-origin"], origin)
            self.assertEqual(headers["access-control-allow-methods"], "POST")
            for name in ("authorization", "content-type", "x-amz-target", "x-amz-date"):
                self.assertIn(name, headers["access-control-allow-headers"])
            for action, wanted in (("ListStreams", 200), ("DescribeStream", 400)):
                status, headers = self.ask("POST", origin, action)
                self.assertEqual(status, wanted)
                self.assertEqual((headers["access-control-allow-origin"], headers["vary"]),
                                 (origin, "Origin"))

    def test_no_other_origin_is_told_anything(self):
        for origin in ("https://evil.example.com", "http://app.example.com", self.ORIGIN + ":444",
                       self.ORIGIN + ".evil.example", "null", "*", None):
            self.assertEqual(self.ask("OPTIONS", origin), (403, {}), origin)
            self.assertEqual(self.ask("POST", origin), (200, {}), origin)

    def test_the_host_is_still_looked_at(self):
        self.assertEqual(self.ask("OPTIONS", self.ORIGIN, Host="evil.example.com")[0], 403)
        self.assertEqual(self.ask("POST", self.ORIGIN, Host="evil.example.com")[0], 403)

    def test_what_is_no_origin_is_refused_at_start(self):
        for origin in ("*", "app.example.com", "https://app.example.com/", "ftp://a"):
            done = harness.millrace("serve", "--data", self.directory + "/x", "--cors-origin", origin,
                                    check=False)
            self.assertEqual(done.returncode, 78)
            self.assertIn(f"cors_origin '{origin}' is not SCHEME://HOST[:PORT]", done.stderr.decode())


class MetricsTest(KinesisTest):
    def count(self, action, status):
        return self.one.metric(f'millrace_http_answers_total{{action="{action}",status="{status}"}}')

    def test_requests_are_counted_by_action_and_status(self):
        self.create("counted", 1)
        for _ in range(3):
            self.client.put_record(StreamName="counted", PartitionKey="k", Data=b"12345")
        self.refused("ResourceNotFoundException", self.client.put_record, StreamName="none",
                     PartitionKey="k", Data=b"x")
        self.assertEqual(self.count("PutRecord", 200), 3)
        self.assertEqual(self.count("PutRecord", 400), 1)
        self.assertEqual(self.count("CreateStream", 200), 1)
        self.assertIsNone(self.count("GetRecords", 200))
        self.assertGreaterEqual(self.one.metric("millrace_http_requests_total"), 6)
        self.assertGreater(self.one.metric("millrace_http_bytes_received_total"), 500)
        self.assertGreater(self.one.metric("millrace_http_bytes_sent_total"), 500)
        before = self.one.metric("millrace_http_connections")
        one = http.client.HTTPConnection(self.one.http, timeout=harness.PATIENCE)
        self.addCleanup(one.close)
        one.putrequest("POST", "/")
        one.putheader("Content-Length", str(17 * 2**20))
        one.endheaders()
        self.assertEqual(one.getresponse().status, 413)
        self.assertEqual(self.count("none", 413), 1)
        self.assertEqual(self.one.metric("millrace_http_bodies_refused_total"), 1)
        self.assertGreaterEqual(self.one.metric("millrace_http_connections"), before)


if __name__ == "__main__":
    harness.main()
