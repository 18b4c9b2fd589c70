"""The embedded target: a light multi-process WebSocket server on /v1/realtime, with its own
exact ledger."""
