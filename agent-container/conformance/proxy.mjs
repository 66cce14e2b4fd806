// Adds the bearer token to every request and passes the rest on as it is, Host and Origin included: the conformance suite and
// the inspector's batch mode know no token. Arguments: LISTEN_PORT SERVER_PORT; token in MCP_TOKEN.
import http from "node:http";

const [listen, server] = process.argv.slice(2).map(Number);
const authorization = `Bearer ${process.env.MCP_TOKEN}`;

http
  .createServer((request, response) => {
    const options = { host: "127.0.0.1", port: server, method: request.method, path: request.url, setHost: false };
    const headers = { ...request.headers, authorization };
    const upstream = http.request({ ...options, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    upstream.on("error", () => response.destroy());
    // A client that goes away must be seen by the server: that is how calls are cancelled.
    response.on("close", () => upstream.destroy());
    request.pipe(upstream);
  })
  .listen(listen, "127.0.0.1", () => console.log("ready"));
