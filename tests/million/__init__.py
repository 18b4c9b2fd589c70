"""The headline run, both ends on this machine: driven, watched, judged by its claims, published.
`make million`."""
