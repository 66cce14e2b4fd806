"""The official Python client over two gateways by turns, its container asleep at the start.

Arguments: URL1 URL2 MODE, where MODE is `legacy` (revision 2025-11-25, with a session) or `2026-07-28`. The key is in MCP_TOKEN. Prints one JSON
object; an assertion that fails ends it with an error.
"""

import asyncio
import itertools
import json
import os
import sys
import time

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


class Alternating(httpx2.AsyncBaseTransport):
    """Sends each request to the other gateway than the one before."""

    def __init__(self, one, two):
        self.hosts = itertools.cycle([httpx2.URL(one), httpx2.URL(two)])
        self.inner = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request):
        host = next(self.hosts)
        request.url = request.url.copy_with(host=host.host, port=host.port)
        request.headers["host"] = f"{host.host}:{host.port}"
        return await self.inner.handle_async_request(request)

    async def aclose(self):
        await self.inner.aclose()


async def call(client, tool, arguments=None, **options):
    result = await client.call_tool(tool, arguments or {}, **options)
    return bool(result.is_error), json.loads(result.content[0].text)


async def main(one, two, mode):
    headers = {"Authorization": "Bearer " + os.environ["MCP_TOKEN"]}
    begun = time.monotonic()
    async with httpx2.AsyncClient(transport=Alternating(one, two), headers=headers, timeout=120) as http:
        async with Client(streamable_http_client(one, http_client=http), mode=mode) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            awake = time.monotonic() - begun
            assert {"run_backtest", "write_strategy", "save_message"} <= tools, tools
            for number in range(10):
                command = {"role": "user", "content": f"message {number}", "command_id": f"{mode}-{number}"}
                refused, saved = await call(client, "save_message", command)
                assert not refused and not saved["repeated"], saved
            refused, page = await call(client, "export_conversation")
            assert len(page["messages"]) >= 10, page
            refused, refusal = await call(client, "read_strategy", {"name": "../x"})
            assert refused and refusal["error"]["field"] == "name", refusal
            uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
            assert len(uris) == 4, uris
            for uri in uris:
                await client.read_resource(uri)
            seen = []

            async def progress(done, total, message):
                seen.append(done)

            refused, done = await call(client, "run_python", {"code": "import time\ntime.sleep(2.5)\n7"}, progress_callback=progress)
            python = not refused
            if python:
                assert done["result"] == 7 and seen and seen == sorted(set(seen)), (done, seen)
                given_up = asyncio.create_task(client.call_tool("run_python", {"code": "while True: pass"}))
                await asyncio.sleep(1.5)
                given_up.cancel()
                await asyncio.gather(given_up, return_exceptions=True)
                # The one place for user code of this tier is free again, or this would wait for 30 s and be refused.
                refused, done = await call(client, "run_python", {"code": "1 + 1"})
                assert not refused and done["result"] == 2, done
            else:
                assert done["error"]["code"] == "NO_PYTHON", done
    print(json.dumps({"mode": mode, "tools": len(tools), "first_answer_s": round(awake, 3), "python": python}))


asyncio.run(main(*sys.argv[1:]))
