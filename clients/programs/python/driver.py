"""Looks up the names on its standard input with the resolver of the system."""

import socket
import sys
import threading


def look_up(number, name):
    try:
        address = socket.getaddrinfo(name, 8080, type=socket.SOCK_STREAM)[0][4][0]
        answer = f"{number} {address}\n"
    except OSError as error:
        answer = f"{number} - {error}\n"
    sys.stdout.write(answer)
    sys.stdout.flush()


for line in sys.stdin:
    threading.Thread(target=look_up, args=line.split(), daemon=True).start()
