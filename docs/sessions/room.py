"""All users talk in one room: setup opens it for them, and teardown closes it."""

import secrets


def setup(params):
    return {"room": f"{params['prefix']}-{secrets.token_hex(4)}"}


async def session(user):
    ws = await user.connect()
    for turn in range(int(user.params["turns"])):
        await user.think(1)
        await ws.send(f"{user.data['room']}: turn {turn} of user {user.number}")
        await ws.receive(timeout=5)
    await ws.close()


def teardown(data):
    print("closes", data["room"])
