"""A libzmq peer that a test drives by lines on stdin and watches by lines on stdout.

zmq_peer.py TYPE ENDPOINT [OPTION=VALUE ...]      frames are written in hex, `-` is the empty frame

    in:  subscribe HEX | unsubscribe HEX | send HEX... | flood COUNT BYTES HEX | close
    out: up | down | message HEX... | flooded | received COUNT   (the last every N messages and instead of them, with COUNT_BY=N)
"""

import os
import struct
import sys

import zmq


def frame(text):
    return b"" if text == "-" else bytes.fromhex(text)


def say(*words):
    print(*words, flush=True)


def make(context, kind, endpoint, options):
    socket = context.socket(getattr(zmq, kind))
    socket.linger = 1000
    for name, value in options.items():
        if name == "IDENTITY":
            socket.setsockopt(zmq.IDENTITY, value.encode())
        else:
            socket.setsockopt(getattr(zmq, name), int(value))
    monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
    socket.connect(endpoint)
    return socket, monitor


def watch(monitor):
    event = struct.unpack("<H", monitor.recv_multipart()[0][:2])[0]
    if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
        say("up")
    elif event == zmq.EVENT_DISCONNECTED:
        say("down")


def obey(socket, words):
    command, arguments = words[0], words[1:]
    if command == "subscribe":
        socket.setsockopt(zmq.SUBSCRIBE, frame(arguments[0]))
    elif command == "unsubscribe":
        socket.setsockopt(zmq.UNSUBSCRIBE, frame(arguments[0]))
    elif command == "send":
        socket.send_multipart([frame(text) for text in arguments])
    elif command == "flood":
        topic, body = frame(arguments[2]), bytearray(int(arguments[1]))
        for number in range(int(arguments[0])):
            body[:8] = struct.pack("<Q", number)
            socket.send_multipart([topic, body])
        say("flooded")


def main():
    kind, endpoint = sys.argv[1:3]
    options = dict(pair.split("=", 1) for pair in sys.argv[3:])
    count_by = int(options.pop("COUNT_BY", 0))
    context = zmq.Context()
    socket, monitor = make(context, kind, endpoint, options)
    poller = zmq.Poller()
    poller.register(monitor, zmq.POLLIN)
    poller.register(sys.stdin, zmq.POLLIN)
    if kind != "PUB":
        poller.register(socket, zmq.POLLIN)
    received, lines = 0, b""
    while True:
        ready = dict(poller.poll())
        if monitor in ready:
            watch(monitor)
        if socket in ready:
            message = socket.recv_multipart()
            received += 1
            if not count_by:
                say("message", *[part.hex() or "-" for part in message])
            elif received % count_by == 0:
                say("received", received)
        if sys.stdin.fileno() in ready:
            # Not readline: what it reads ahead would not wake the poller again.
            piece = os.read(sys.stdin.fileno(), 65536)
            *commands, lines = (lines + piece).split(b"\n")
            if not piece or b"close" in commands:
                break
            for command in commands:
                obey(socket, command.decode().split())
    socket.disable_monitor()
    monitor.close()
    socket.close()
    context.term()


main()
