"""A session that receives one long message, sends one, and waits."""

from random import Random

TEXT = Random(2).randbytes(20_000).hex()


async def session(user):
    """Exchanges one message each way."""
    ws = await user.connect()
    await ws.receive(timeout=10)
    await ws.send(TEXT)
    await user.think(1000)
