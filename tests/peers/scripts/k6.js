// A virtual user for each socket: k6's own way.
import { setInterval } from "k6/timers";

let WebSocket;
try {
  ({ WebSocket } = require("k6/websockets"));
} catch (_) {
  ({ WebSocket } = require("k6/experimental/websockets")); // of older versions
}

const connections = Number(__ENV.PEER_CONNECTIONS);
const rate = Number(__ENV.PEER_RATE);
const every = Number(__ENV.PEER_PING_EVERY);

const paced = {
  executor: "constant-arrival-rate",
  rate,
  duration: `${Math.round((1000 * connections) / rate)}ms`,
  preAllocatedVUs: connections,
  gracefulStop: "10m",
};
const atOnce = { executor: "per-vu-iterations", vus: connections, maxDuration: "10m" };

// k6 paces for a second at least.
export const options = { scenarios: { held: connections < rate ? atOnce : paced } };

export default function () {
  const socket = new WebSocket(__ENV.PEER_URL);
  socket.onopen = () => {
    if (every) {
      setInterval(() => socket.ping(), 1000 * every);
    }
  };
  socket.onmessage = () => {};
}
