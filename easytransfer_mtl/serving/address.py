"""The address that the server listens on, taken before the model is loaded."""

import ipaddress
import socket

from easytransfer_mtl.errors import UserError, shown

BACKLOG = 1024
"""Connections that the system keeps until they are accepted."""


def bound(host: str, port: int) -> socket.socket:
    """Returns a socket that has the address; it does not accept connections yet.

    Args:
        host: name or IP address of this machine.
        port: 0 for a free one.

    Raises:
        UserError: the host is unknown, or the port is taken or may not be used.
    """
    where = f"--host={host} --port={port}"
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError):
        raise UserError(f"{where}: {shown(host)} is no name or address of this machine.") from None
    found = socket.socket(family, kind)
    # A server that has just ended leaves its port to the next one at once.
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
        # Without this a second server could bind too, as long as neither listens.
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        raise UserError(f"{where}: {error.strerror}; give another --port, or 0 for a free one.") from None
    return found


def url_of(listener: socket.socket) -> str:
    """Returns the URL of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(listener: socket.socket) -> bool:
    """Returns whether only this machine reaches a bound socket."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback
