"""What is injected beside what loadgen reports: `make truth`."""
