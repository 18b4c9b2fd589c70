"""Logs in over HTTP, takes the token to the socket, and checks what comes back."""

TURNS = 3


async def session(user):
    async with user.http.post("/login", json={"user": f"u{user.number}"}, name="login") as reply:
        user.check("logged in", reply.status == 200, sample=await reply.text(), fatal=True)
        token = (await reply.json())["token"]
    ws = await user.connect(f"/ws?token={token}")
    for turn in range(TURNS):
        await user.think(0.2)
        await ws.send(f"message {turn}")
        answer = await ws.receive(timeout=5)
        user.check("own token", answer == f"{token}:message {turn}", sample=answer)
    me = await user.http.get("/me")  # with the cookie that the login set
    user.check("same user", (await me.json())["sid"] == f"c-u{user.number}")
    await ws.close()
