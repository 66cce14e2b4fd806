#!/usr/bin/env python3
"""Ask a DexOrder relay for market history: a client written from docs/protocol (01, 03, 04, 06) alone.

Needs only pyzmq. Protobuf is written by hand, to show that nothing else is needed; `protoc` with
proto/proto/dexorder.proto does the same. Prints one line for the acknowledgement and one for the notification; exits
with 0 if the rows are there, 1 if the request was refused or failed, 2 if nothing was heard in time.
"""

import argparse
import datetime
import os
import struct
import sys
import time

import zmq

# 01-frames: version, kind, flags, reserved, publisher_id, sequence, event_time_ns.
HEADER = struct.Struct("<BBHIQQQ")
VERSION, TRACE_FLAG, TRACE_BYTES = 1, 1, 25
HISTORY_REQUEST, REQUEST_ACK, HISTORY_READY = 1, 2, 8
ACK_STATUS = {1: "QUEUED", 2: "NO_INGESTOR", 3: "INVALID", 4: "OVER_QUOTA"}
HISTORY_STATUS = {1: "OK", 2: "PARTIAL", 3: "FAILED"}
ERRORS = {
    1: "MALFORMED", 2: "UNSUPPORTED_VERSION", 3: "UNEXPECTED_KIND", 4: "INVALID_FIELD", 5: "ROUTE_MISMATCH",
    6: "NO_INGESTOR", 7: "OVER_QUOTA", 8: "UNKNOWN_SYMBOL", 9: "VENUE_FAILED", 10: "NOT_AVAILABLE", 11: "INTERNAL",
}
CANDLES, TICKS = 1, 2


def ulid():
    """26 characters of Crockford's base 32: 48 bits of milliseconds, 80 random bits."""
    number = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> shift & 31] for shift in range(125, -1, -5))


# Protobuf: a message is a row of (field number << 3 | wire type) and value. 0 varint, 1 eight bytes, 2 length and bytes.


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def text(field, value):
    return varint(field << 3 | 2) + varint(len(value)) + value.encode()


def uint(field, value):
    return varint(field << 3) + varint(value) if value else b""


def fixed64(field, value):
    return varint(field << 3 | 1) + struct.pack("<Q", value) if value else b""


def read_varint(data, at):
    number, shift = 0, 0
    while True:
        byte = data[at]
        number, shift, at = number | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return number, at


def fields(data):
    """The fields of a message; unknown ones are the caller's to ignore."""
    found, at = {}, 0
    while at < len(data):
        key, at = read_varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = read_varint(data, at)
        elif kind == 1:
            value, at = struct.unpack_from("<Q", data, at)[0], at + 8
        elif kind == 2:
            length, at = read_varint(data, at)
            value, at = data[at:at + length], at + length
        elif kind == 5:
            value, at = struct.unpack_from("<I", data, at)[0], at + 4
        else:
            raise ValueError(f"wire type {kind}")
        found[key >> 3] = value
    return found


def zigzag(number):
    """A sint64 field."""
    return number >> 1 ^ -(number & 1)


def encode(kind, payload, sequence=1):
    """Frame 1: header and payload. This client sends one message on its topic, so the sequence is 1."""
    publisher_id = int.from_bytes(os.urandom(8), "little")
    return HEADER.pack(VERSION, kind, 0, 0, publisher_id, sequence, 0) + payload


def decode(frame, expected):
    """The payload's fields, or None for a frame that is to be ignored."""
    if len(frame) < HEADER.size:
        return None
    version, kind, flags, reserved, _publisher, _sequence, _time = HEADER.unpack_from(frame)
    if version != VERSION or kind != expected or flags & ~TRACE_FLAG or reserved:
        return None
    return fields(frame[HEADER.size + (TRACE_BYTES if flags & TRACE_FLAG else 0):])


def error(detail):
    """An ErrorDetail for people."""
    found = fields(detail)
    name, field = ERRORS.get(found.get(1, 0), "UNKNOWN"), found.get(2, b"").decode()
    return " ".join(filter(None, [name, f"{field}:" if field else "", found.get(3, b"").decode()]))


