"""The embedded target: a light WebSocket server with exact counters of its own.

It has several processes.
"""
