"""Opens idle connections, watches a server's resident memory, and sees at the end that every connection is served.

    idle.py PROCESS SECONDS CONNECTIONS
"""

import os
import socket
import struct
import sys
import time

# What the memory of the last half may grow by, in MiB: what busy sessions keep, and what the allocator is late to give back.
# Memory comes to rest after about a minute. A shorter run sees no more than that it does not run away.
AT_REST_SECONDS = 300
GROWTH_MAX, GROWTH_MAX_BEFORE_REST = 8, 48


def message(kind, body):
    return kind + struct.pack("!i", len(body) + 4) + body


def until_ready(connection):
    kinds = b""
    while not kinds.endswith(b"Z"):
        head = connection.recv(5, socket.MSG_WAITALL)
        if len(head) < 5:
            sys.exit("a connection was closed")
        length = struct.unpack("!i", head[1:])[0] - 4
        body = connection.recv(length, socket.MSG_WAITALL) if length else b""
        if head[:1] == b"E":
            sys.exit(f"an error: {body}")
        kinds += head[:1]
    return kinds


def resident(process):
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / (1 << 20)


process, seconds, count = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
connections = []
for _ in range(count):
    connection = socket.create_connection((os.environ["PGHOST"], int(os.environ["PGPORT"])))
    packet = struct.pack("!i", 3 << 16) + b"user\0postgres\0database\0postgres\0\0"
    connection.sendall(struct.pack("!i", len(packet) + 4) + packet)
    until_ready(connection)
    connections.append(connection)
print(f"connected: {resident(process):.0f} MiB", flush=True)

samples = []
end = time.monotonic() + seconds
while time.monotonic() < end:
    time.sleep(seconds / 200)
    samples.append(resident(process))

for connection in connections:
    connection.sendall(message(b"Q", b"SELECT 1\0"))
for connection in connections:
    if until_ready(connection) != b"TDCZ":
        sys.exit("a connection was answered wrongly")

# The busy ones need some time to reach what they keep.
middle = max(samples[len(samples) // 4 : len(samples) // 2])
last = max(samples[len(samples) // 2 :])
print(f"{samples[0]:.0f} MiB at first, {middle:.0f} MiB before the last half, {last:.0f} MiB at most in it")
if last > middle + (GROWTH_MAX if seconds >= AT_REST_SECONDS else GROWTH_MAX_BEFORE_REST):
    sys.exit("memory grows")
