// A chat by Socket.IO: node socketio.js PORT
const server = require("http").createServer();
const { Server } = require("socket.io");

// Its pings come often, so that a short run answers some.
const io = new Server(server, { pingInterval: 300, pingTimeout: 20000 });
io.use((socket, next) => {
  next(socket.handshake.auth.token === "secret" ? undefined : new Error("wrong token"));
});
io.on("connection", (socket) => {
  socket.on("join", (room, done) => {
    socket.join(room);
    done("joined");
  });
  socket.on("say", (room, text) => io.to(room).emit("said", room, text));
});
server.listen(Number(process.argv[2]), "127.0.0.1");
