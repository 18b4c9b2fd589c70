"""Which of a port's listeners takes a connection: neighbouring source ports of one address go to the same one.

A load generator counts its ports up, and what it opened together it pings together. Spread by the kernel's hash, each
of those pings wakes another process; steered, one process is woken once for all of them, and each has its even share.
"""

import ctypes
import socket
import struct

BLOCK_BITS = 5
"""32 ports in a row go to one listener: a run of eight connections from each of the four workers of a full address."""
_SCATTER, _SCATTER_BITS = 2654435761, 16
"""2**32 over the golden ratio: addresses in a row begin at places far apart, so that their shares even out."""
_SO_ATTACH_REUSEPORT_CBPF = getattr(socket, "SO_ATTACH_REUSEPORT_CBPF", 51)
_NETWORK_HEADER = 0xFFF00000
"""An offset from here counts from the IP header (SKF_NET_OFF in linux/filter.h); others count from the payload."""
_LOAD_WORD, _LOAD_HALF, _TO_X, _RETURN = 0x20, 0x28, 0x07, 0x16
_MULTIPLY, _SHIFT_RIGHT, _ADD_X, _MODULO = 0x24, 0x74, 0x0C, 0x94
_SOURCES = {socket.AF_INET: (12, 20), socket.AF_INET6: (20, 40)}
"""Where in a packet the last four bytes of its source address and its source port are."""


def steer(listener: socket.socket, count: int) -> None:
    """Gives a listener's whole group, of so many, the rule (SO_ATTACH_REUSEPORT_CBPF, socket(7)); raises OSError.

    The rule is classic BPF and needs no privilege: (a hash of the address + port / 32) modulo the number of listeners.
    """
    address, port = _SOURCES[listener.family]
    program = [
        (_LOAD_WORD, _NETWORK_HEADER + address),
        (_MULTIPLY, _SCATTER),
        (_SHIFT_RIGHT, _SCATTER_BITS),
        (_TO_X, 0),
        (_LOAD_HALF, _NETWORK_HEADER + port),
        (_SHIFT_RIGHT, BLOCK_BITS),
        (_ADD_X, 0),
        (_MODULO, count),
        (_RETURN, 0),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", op, 0, 0, operand) for op, operand in program))
    program_at = struct.pack("HL", len(program), ctypes.addressof(code))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program_at)
