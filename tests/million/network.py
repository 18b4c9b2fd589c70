"""A network namespace whose table of connections is large enough for the run.

The kernel finds the socket of each packet in a hash table whose size is fixed at boot, 262,144
entries on a machine of 24 GiB. Two million sockets in it make chains of eight, each link a cache
miss: a tenth of the CPU at that size. A new network namespace takes the size that
`tcp_child_ehash_entries` of its parent says (Linux 6.1; ip-sysctl.rst).

In it TCP controls congestion by `reno`, the plainest: where a machine is set to `bbr`, every
connection has a timer that paces its packets, which is of no use on loopback.

No setting of the machine changes, and no privilege is needed where user namespaces are allowed.
"""

import os
import subprocess
import sys

ENTRIES = 1 << 22
INSIDE = "LOADGEN_OWN_NETWORK"
"""Set in the environment of a process that is inside the namespace."""
_OUTER = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c"]
_SCRIPT = (
    f"echo {ENTRIES} > /proc/sys/net/ipv4/tcp_child_ehash_entries &&"
    """ exec unshare --net sh -c 'ip link set lo up &&"""
    """ echo reno > /proc/sys/net/ipv4/tcp_congestion_control && exec "$@"' sh "$@" """
)


def enter() -> None:
    """Starts this command line again inside the namespace.

    Where that is impossible, it prints the reason and returns.
    """
    if INSIDE in os.environ:
        return
    inside = [*_OUTER, _SCRIPT, "sh"]
    try:
        subprocess.run([*inside, "true"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        print(
            f"million: no network of its own ({str(reason).strip()});"
            " the run shares this machine's",
            file=sys.stderr,
        )
    else:
        os.environ[INSIDE] = "1"
        os.execvp(inside[0], [*inside, sys.executable, "-m", "tests.million", *sys.argv[1:]])
