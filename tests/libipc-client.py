"""A program of libipc as its libraries behave: libipc-client.py ERA RUNDIR NAME NETWORK [COUNT]

ERA is c (0.7.2) or zig. It asks for NAME, COUNT times, and sends each line of stdin as a message; each answer is printed, of messages
`era: N bytes SHA`. Every read is one read(2) with room for more than is meant: one read is one message.
"""
import array
import hashlib
import os
import socket
import struct
import sys

C_MOST = 2_000_000
ZIG_MOST = 100_000


def connected(path):
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    one.connect(path)
    return one


def descriptors_of(ancillary):
    found = array.array('i')
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return list(found)


def ask_c(rundir, text):
    asker = connected(f'{rundir}/network')
    asker.sendall(struct.pack('>BIB', 3, len(text), 3) + text)
    answer = asker.recv(C_MOST)
    if answer != b'\x02\x00\x00\x00\x02\x00OK':
        raise SystemExit(f'c: crash: {answer!r}')
    # recvmsg with an iovec of one byte.
    _, ancillary, _, _ = asker.recvmsg(1, socket.CMSG_SPACE(4))
    found = descriptors_of(ancillary)
    if len(found) != 1:
        raise SystemExit('c: no descriptor')
    return socket.socket(fileno=found[0])


def ask_zig(rundir, text):
    asker = connected(f'{rundir}/ipc')
    asker.send(struct.pack('>I', len(text)) + text)
    answer, ancillary, _, _ = asker.recvmsg(ZIG_MOST, socket.CMSG_SPACE(4))
    found = descriptors_of(ancillary)
    if answer != b'ok':
        raise SystemExit(f'zig: {answer.decode()}')
    if len(found) != 1:
        raise SystemExit('zig: no descriptor')
    return socket.socket(fileno=found[0])


def pack(era, payload):
    return struct.pack('>BIB', 2, len(payload), 42) + payload if era == 'c' else struct.pack('>I', len(payload)) + payload


def message(era, service):
    """One read is one message. Of a long one a reader may see the beginning while the kernel still copies the rest of the write."""
    head = 6 if era == 'c' else 4
    got = service.recv(C_MOST if era == 'c' else ZIG_MOST)
    if not got:
        raise SystemExit(f'{era}: the connection has ended')
    length = struct.unpack('>I', got[1:5] if era == 'c' else got[:4])[0]
    if 32768 <= len(got) < head + length:
        got += service.recv(head + length - len(got), socket.MSG_WAITALL)
    if len(got) != head + length:
        raise SystemExit(f'{era}: a message of {length} bytes came as {len(got) - head}')
    return got[head:]


def payload_of(line):
    """`N bytes` is a message of that length with NULs in it."""
    parts = line.split()
    return (bytes(range(251)) * (int(parts[0]) // 251 + 1))[: int(parts[0])] if parts[1:] == [b'bytes'] else line


def main():
    era, rundir, name, network = sys.argv[1:5]
    count = int(sys.argv[5]) if len(sys.argv) > 5 else 1
    text = f'{name};{network}'.encode()
    payloads = [payload_of(line) for line in sys.stdin.buffer.read().splitlines()]
    for _ in range(count):
        service = (ask_c if era == 'c' else ask_zig)(rundir, text)
        if os.get_blocking(service.fileno()) is False:
            raise SystemExit(f'{era}: a descriptor that does not wait')
        for payload in payloads:
            service.sendall(pack(era, payload))
            got = message(era, service)
            if got != payload:
                raise SystemExit(f'{era}: another message: {hashlib.sha256(got).hexdigest()}')
        service.close()
    print(f'{era}: {count} of {count}')


main()
