// A chat by rpc-websockets: node jsonrpc.js PORT
const { Server } = require("rpc-websockets");

const port = Number(process.argv[2]);
const server = new Server({ host: "127.0.0.1", port });
server.setAuth(({ token }) => token === "secret");
server.event("said");
server.register("say", ({ text }) => {
  server.emit("said", { text });
  return text.length;
}).protected();
