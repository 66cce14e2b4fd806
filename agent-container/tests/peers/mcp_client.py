"""The official Python client lists and calls everything that a container offers.

Arguments: URL MODE, where MODE is `legacy` (revision 2025-11-25, with a session) or `2026-07-28`. The bearer token is in
MCP_TOKEN. Prints one JSON object; an assertion that fails ends it with an error.
"""

import asyncio
import glob
import json
import os
import sys
import time

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.client.subscriptions import ResourceUpdated

STRATEGY = '''"""Buys and holds."""
import dexorder

class Hold(dexorder.Strategy):
    def on_candle(self, candle):
        if not self.position and not self.open_orders:
            self.target(1)
'''
INDICATOR = '''"""The middle of each candle."""
def indicator(candles):
    return (candles.high + candles.low) / 2
'''


class Peer:
    def __init__(self, client, mode):
        self.client, self.mode, self.called = client, mode, set()

    async def call(self, tool, arguments=None, refused=False, **options):
        self.called.add(tool)
        result = await self.client.call_tool(tool, arguments or {}, **options)
        text = result.content[0].text
        assert bool(result.is_error) == refused, f"{tool}: {text}"
        return json.loads(text), result.content[1:]


async def conversation(peer):
    command = {"role": "user", "content": "Put a stop-loss under the support at 58000", "command_id": f"m-{peer.mode}"}
    saved, _ = await peer.call("save_message", command)
    again, _ = await peer.call("save_message", command)
    assert again["id"] == saved["id"] and again["repeated"] and not saved["repeated"], (saved, again)
    await peer.call("save_message", {"role": "assistant", "content": "The weather is fine"})
    by_words, _ = await peer.call("search_conversation", {"query": "support 58000"})
    assert by_words["messages"][0]["id"] == saved["id"], by_words
    by_meaning, _ = await peer.call("search_conversation", {"query": "how do I protect against a falling price"})
    assert by_meaning["messages"][0]["id"] == saved["id"], by_meaning
    page, _ = await peer.call("export_conversation")
    assert len(page["messages"]) >= 2, page


async def files(peer):
    name = "hold_" + peer.mode.replace("-", "_")
    written, _ = await peer.call("write_strategy", {"name": name, "code": STRATEGY, "why": "begin", "command_id": f"s-{peer.mode}"})
    listed, _ = await peer.call("list_strategies")
    assert name in [file["name"] for file in listed["files"]], listed
    read, _ = await peer.call("read_strategy", {"name": name})
    assert read["code"] == STRATEGY and read["commit"] == written["commit"], read
    changed, _ = await peer.call("write_strategy", {"name": name, "code": STRATEGY + "# more\n", "expected_commit": written["commit"]})
    await peer.call("write_strategy", {"name": name, "code": STRATEGY, "expected_commit": written["commit"]}, refused=True)
    wrong, _ = await peer.call("write_strategy", {"name": name, "code": "def broken(:\n"}, refused=True)
    assert wrong["error"]["code"] == "SYNTAX" and "line 1" in wrong["error"]["message"], wrong
    for bad in ["../x", "a/b", "", "x" * 200, ".git", "a.py\0"]:
        refusal, _ = await peer.call("write_strategy", {"name": bad, "code": STRATEGY}, refused=True)
        assert refusal["error"]["field"] == "name", refusal
    history, _ = await peer.call("file_history", {"path": f"strategies/{name}.py"})
    assert [commit["id"] for commit in history["commits"]][:2] == [changed["commit"], written["commit"]], history
    diff, _ = await peer.call("file_diff", {"from": written["commit"], "to": changed["commit"]})
    assert "+# more" in diff["diff"], diff
    await peer.call("revert_commit", {"commit": changed["commit"], "why": "no"})
    read, _ = await peer.call("read_strategy", {"name": name})
    assert read["code"] == STRATEGY, read
    await peer.call("write_indicator", {"name": "middle", "code": INDICATOR})
    await peer.call("list_indicators")
    read, _ = await peer.call("read_indicator", {"name": "middle"})
    assert read["code"] == INDICATOR
    await peer.call("delete_file", {"path": "indicators/middle.py", "why": "done"})
    await peer.call("read_indicator", {"name": "middle"}, refused=True)


async def context(peer):
    await peer.call("set_watchlist", {"symbols": ["BINANCE:BTC/USDT", "KRAKEN:ETH/USD"]})
    got, _ = await peer.call("get_watchlist")
    assert got["symbols"] == ["BINANCE:BTC/USDT", "KRAKEN:ETH/USD"], got
    await peer.call("journal", {"entry": "Waited for the break."})
    journal, _ = await peer.call("journal")
    assert "Waited for the break." in journal["text"], journal
    await peer.call("notify_user", {"text": "Something happened", "command_id": f"n-{peer.mode}"})
    await peer.call("set_context", {"resource": "user-profile", "content": "no json"}, refused=True)
    await peer.call("set_context", {"resource": "user-profile", "content": '{"risk": "low"}'})


