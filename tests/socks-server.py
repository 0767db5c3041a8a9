"""A SOCKS5 server (RFC 1928) for one connection after another: socks-server.py PORT. It connects by name, and prints each."""
import socket
import struct
import sys
import threading


def exactly(connection, count):
    got = b''
    while len(got) < count:
        part = connection.recv(count - len(got))
        if not part:
            raise EOFError
        got += part
    return got


def copy(source, target):
    while part := source.recv(65536):
        target.sendall(part)
    target.shutdown(socket.SHUT_WR)


def serve(client):
    version, methods = exactly(client, 2)
    assert version == 5 and 0 in exactly(client, methods)
    client.sendall(bytes([5, 0]))
    assert exactly(client, 4) == bytes([5, 1, 0, 3])
    host = exactly(client, exactly(client, 1)[0]).decode()
    port, = struct.unpack('>H', exactly(client, 2))
    print(f'{host}:{port}', flush=True)
    try:
        target = socket.create_connection((host, port))
    except OSError:
        return client.sendall(bytes([5, 5, 0, 1, 0, 0, 0, 0, 0, 0]))
    client.sendall(bytes([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]))
    back = threading.Thread(target=copy, args=(target, client))
    back.start()
    copy(client, target)
    back.join()


with socket.create_server(('127.0.0.1', int(sys.argv[1]))) as server:
    print('ready', flush=True)
    while True:
        accepted = server.accept()[0]
        serve(accepted)
        accepted.close()
