from tests.peers.sockets import Sockets, sockets

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 a 100
   1: 0100007F:1F90 0100007F:C350 01 00000005:00000000 00:00000000 00000000     0        0 2 1 a 20
   2: 0100007F:C350 0100007F:1F90 01 00000000:0000002A 00:00000000 00000000     0        0 3 1 a 20
   3: 0100007F:C351 0100007F:1F90 01 00000000:00000001 00:00000000 00000000     0        0 4 1 a 20
   4: 0100007F:1F90 0100007F:C351 01 00000000:00000000 00:00000000 00000000     0        0 5 1 a 20
   5: 0100007F:C352 0100007F:1F90 06 00000000:00000000 03:00001770 00000000     0        0 0 3 a
   6: 0100007F:1F91 0100007F:C353 01 00000000:00000000 00:00000000 00000000     0        0 6 1 a 20
   7: 0900007F:1F90 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 7 1 a 20
"""


def test_connections_are_counted_at_the_servers_end():
    assert sockets(TABLE, 0x1F90).established == 2


def test_unread_bytes_are_those_of_clients():
    assert sockets(TABLE, 0x1F90).unread == 0x2A + 1


def test_a_port_that_nobody_uses_has_none():
    assert sockets(TABLE, 9) == Sockets(0, 0)
