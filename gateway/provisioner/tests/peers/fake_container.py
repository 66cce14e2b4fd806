#!/usr/bin/env python3
"""A container that can misbehave: started as `fake_container.py agent --config F --secrets F`, like the real one.

How it behaves stands in FAKE (a word), or in the file `behaviour` of its data directory, which wins. It writes a line to `starts` in its data
directory for each start. GET /sleep makes it fall asleep as the real one does: marker, code 42. GET /crash ends it with code 3.
"""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time


def option(name):
    return sys.argv[sys.argv.index(name) + 1]


CONFIG = json.load(open(option("--config")))["agent"]
SECRETS = json.load(open(option("--secrets")))
DATA = CONFIG["data_dir"]
LIFECYCLE = CONFIG["lifecycle"]


def behaviour():
    try:
        return open(os.path.join(DATA, "behaviour")).read().strip()
    except FileNotFoundError:
        return os.environ.get("FAKE", "good")


def say(line):
    print(line, flush=True)


def mark():
    text = json.dumps({"uid": LIFECYCLE["instance"], "nonce": "n", "reason": "idle", "time": 1})
    with open(os.path.join(LIFECYCLE["dir"], "shutdown.json"), "w") as file:
        file.write(text)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/sleep":
            mark()
            os._exit(42)
        if self.path == "/crash":
            os._exit(3)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        pass


def main():
    how = behaviour()
    with open(os.path.join(DATA, "starts"), "a") as file:
        told = {"pid": os.getpid(), "how": how, "tier": CONFIG["tier"], "env": sorted(os.environ), "key": len(SECRETS["event_key"])}
        file.write(json.dumps(told) + "\n")
    print("begins", file=sys.stderr, flush=True)
    if how == "crash":
        print("Traceback: the disk is on fire", file=sys.stderr, flush=True)
        sys.exit(1)
    if how == "asleep-without-marker":
        sys.exit(42)
    if how == "never-ready":
        time.sleep(1000)
    if how == "crash-twice":
        if len(open(os.path.join(DATA, "starts")).readlines()) <= 2:
            sys.exit(1)
    if how == "ignores-term":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if how == "forks":
        child = subprocess.Popen(["sleep", "1000"])
        open(os.path.join(DATA, "forked"), "w").write(str(child.pid))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if how == "slow":
        time.sleep(0.5)
    say("x" * 10000)
    say("nonsense")
    say("mcp: http://127.0.0.1:%d/mcp" % server.server_address[1])
    say("admin: http://127.0.0.1:1")
    say("events: tcp://127.0.0.1:2")
    say("ready:")
    threading.Thread(target=server.serve_forever).start()


main()
