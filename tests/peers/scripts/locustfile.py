"""A Locust user with one connection of websocket-client: it pings, or only reads."""

import os
import time

import websocket
from locust import User, constant, task
from locust.exception import StopUser

URL = os.environ["PEER_URL"]
PING_EVERY = float(os.environ["PEER_PING_EVERY"])
TLS = {"ca_certs": os.environ.get("SSL_CERT_FILE")}


class HeldUser(User):
    """Holds a connection; a failure ends it."""

    wait_time = constant(0)

    def on_start(self) -> None:
        """Opens the connection."""
        try:
            self.socket = websocket.create_connection(URL, sslopt=TLS)
        except (OSError, websocket.WebSocketException) as error:
            raise StopUser from error

    @task
    def turn(self) -> None:
        """Pings and reads the pong, or reads a message."""
        try:
            if PING_EVERY:
                time.sleep(PING_EVERY)
                self.socket.ping()
                self.socket.recv_data_frame(control_frame=True)
            else:
                self.socket.recv()
        except (OSError, websocket.WebSocketException) as error:
            raise StopUser from error
