"""The embedded target: a light multi-process WebSocket server with exact counters of its own."""
