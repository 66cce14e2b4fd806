#!/usr/bin/env python3
"""A gateway for critical user events on libzmq, written from docs/protocol (01, 07) alone: verifies seals, insists on
order, drops every seventh event once to ask for it again, and answers with sealed acks. Ends after the given number."""

import hashlib
import hmac
import struct
import sys

import zmq

HEADER = struct.Struct("<BBHIQQQ")
SEAL_HEAD = struct.Struct("<BBHI")
EVENT_DOMAIN, ACK_DOMAIN = b"dexorder.v1.user-event\0", b"dexorder.v1.event-ack\0\0"
USER_EVENT, EVENT_ACK = 9, 10
TRACE_FLAG, TRACE_BYTES = 1, 25
ACCEPTED, DUPLICATE, RESEND_FROM = 1, 2, 4


def mac(key, domain, head, route, body):
    length = lambda frame: struct.pack("<Q", len(frame))
    return hmac.new(key, domain + head + length(route) + route + length(body) + body, hashlib.sha256).digest()


def varint(data, at):
    number, shift = 0, 0
    while True:
        number |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return number, at


def fields(data):
    """The fields of a protobuf message by number: varints and fixed64 as int, the rest as bytes."""
    at, found = 0, {}
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        elif tag & 7 == 1:
            value, at = struct.unpack_from("<Q", data, at)[0], at + 8
        else:
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        found[tag >> 3] = value
    return found


def ack(user, outbox, sequence, outcome, following):
    text = lambda field, value: bytes([field << 3 | 2, len(value)]) + value
    fixed = lambda field, value: bytes([field << 3 | 1]) + struct.pack("<Q", value)
    return text(1, user) + text(2, outbox) + fixed(3, sequence) + bytes([4 << 3, outcome]) + fixed(5, following)


def main():
    user, key, wanted = sys.argv[1].encode(), bytes.fromhex(sys.argv[2]), int(sys.argv[3])
    socket = zmq.Context().socket(zmq.ROUTER)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    print("port", port, flush=True)
    following, dropped, answers = 1, set(), 0
    while following <= wanted:
        peer, route, body, seal = socket.recv_multipart()
        version, algorithm, reserved, key_id = SEAL_HEAD.unpack_from(seal)
        assert (version, algorithm, reserved) == (1, 1, 0), seal
        assert hmac.compare_digest(mac(key, EVENT_DOMAIN, seal[:8], route, body), seal[8:]), "seal"
        assert route.startswith(b"USER_EVENT:" + user + b"|"), route
        version, kind, flags, zero, publisher, sequence, time = HEADER.unpack_from(body)
        assert (version, kind, zero) == (1, USER_EVENT, 0), body
        event = fields(body[HEADER.size + (TRACE_BYTES if flags & TRACE_FLAG else 0) :])
        assert event[2] == user and event[4] == sequence, event
        if sequence % 7 == 0 and sequence not in dropped:
            dropped.add(sequence)
            continue
        outcome = ACCEPTED if sequence == following else DUPLICATE if sequence < following else RESEND_FROM
        if outcome == ACCEPTED:
            print(sequence, event[9].decode(), flush=True)
            following += 1
        answers += 1
        reply = HEADER.pack(1, EVENT_ACK, 0, 0, 1, answers, 0) + ack(user, event[3], sequence, outcome, following)
        address, head = b"EVENT_ACK:" + user, SEAL_HEAD.pack(1, 1, 0, key_id)
        socket.send_multipart([peer, address, reply, head + mac(key, ACK_DOMAIN, head, address, reply)])
    socket.close(linger=2000)


main()
