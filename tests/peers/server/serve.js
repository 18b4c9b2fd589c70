// The neutral server of make peers: WebSockets on one port, its own counts on another. Run by Bun.
//
//     bun serve.js [CERTIFICATE.pem]
//
// It answers pings and echoes messages. On the other port: GET /counts; GET /opens, the times of all
// opens in ms since its start; GET /send?messages=N&every=MS sends to all connections.

const counts = { opened: 0, open: 0, pings: 0, messages: 0, sent: 0 };
const opens = [];
const text = JSON.stringify({ type: "event", text: "x".repeat(32) });
const certificate = process.argv[2];

const served = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  ...(certificate && { tls: { cert: Bun.file(certificate), key: Bun.file(certificate) } }),
  fetch(request, server) {
    return server.upgrade(request) ? undefined : new Response("no upgrade", { status: 400 });
  },
  websocket: {
    idleTimeout: 0,
    sendPings: false,
    perMessageDeflate: false,
    open(socket) {
      counts.opened += 1;
      counts.open += 1;
      opens.push(performance.now());
      socket.subscribe("all");
    },
    close() {
      counts.open -= 1;
    },
    ping() {
      counts.pings += 1;
    },
    message(socket, message) {
      counts.messages += 1;
      socket.send(message);
    },
  },
});

function send(left, every) {
  if (left === 0) {
    return;
  }
  served.publish("all", text);
  counts.sent += counts.open;
  setTimeout(send, every, left - 1, every);
}

const control = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request) {
    const asked = new URL(request.url);
    if (asked.pathname === "/opens") {
      return Response.json(opens);
    }
    if (asked.pathname === "/send") {
      send(Number(asked.searchParams.get("messages")), Number(asked.searchParams.get("every")));
    }
    return Response.json(counts);
  },
});

console.log(`${served.port} ${control.port}`);
