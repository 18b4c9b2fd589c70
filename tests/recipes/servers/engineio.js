// Sends every message back by bare engine.io: node engineio.js PORT
const server = require("http").createServer();
const engine = require("engine.io");

// Its pings come often, so that a short run answers some.
const io = new engine.Server({
  pingInterval: 300,
  pingTimeout: 20000,
  allowRequest: (request, done) => done(null, request.headers.authorization === "Bearer secret"),
});
io.attach(server);
io.on("connection", (socket) => socket.on("message", (data) => socket.send(data)));
server.listen(Number(process.argv[2]), "127.0.0.1");
