# A service manager for tests: binds NOTIFY_SOCKET, and prints each message on one line.
import socket
import sys

receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
print("bound", flush=True)
while True:
    # Descriptors that come with a message are closed, which is the answer that systemd-notify waits for.
    message = receiver.recv(65536).decode()
    if "BARRIER=1" not in message:
        print(" ".join(message.split("\n")), flush=True)
