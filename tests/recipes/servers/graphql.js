// A chat by graphql-ws: node graphql.js PORT
const { EventEmitter, on } = require("events");
const { buildSchema } = require("graphql");
const { handleProtocols, makeServer } = require("graphql-ws");
const { WebSocketServer } = require("ws");

const said = new EventEmitter().setMaxListeners(0);
const schema = buildSchema(`
  type Query { rooms: [String!]! }
  type Mutation { say(room: String!, text: String!): Boolean! }
  type Subscription { said(room: String!): String! }
`);
const roots = {
  query: { rooms: () => said.eventNames() },
  mutation: { say: ({ room, text }) => said.emit(room, text) },
  subscription: {
    said: async function* ({ room }) {
      for await (const [text] of on(said, room)) yield { said: text };
    },
  },
};
const graphql = makeServer({
  schema,
  roots,
  onConnect: ({ connectionParams }) => connectionParams?.token === "secret",
});

const port = Number(process.argv[2]);
const server = new WebSocketServer({ host: "127.0.0.1", port, path: "/graphql", handleProtocols });
server.on("connection", (socket, request) => {
  const closed = graphql.opened(
    {
      protocol: socket.protocol,
      send: (text) => new Promise((done) => socket.send(text, done)),
      close: (code, reason) => socket.close(code, reason),
      onMessage: (handle) => socket.on("message", (data) => handle(data.toString())),
    },
    { socket, request },
  );
  // The protocol's own pings, which come often, so that a short run answers some.
  const pings = setInterval(() => socket.send('{"type":"ping"}'), 300);
  socket.once("close", (code, reason) => {
    clearInterval(pings);
    closed(code, reason);
  });
});
