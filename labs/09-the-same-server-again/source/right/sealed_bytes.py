"""A keyed hash of the name, the end of the life and a signature of both, packed in base 64 (as the kit has it)."""

import hashlib
import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode


class StickyCookie:
    def __init__(self, secret, life=3600.0):
        self.life = life
        self.for_names = hmac.new(secret, b"names", hashlib.sha256).digest()
        self.for_tokens = hmac.new(secret, b"tokens", hashlib.sha256).digest()

    def id(self, server):
        return hmac.new(self.for_names, server.encode(), hashlib.sha256).digest()[:9]

    def sign(self, content):
        return hmac.new(self.for_tokens, content, hashlib.sha256).digest()[:19]

    def make(self, server, now):
        content = self.id(server) + struct.pack(">d", now + self.life)
        return urlsafe_b64encode(content + self.sign(content)).decode()

    def opened(self, token):
        try:
            data = urlsafe_b64decode(token.encode("ascii"))
        except ValueError:
            return b"", 0.0
        content, signature = data[:17], data[17:]
        if len(data) != 36 or not hmac.compare_digest(signature, self.sign(content)):
            return b"", 0.0
        return content[:9], struct.unpack(">d", content[9:])[0]

    def read(self, token, servers, now):
        name, end = self.opened(token)
        names = {self.id(server): server for server, state in servers.items() if state == "up"}
        return names.get(name) if now < end else None

    def answer(self, token, server, now):
        name, end = self.opened(token)
        if name == self.id(server) and end - now > self.life / 2:
            return ""
        return self.make(server, now)
