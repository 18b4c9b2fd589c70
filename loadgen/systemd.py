"""Messages to the service manager: `READY=1`, `STOPPING=1` (sd_notify(3))."""

import contextlib
import os
import socket


def notify(message: str) -> None:
    """Sends a message to the service manager that set $NOTIFY_SOCKET, if one did.

    It does nothing when the variable is not set, or when no socket listens there.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
            sock.sendto(
                message.encode(), f"\0{address[1:]}" if address.startswith("@") else address
            )
