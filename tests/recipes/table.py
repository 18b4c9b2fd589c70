"""The recipes, by name, in the order of docs/recipes.md."""

from tests.recipes.recipe import Recipe
from tests.recipes.running import by_node, by_python, mosquitto, prosody, rabbitmq

RECIPES: dict[str, Recipe] = {
    "Socket.IO": Recipe(
        by_node("socketio.js", "/socket.io/?EIO=4&transport=websocket"),
        ("socket_io.py", "socket_io.toml"),
        frozenset({"connected", "joined", "own room"}),
        beats="pings_answered",
    ),
    "engine.io": Recipe(
        by_node("engineio.js", "/engine.io/?EIO=4&transport=websocket"),
        ("engine_io.py", "engine_io.toml"),
        frozenset({"opened", "echo"}),
        beats="pings_answered",
    ),
    "graphql-transport-ws": Recipe(
        by_node("graphql.js", "/graphql"),
        ("graphql_ws.py", "graphql_ws.toml"),
        frozenset({"accepted", "no error"}),
        beats="pings_answered",
    ),
    "STOMP": Recipe(
        rabbitmq,
        ("stomp.py", "stomp.toml"),
        frozenset({"connected", "subscribed", "own topic"}),
        beats="heart_beats",
    ),
    "MQTT": Recipe(
        mosquitto,
        ("mqtt.py",),
        frozenset({"connected", "subscribed", "own topic"}),
        beats="pings_sent",
    ),
    "XMPP": Recipe(
        prosody,
        ("xmpp.py", "xmpp.toml"),
        frozenset({"opened", "logged in", "bound"}),
        beats="pings_answered",
    ),
    "Appwrite": Recipe(
        by_python("appwrite", "/v1/realtime?project=demo"),
        ("appwrite.py", "appwrite.toml"),
        frozenset({"logged in", "connected as the user", "event"}),
        beats="pings_sent",
        quick=True,
    ),
}
