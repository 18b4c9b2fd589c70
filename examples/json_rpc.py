"""JSON-RPC 2.0: logs in, subscribes to an event, calls a method, and checks what comes.

loadgen-coord --session json_rpc.py wss://rpc.example/
"""

import json
from itertools import count

LOGIN = {"token": "secret"}
TURNS = 4
NO_SUCH_METHOD = -32601


async def session(user):
    ws = await user.connect()
    numbers = count(1)
    heard = set()

    def keep_event(message):
        event = json.loads(message)
        if event.get("notification") == "said":
            heard.add(event["params"]["text"])
            return True

    async def call(method, params):
        """Calls a method and returns its reply; drops what comes before it."""
        number = next(numbers)
        await ws.send_json({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return await ws.receive_json(timeout=10, id=number)

    ws.on_message(keep_event)
    reply = await call("rpc.login", LOGIN)
    user.check("logged in", reply.get("result") is True, sample=reply, fatal=True)
    reply = await call("rpc.on", ["said"])
    user.check("subscribed", reply.get("result") == {"said": "ok"}, sample=reply, fatal=True)
    for turn in range(TURNS):
        await user.think(0.4)
        text = f"{user.number}: {turn}"
        with user.time("call"):
            reply = await call("say", {"text": text})
        user.check("result", reply.get("result") == len(text), sample=reply)
        user.check(
            "own event", text in heard, sample=heard
        )  # the server sends it before the result
    reply = await call("no such method", [])
    user.check("error", reply["error"]["code"] == NO_SUCH_METHOD, sample=reply)
    await ws.close()
