// A Socket.IO server that sends every event back: node socketio.js PORT [CERTIFICATE KEY]
const fs = require("fs");
const { Server } = require("socket.io");

const [port, certificate, key] = process.argv.slice(2);
const server = certificate
  ? require("https").createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) })
  : require("http").createServer();

// Its pings come often, so that a short run answers some.
const io = new Server(server, { pingInterval: 300, perMessageDeflate: { threshold: 0 } });
io.on("connection", (socket) => {
  socket.on("echo", (value) => socket.emit("echo", value));
});
server.listen(Number(port), "127.0.0.1");