def history_request(request_id, arguments):
    kind = CANDLES if arguments.interval else TICKS
    return b"".join([
        text(1, request_id), text(2, arguments.client_id or ulid()), text(3, arguments.venue), text(4, arguments.symbol),
        uint(5, kind), uint(6, arguments.interval), fixed64(7, arguments.start), fixed64(8, arguments.end),
    ])


def receive(socket, deadline):
    """The next message before the deadline, or None."""
    if socket.poll(max(0, deadline - time.monotonic()) * 1000):
        return socket.recv_multipart()
    return None


def subscribe(context, endpoint, topic, deadline):
    """A SUB that has the subscription on its way before anything is asked (06-history, step 1)."""
    socket = context.socket(zmq.SUB)
    socket.linger = 0
    socket.subscribe(topic)
    monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    socket.connect(endpoint)
    if not monitor.poll(max(0, deadline - time.monotonic()) * 1000):
        sys.exit("the relay does not answer on the subscribers' port")
    socket.disable_monitor()
    return socket


def ask(context, arguments, request_id, deadline):
    """Sends the request and returns the fields of its acknowledgement."""
    socket = context.socket(zmq.REQ if arguments.socket == "REQ" else zmq.DEALER)
    socket.linger = 0
    socket.connect(arguments.requests)
    # REQ adds the empty delimiter by itself; a DEALER may leave it out, and is then answered without it.
    socket.send_multipart([f"{arguments.venue}:".encode(), encode(HISTORY_REQUEST, history_request(request_id, arguments))])
    while message := receive(socket, deadline):
        ack = decode(message[-1], REQUEST_ACK) if len(message) == 2 else None
        if ack is not None and ack.get(1, b"").decode() in ("", request_id):
            return ack
    return None


def run(arguments):
    context, deadline = zmq.Context(), time.monotonic() + arguments.timeout
    request_id = ulid()
    topic = f"HISTORY_READY:{request_id}".encode()
    notifications = subscribe(context, arguments.subscribers, topic, deadline)
    ack = ask(context, arguments, request_id, deadline)
    if ack is None:
        print("no acknowledgement", flush=True)
        return 2
    status = ACK_STATUS.get(ack.get(2, 0), "UNKNOWN")
    if status != "QUEUED":
        wait = f" retry_after_ms={ack[5]}" if 5 in ack else ""
        print(f"ack {status} {error(ack.get(4, b''))}{wait}", flush=True)
        return 1
    print(f"ack {status} {ack[3].decode()}", flush=True)
    while message := receive(notifications, deadline):
        ready = decode(message[-1], HISTORY_READY) if len(message) == 2 and message[0] == topic else None
        if ready is not None:
            status = HISTORY_STATUS.get(ready.get(2, 0), "UNKNOWN")
            detail = f" {error(ready[7])}" if 7 in ready else ""
            print(f"ready {status} rows={ready.get(3, 0)} snapshot={zigzag(ready.get(6, 0))}{detail}", flush=True)
            return 0 if status in ("OK", "PARTIAL") else 1
    print("no notification", flush=True)
    return 2


def nanoseconds(value):
    moment = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError("a time needs its offset, such as 2024-08-08T00:00:00Z")
    delta = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (delta.days * 86400 + delta.seconds) * 10**9 + delta.microseconds * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", default="tcp://127.0.0.1:5559", help="the relay's ROUTER")
    parser.add_argument("--subscribers", default="tcp://127.0.0.1:5558", help="the relay's XPUB")
    parser.add_argument("--socket", choices=["REQ", "DEALER"], default="REQ")
    parser.add_argument("--venue", required=True)
    parser.add_argument("--symbol", required=True, help="BASE/QUOTE")
    parser.add_argument("--interval", type=int, default=0, help="seconds of a candle; without it ticks are asked for")
    parser.add_argument("--from", dest="start", type=nanoseconds, required=True, help="RFC 3339, inclusive")
    parser.add_argument("--to", dest="end", type=nanoseconds, required=True, help="RFC 3339, exclusive")
    parser.add_argument("--client-id", help="a ULID; made up if not given")
    parser.add_argument("--timeout", type=float, default=60, help="seconds")
    sys.exit(run(parser.parse_args()))


main()
