"""loadgen: proves that a realtime server holds a million WebSocket connections."""
