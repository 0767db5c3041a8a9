"""A service of libipc as its libraries behave: libipc-server.py ERA PATH, prints `ready` and answers each message with itself."""
import os
import socket
import struct
import sys
import threading

era, path = sys.argv[1:]
head = 6 if era == 'c' else 4


def exactly(client, count):
    parts = b''
    while len(parts) < count:
        got = client.recv(count - len(parts))
        if not got:
            return None
        parts += got
    return parts


def serve(client):
    with client:
        while (first := exactly(client, head)) is not None:
            length = struct.unpack('>I', first[1:5] if era == 'c' else first)[0]
            payload = exactly(client, length)
            if payload is None:
                return
            client.sendall(first + payload)


if os.path.exists(path):
    os.unlink(path)
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.bind(path)
server.listen(64)
print('ready', flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
