// An echo server of Node's ws: node ws.js PORT [CERTIFICATE KEY]
const fs = require("fs");
const { WebSocketServer } = require("ws");

const [port, certificate, key] = process.argv.slice(2);
const server = certificate
  ? require("https").createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) })
  : require("http").createServer();

new WebSocketServer({ server, perMessageDeflate: { threshold: 0 } }).on("connection", (socket) => {
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});
server.listen(Number(port), "127.0.0.1");
