#!/usr/bin/env python3
"""A container for critical user events on libzmq, written from docs/protocol (01, 07) alone: seals events, sends each twice
(the second time as a possible duplicate), verifies the sealed acks, and ends when all are acked."""

import hashlib
import hmac
import struct
import sys

import zmq

HEADER = struct.Struct("<BBHIQQQ")
SEAL_HEAD = struct.Struct("<BBHI")
EVENT_DOMAIN, ACK_DOMAIN = b"dexorder.v1.user-event\0", b"dexorder.v1.event-ack\0\0"
USER_EVENT, EVENT_ACK = 9, 10
POSSIBLE_DUPLICATE = 2
ALERT, CRITICAL = 2, 2
ACCEPTED, DUPLICATE = 1, 2
KEY_ID = 7
OUTBOX = b"01J9ZQ6V8KXW3R4T5Y6Z7A8B9C"


def mac(key, domain, head, route, body):
    length = lambda frame: struct.pack("<Q", len(frame))
    return hmac.new(key, domain + head + length(route) + route + length(body) + body, hashlib.sha256).digest()


def event(user, sequence):
    text = lambda field, value: bytes([field << 3 | 2, len(value)]) + value
    fixed = lambda field, value: bytes([field << 3 | 1]) + struct.pack("<Q", value)
    number = lambda field, value: bytes([field << 3, value])
    event_id = b"01J9ZQ6V8KXW3R4T5Y6Z7A" + b"%04d" % sequence
    payload = b'{"number":%d}' % sequence
    message = text(1, event_id) + text(2, user) + text(3, OUTBOX) + fixed(4, sequence)
    return message + number(5, ALERT) + number(6, CRITICAL) + fixed(7, 1700000000) + text(9, payload)


def fields(data):
    """Fields of an ack by number: varints below 128, fixed64 as int, the rest as bytes."""
    at, found = 0, {}
    while at < len(data):
        field, form, at = data[at] >> 3, data[at] & 7, at + 1
        if form == 0:
            found[field], at = data[at], at + 1
        elif form == 1:
            found[field], at = struct.unpack_from("<Q", data, at)[0], at + 8
        else:
            found[field], at = data[at + 1 : at + 1 + data[at]], at + 1 + data[at]
    return found


def main():
    port, user, key, count = sys.argv[1], sys.argv[2].encode(), bytes.fromhex(sys.argv[3]), int(sys.argv[4])
    socket = zmq.Context().socket(zmq.DEALER)
    socket.connect("tcp://127.0.0.1:" + port)
    route, head = b"USER_EVENT:" + user + b"|alert", SEAL_HEAD.pack(1, 1, 0, KEY_ID)
    outcomes = {ACCEPTED: 0, DUPLICATE: 0}
    for flags, outcome in ((0, ACCEPTED), (POSSIBLE_DUPLICATE, DUPLICATE)):
        for sequence in range(1, count + 1):
            body = HEADER.pack(1, USER_EVENT, flags, 0, 1, sequence, 1700000000) + event(user, sequence)
            socket.send_multipart([route, body, head + mac(key, EVENT_DOMAIN, head, route, body)])
        answered = 0
        while answered < count:
            address, reply, seal = socket.recv_multipart()
            assert hmac.compare_digest(mac(key, ACK_DOMAIN, seal[:8], address, reply), seal[8:]), "seal"
            assert address == b"EVENT_ACK:" + user, address
            version, kind, _, zero, _, _, _ = HEADER.unpack_from(reply)
            assert (version, kind, zero) == (1, EVENT_ACK, 0), reply
            ack = fields(reply[HEADER.size :])
            assert (ack[1], ack[2], ack[4]) == (user, OUTBOX, outcome), ack
            assert ack[5] > ack[3], ack
            # Acks are cumulative: one may answer several messages.
            answered = ack[3]
    socket.close(linger=0)
    print("acked", count)


main()
