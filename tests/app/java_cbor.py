"""CBOR as the Java SDK writes and reads it."""
import struct


def cbor(value):
    """As the Java SDK writes it: indefinite maps and lists."""
    def head(major, number):
        for extra, width in ((24, "B"), (25, ">H"), (26, ">I")):
            if number < 24:
                return bytes([major << 5 | number])
            if number < 256 ** struct.calcsize(width):
                return bytes([major << 5 | extra]) + struct.pack(width, number)
        return bytes([major << 5 | 27]) + struct.pack(">Q", number)
    if isinstance(value, dict):
        return b"\xbf" + b"".join(cbor(k) + cbor(v) for k, v in value.items()) + b"\xff"
    if isinstance(value, list):
        return b"\x9f" + b"".join(map(cbor, value)) + b"\xff"
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, float):  # a time
        return b"\xc1\x1b" + struct.pack(">Q", round(value * 1000))
    return head(0, value)


def read_cbor(text, at=0):
    """Value and position behind it; times as ("time", milliseconds)."""
    major, info = text[at] >> 5, text[at] & 31
    at += 1
    if major == 7:
        return {20: False, 21: True, 22: None, 31: "break"}[info], at
    number = info
    if 24 <= info < 28:
        width = 1 << (info - 24)
        number = int.from_bytes(text[at:at + width], "big")
        at += width
    if major in (2, 3):
        piece = text[at:at + number]
        return (piece if major == 2 else piece.decode()), at + number
    if major == 6:
        value, at = read_cbor(text, at)
        return ("time", value), at
    if major in (4, 5):
        items = []
        while True:
            value, at = read_cbor(text, at)
            if value == "break":
                break
            items.append(value)
        return (items if major == 4 else dict(zip(items[::2], items[1::2]))), at
    return (number if major == 0 else -1 - number), at
