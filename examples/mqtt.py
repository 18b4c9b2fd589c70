"""MQTT 5: logs in, subscribes to a topic, publishes with QoS 1, and checks that it comes back.

pip install mqtt5        # its codec, on each agent
loadgen-coord --session mqtt.py wss://broker.example/mqtt
"""

import asyncio

import mqtt5

LOGIN = {"username": "load", "password": b"secret"}
QOS = mqtt5.QoS.AT_LEAST_ONCE
KEEP_ALIVE = 2  # seconds; most clients use 60
TURNS = 4


async def receive(ws, data):
    """Returns the next packet; a message may have several, or a part of one, which `data` keeps."""
    while True:
        try:
            packet, size = mqtt5.read(data)
        except IndexError:  # no whole packet
            data += await ws.receive(timeout=30)
            continue
        del data[:size]
        if isinstance(packet, mqtt5.PublishPacket) and packet.qos:
            await ws.send(mqtt5.PubAckPacket(packet.packet_id).write())
        return packet


async def keep_alive(user, ws):
    while True:
        await asyncio.sleep(KEEP_ALIVE / 2)
        await ws.send(mqtt5.PingReqPacket().write())
        user.count("pings_sent")


async def session(user):
    topic, name, data = f"rooms/{user.number % 5}", f"load-{user.number}", bytearray()
    ws = await user.connect(subprotocols=["mqtt"])
    login = mqtt5.ConnectPacket(name, clean_start=True, keep_alive=KEEP_ALIVE, **LOGIN)
    await ws.send(login.write())
    answer = await receive(ws, data)
    user.check("connected", answer.reason_code == 0, sample=answer, fatal=True)
    pinging = asyncio.create_task(keep_alive(user, ws))

    await ws.send(mqtt5.SubscribePacket(1, [mqtt5.TopicFilter(topic, max_qos=QOS)]).write())
    answer = await receive(ws, data)
    user.check("subscribed", answer.reason_codes == [1], sample=answer, fatal=True)
    for turn in range(1, TURNS + 1):
        await user.think(0.5)
        body = f"{user.number}: {turn}".encode()
        with user.time("round trip"):
            await ws.send(mqtt5.PublishPacket(topic, body, qos=QOS, packet_id=turn).write())
            while getattr(packet := await receive(ws, data), "payload", None) != body:
                pass  # what others publish, and answers to what this user sent
        user.check("own topic", packet.topic == topic, sample=packet)

    pinging.cancel()
    await ws.close()  # without DISCONNECT, at which mosquitto ends TCP before the close