async def python(peer):
    done, pictures = await peer.call("run_python", {"code": "import numpy as np\nprint('hi')\nint(np.arange(5).sum())"})
    assert done["stdout"] == "hi\n" and done["result"] == 10, done
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])"
    _, pictures = await peer.call("run_python", {"code": code})
    assert len(pictures) == 1 and pictures[0].mime_type == "image/png", pictures
    error, _ = await peer.call("run_python", {"code": "1/0"}, refused=True)
    assert "ZeroDivisionError" in error["error"]["message"], error
    seen = []

    async def progress(done, total, message):
        seen.append(done)

    await peer.call("run_python", {"code": "import time\ntime.sleep(2.5)"}, progress_callback=progress)
    assert len(seen) >= 1 and seen == sorted(set(seen)), seen


def workers():
    """Child processes of the server."""
    lists = glob.glob(f"/proc/{os.environ['MCP_PID']}/task/*/children")
    return [pid for path in lists for pid in open(path).read().split()]


async def cancelling(peer):
    """A call that is given up ends its worker; the client's own way to say so differs between the revisions."""
    peer.called.add("run_python")
    call = asyncio.create_task(peer.client.call_tool("run_python", {"code": "while True: pass"}))
    while not workers():
        assert not call.done(), call
        await asyncio.sleep(0.01)
    begun = time.monotonic()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    while workers():
        await asyncio.sleep(0.01)
    # Nothing is asserted of the time: the machine may be busy. It is told.
    peer.freed = time.monotonic() - begun


async def backtests(peer):
    if not os.environ.get("MCP_MARKET"):
        refusal, _ = await peer.call("run_backtest", backtest("nope"), refused=True)
        assert refusal["error"]["field"] == "strategy", refusal
        await peer.call("compute_indicator", {"indicator": "nope", "market": market()}, refused=True)
    else:
        report, _ = await peer.call("run_backtest", backtest("hold_" + peer.mode.replace("-", "_")))
        assert len(report["hash"]) == 64 and report["statistics"], report
        again, _ = await peer.call("run_backtest", backtest("hold_" + peer.mode.replace("-", "_")))
        assert again["hash"] == report["hash"] and again["id"] != report["id"], (again, report)
        assert report["checks"]["look_ahead"]["verdict"] == "clean", report["checks"]
        assert report["data"]["rows"] > 300, report["data"]
        read, _ = await peer.call("read_backtest", {"id": report["id"], "part": "html"})
        assert read["html"].lower().startswith("<!doctype html>"), read["html"][:80]
        await peer.call("write_indicator", {"name": "middle", "code": INDICATOR})
        series, _ = await peer.call("compute_indicator", {"indicator": "middle", "market": market(), "rows": 5})
        assert len(series["open_time_ns"]) == 5, series
    await peer.call("list_backtests")
    await peer.call("read_backtest", {"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, refused=True)


def backtest(strategy):
    return {"strategy": strategy, "market": market()}


def market():
    given = json.loads(os.environ.get("MCP_MARKET") or "{}")
    times = {"from": "2024-01-01T00:00:00Z", "to": "2024-01-02T00:00:00Z"}
    return {"venue": "SIM", "symbol": "BTC/USDT", "interval": "1m", **times, **given}


async def resources(peer):
    listed = await peer.client.list_resources()
    uris = sorted(str(resource.uri) for resource in listed.resources)
    assert uris == sorted(f"context://{name}" for name in ["user-profile", "conversation-summary", "workspace-state", "system-prompt"]), uris
    for uri in uris:
        read = await peer.client.read_resource(uri)
        assert read.contents[0].text is not None
    profile = await peer.client.read_resource("context://user-profile", cache_mode="refresh") if peer.mode != "legacy" else \
        await peer.client.read_resource("context://user-profile")
    assert json.loads(profile.contents[0].text)["risk"] == "low", profile


async def updates(peer, told):
    uri = "context://user-profile"
    change = {"resource": "user-profile", "content": '{"risk": "high"}'}
    if peer.mode == "legacy":
        await peer.client.subscribe_resource(uri)
        await peer.call("set_context", change)
        await asyncio.wait_for(told.wait(), 10)
        await peer.client.unsubscribe_resource(uri)
    else:
        async with peer.client.listen(resource_subscriptions=[uri]) as events:
            await peer.call("set_context", change)
            event = await asyncio.wait_for(anext(aiter(events)), 10)
            assert isinstance(event, ResourceUpdated) and str(event.uri) == uri, event


async def main(url, mode):
    told = asyncio.Event()

    async def heard(message):
        if "ResourceUpdated" in type(message).__name__ or getattr(message, "method", "") == "notifications/resources/updated":
            told.set()

    headers = {"Authorization": "Bearer " + os.environ["MCP_TOKEN"]}
    async with httpx2.AsyncClient(headers=headers, timeout=120) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, message_handler=heard) as client:
            peer = Peer(client, mode)
            tools = {tool.name for tool in (await client.list_tools()).tools}
            for part in [conversation, files, context, python, cancelling, backtests, resources]:
                await part(peer)
            await updates(peer, told)
            await peer.call("erase_conversation", {"confirm": "yes"}, refused=True)
            erased, _ = await peer.call("erase_conversation", {"confirm": "erase"})
            assert erased["left"] == 0, erased
            assert peer.called == tools, f"not called: {tools - peer.called}, unknown: {peer.called - tools}"
    print(json.dumps({"mode": mode, "tools": len(tools), "cancelled_after_s": round(peer.freed, 3), "calls": sorted(peer.called)}))


asyncio.run(main(*sys.argv[1:]))
