"""The coordinator: gathers agents, shards the load over them, settles every second, writes the
run directory."""
