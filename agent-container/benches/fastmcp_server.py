"""The same light tool served by FastMCP, or by the official Python SDK: `fastmcp|sdk PORT`. Stateless, plain JSON answers."""

import logging
import sys

KIND, PORT = sys.argv[1], int(sys.argv[2])
logging.disable(logging.WARNING)
SYMBOLS = ["BINANCE:BTC/USDT", "BINANCE:ETH/USDT", "KRAKEN:BTC/EUR"]

if KIND == "fastmcp":
    from fastmcp import FastMCP

    server = FastMCP("peer")

    @server.tool
    def get_watchlist() -> dict:
        """Symbols of a watch list."""
        return {"name": "main", "symbols": SYMBOLS}

    server.run(transport="http", host="127.0.0.1", port=PORT, stateless_http=True, json_response=True, show_banner=False,
               uvicorn_config={"access_log": False, "log_level": "error"})
else:
    import uvicorn
    from mcp.server import MCPServer

    server = MCPServer("peer")

    @server.tool()
    def get_watchlist() -> dict:
        """Symbols of a watch list."""
        return {"name": "main", "symbols": SYMBOLS}

    app = server.streamable_http_app(stateless_http=True, json_response=True)
    uvicorn.run(app, host="127.0.0.1", port=PORT, access_log=False, log_level="error")
