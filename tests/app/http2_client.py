"""HTTP/2 frame by frame (RFC 9113), for tests that need to do what no real client does. Fields are
sent as literals without Huffman codes; of those that come only the status is read."""
import collections
import socket
import struct

import harness

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, \
    MAX_HEADER_LIST_SIZE = range(1, 7)
NO_ERROR, PROTOCOL_ERROR, _, FLOW_CONTROL_ERROR = range(4)
ENHANCE_YOUR_CALM = 11
# The static table's statuses, as indexed fields.
STATUSES = {0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500}

Frame = collections.namedtuple("Frame", "kind flags stream payload")


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def settings(**values):
    return frame(SETTINGS, payload=b"".join(
        struct.pack(">HI", globals()[name.upper()], value) for name, value in values.items()))


def literal(text):
    """A string of HPACK, without Huffman codes: its length with a prefix of seven bits first."""
    text = text.encode() if isinstance(text, str) else text
    length, out = len(text), b""
    if length < 127:
        return bytes([length]) + text
    length -= 127
    out = b"\x7f"
    while length >= 128:
        out += bytes([length % 128 + 128])
        length //= 128
    return out + bytes([length]) + text


def fields(pairs):
    return b"".join(b"\x00" + literal(name) + literal(value) for name, value in pairs)


def call(action, body_bytes=None, **more):
    """The header fields of a call of the Kinesis API."""
    out = [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "127.0.0.1"),
           ("x-amz-target", f"Kinesis_20131202.{action}"),
           ("content-type", "application/x-amz-json-1.1")]
    if body_bytes is not None:
        out.append(("content-length", str(body_bytes)))
    return out + [(name.replace("_", "-"), value) for name, value in more.items()]


class Connection:
    def __init__(self, address, hello=True, receive_buffer=None, **wanted):
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(harness.PATIENCE)
        self.socket.connect((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.next_stream = 1
        self.server_settings = {}
        if hello:
            self.send(PREFACE + settings(**wanted))
            self.read_until(SETTINGS)  # what they allow is allowed from then on

    def close(self):
        self.socket.close()

    def send(self, text):
        self.socket.sendall(text)

    def read(self):
        """The next frame; None at the end of the connection. Settings are noted and acked."""
        while True:
            if len(self.buffer) >= 9:
                length = int.from_bytes(self.buffer[:3], "big")
                if len(self.buffer) >= 9 + length:
                    kind, flags, stream = self.buffer[3], self.buffer[4], struct.unpack(
                        ">I", self.buffer[5:9])[0]
                    one = Frame(kind, flags, stream, self.buffer[9:9 + length])
                    self.buffer = self.buffer[9 + length:]
                    if kind == SETTINGS and not flags & ACK:
                        for at in range(0, length, 6):
                            name, value = struct.unpack(">HI", one.payload[at:at + 6])
                            self.server_settings[name] = value
                        try:
                            self.send(frame(SETTINGS, ACK))
                        except OSError:
                            pass  # a server that hangs up is read to its end
                    return one
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not more:
                return None
            self.buffer += more

    def read_until(self, kind, stream=None):
        """The next frame of that kind (and stream); None when the connection ends before."""
        while one := self.read():
            if one.kind == kind and stream in (None, one.stream):
                return one
        return None

    def begin(self, action, body=b"{}", end=True, **more):
        """Sends a call; its stream."""
        stream = self.next_stream
        self.next_stream += 2
        head = fields(call(action, len(body), **more))
        self.send(frame(HEADERS, END_HEADERS, stream, head) +
                  frame(DATA, END_STREAM if end else 0, stream, body))
        return stream

    def answer(self, stream):
        """(status, body) of a stream's answer; (None, error code) when it is reset. Opens no window."""
        status, body = None, b""
        while one := self.read():
            if one.stream != stream:
                continue
            if one.kind == HEADERS:
                status = next((STATUSES[b] for b in one.payload[:4] if b in STATUSES), 0)
            elif one.kind == DATA:
                body += one.payload
            elif one.kind == RST_STREAM:
                return None, int.from_bytes(one.payload, "big")
            if one.flags & END_STREAM and one.kind in (HEADERS, DATA):
                return status, body
        return None, None

    def goaway(self):
        """The error code of the server's GOAWAY; None when it hangs up without one."""
        one = self.read_until(GOAWAY)
        return None if one is None else int.from_bytes(one.payload[4:8], "big")

    def open_window(self, stream, by):
        self.send(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", by)))
