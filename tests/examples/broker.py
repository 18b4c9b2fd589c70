"""Debian's mosquitto without accounts: `python -m tests.examples.broker PORT`."""

import os
import sys
from string import Template

from tests.debian import installed
from tests.processes import free_port

# Subtle: without a listener for plain MQTT this mosquitto does not start (its issue 2284).
CONFIG = Template("""
listener $plain 127.0.0.1
listener $port
protocol websockets
allow_anonymous true
user root
""")

if __name__ == "__main__":
    config = os.memfd_create("mosquitto.conf", 0)
    os.write(config, CONFIG.substitute(port=sys.argv[1], plain=free_port()).encode())
    os.execv(installed("mosquitto"), ["mosquitto", "-c", f"/proc/self/fd/{config}"])
