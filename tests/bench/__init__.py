"""Speed and memory, as ratios measured in one run; outside the gate. `make bench`."""
