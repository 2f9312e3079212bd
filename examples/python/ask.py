#!/usr/bin/env python3
"""
Sends a message to Turnkeeper and prints the answer as it comes, with nothing but Python's standard library.

    python3 examples/python/ask.py "What does this project do?" [provider]

JSON-RPC 2.0 over a WebSocket, as docs/protocol.md describes it. When the connection is lost, the command goes
out again under its own id (so it is done once) and the subscription goes on from its cursor.
"""

import base64
import json
import os
import socket
import struct
import sys
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit


class ConnectionEnded(Exception):
    """The WebSocket is gone; whether the call in flight was done is not known."""


class Refused(Exception):
    """The server said no: `data["_tag"]` says why. Asking again gives the same answer."""

    def __init__(self, error):
        super().__init__(error.get("message"))
        self.code = error.get("code")
        self.data = error.get("data") or {}


class WebSocket:
    """The part of RFC 6455 that a client of text frames needs."""

    def __init__(self, url, token, timeout=60):
        at = urlsplit(url)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket = socket.create_connection((at.hostname, at.port), timeout)
        self.buffer = b""
        lines = [
            f"GET {at.path} HTTP/1.1",
            f"Host: {at.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            f"Authorization: Bearer {token}",
        ]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        head = self.read_until(b"\r\n\r\n").decode("latin1")
        status = int(head.split(" ", 2)[1])
        if status in (401, 403):
            raise PermissionError(f"The server does not let us in: HTTP status {status}.")
        if status != 101:
            raise ConnectionEnded(f"HTTP status {status}")

    def read_until(self, end):
        while end not in self.buffer:
            self.buffer += self.receive()
        head, _, self.buffer = self.buffer.partition(end)
        return head

    def read(self, count):
        while len(self.buffer) < count:
            self.buffer += self.receive()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def receive(self):
        # A subscription is never silent for longer than its heartbeat, so a timeout is a lost connection too.
        try:
            data = self.socket.recv(65536)
        except OSError as error:
            raise ConnectionEnded(str(error)) from error
        if data == b"":
            raise ConnectionEnded("closed by the server")
        return data

    def send(self, payload, opcode=1):
        """Frames of a client are masked."""
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        try:
            self.socket.sendall(head + mask + masked)
        except OSError as error:
            raise ConnectionEnded(str(error)) from error

    def next_text(self):
        """The next whole message; pings are answered on the way."""
        message = b""
        while True:
            first, second = self.read(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self.read(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self.read(8))
            payload = self.read(size)
            opcode = first & 0x0F
            if opcode == 8:
                raise ConnectionEnded("closed by the server")
            if opcode == 9:
                self.send(payload, 10)
            elif opcode in (0, 1):
                message += payload
                if first & 0x80:
                    return message.decode()

    def close(self):
        try:
            self.send(struct.pack("!H", 1000), 8)
        except ConnectionEnded:
            pass
        self.socket.close()


class Client:
    """Calls, one after another, and the items of subscriptions between them."""

    def __init__(self, url, token):
        self.socket = WebSocket(url.replace("http", "ws", 1) + "/jsonrpc", token)
        self.calls = 0
        self.notifications = []
        self.call("server.hello", protocol={"min": 1, "max": 1}, client={"name": "python", "version": "1"})

    def call(self, method, **params):
        self.calls += 1
        call = {"jsonrpc": "2.0", "id": self.calls, "method": method, "params": params}
        self.socket.send(json.dumps(call).encode())
        while True:
            message = json.loads(self.socket.next_text())
            if "id" not in message:
                self.notifications.append(message)
            elif message["id"] == self.calls:
                if "error" in message:
                    raise Refused(message["error"])
                return message["result"]

    def items(self, subscription):
        """What flows on a subscription, for ever; an error of the server ends it."""
        while True:
            message = self.notifications.pop(0) if self.notifications else json.loads(self.socket.next_text())
            params = message.get("params", {})
            if params.get("subscription") != subscription:
                continue
            if message["method"] == "subscription.end":
                raise Refused(params.get("error") or {"message": "The subscription has ended."})
            yield from params["items"]


class Answer:
    """One turn of a thread as it is told: what was printed, and where to go on after a lost connection."""

    def __init__(self, turn_id):
        self.turn_id = turn_id
        self.epoch = None
        self.version = 0
        self.texts = {}
        self.open = set()
        self.end = None

    def cursor(self):
        if self.epoch is None:
            return {}
        texts = {item: units(self.texts[item]) for item in self.open}
        return {"after": {"epoch": self.epoch, "version": self.version, "texts": texts}}

    def take(self, item):
        kind = item["type"]
        if kind in ("snapshot", "synchronized"):
            self.epoch, self.version = item["epoch"], item["version"]
        if kind == "snapshot":
            self.take_snapshot(item)
        elif kind == "event":
            self.version = item["version"]
            self.take_event(item["event"])
        elif kind == "delta" and item["itemId"] in self.open:
            self.say(item["itemId"], item["offset"], item["text"])

    def take_snapshot(self, snapshot):
        for entry in snapshot["entries"]:
            if entry.get("role") != "assistant" or entry["turnId"] != self.turn_id:
                continue
            self.say(entry["id"], 0, entry["text"])
            (self.open.add if entry["status"] == "open" else self.open.discard)(entry["id"])
        for turn in snapshot["turns"]:
            if turn["turnId"] == self.turn_id and turn["settledAt"] is not None:
                self.end = turn

    def take_event(self, event):
        if event.get("turnId") != self.turn_id:
            return
        if event["type"] == "item.started" and event["kind"] == "assistant_message":
            self.open.add(event["itemId"])
            self.texts.setdefault(event["itemId"], "")
        elif event["type"] == "item.completed" and event["kind"] == "assistant_message":
            # The whole text: what was streamed is part of it.
            self.say(event["itemId"], 0, event["text"])
            self.open.discard(event["itemId"])
        elif event["type"] == "turn.settled":
            self.end = event

    def say(self, item, offset, text):
        """Prints what is new. An offset counts UTF-16 units; what lies below the text we have is a double."""
        have = self.texts.setdefault(item, "")
        new = from_units(text, units(have) - offset)
        self.texts[item] = have + new
        print(new, end="", flush=True)


def units(text):
    return len(text.encode("utf-16-le")) // 2


def from_units(text, count):
    return text.encode("utf-16-le")[max(0, count) * 2 :].decode("utf-16-le")


def discover():
    """The address and the token of the server on this machine. Read before each try: it may be another one."""
    directory = Path(os.environ.get("TURNKEEPER_HOME") or Path.home() / ".turnkeeper")
    address = json.loads((directory / "lock").read_text()).get("address")
    if address is None:
        raise ConnectionEnded("the server is still starting")
    return address, (directory / "token").read_text().strip()


def ask(text, provider):
    ids = {name: f"{name}-{uuid.uuid4()}" for name in ("project", "thread", "turn", "message")}
    commands = [
        {"type": "project.create", "projectId": ids["project"], "title": "Example", "directory": os.getcwd()},
        {
            "type": "thread.turn.start",
            "threadId": ids["thread"],
            "turnId": ids["turn"],
            "messageId": ids["message"],
            "text": text,
            "createThread": {"projectId": ids["project"], "title": text[:80] or "Example", "provider": provider},
        },
    ]
    # The ids are made once: the same command sent again is recognised and not done twice.
    commands = [{"commandId": f"command-{uuid.uuid4()}", **command} for command in commands]
    answer = Answer(ids["turn"])
    tries = 0
    while answer.end is None:
        client = None
        try:
            client = Client(*discover())
            while commands:
                client.call("orchestration.dispatch", command=commands[0])
                commands.pop(0)
            params = {"threadId": ids["thread"], **answer.cursor()}
            subscription = client.call("orchestration.subscribeThread", **params)["subscription"]
            for item in client.items(subscription):
                tries = 0
                answer.take(item)
                if answer.end is not None:
                    break
        except (ConnectionEnded, OSError) as error:
            if isinstance(error, PermissionError) or tries >= 30:
                raise
            tries += 1
            time.sleep(min(5, 0.1 * 2**tries))
        finally:
            if client is not None:
                client.socket.close()
    return answer.end


if __name__ == "__main__":
    arguments = sys.argv[1:]
    try:
        end = ask(arguments[0] if arguments else "Hello", arguments[1] if len(arguments) > 1 else "scripted")
    except Refused as error:
        sys.exit(f"Refused: {error} {json.dumps(error.data)}")
    except (OSError, ConnectionEnded) as error:
        sys.exit(f"Could not reach the server: {error}")
    print(f"\n— {end['state']}" + (f": {end['reason']}" if end.get("reason") else ""))
