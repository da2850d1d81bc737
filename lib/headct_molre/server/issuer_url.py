"""Which URLs of an issuer are safe to ask for keys."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def checked_url(url: str) -> str:
    """The URL when it is https, or http on this machine. Raises ValueError."""
    parts = urlsplit(url)
    if not parts.hostname or parts.username is not None:
        raise ValueError("must be a URL of the form https://host/path")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname)):
        raise ValueError("must be https: keys that come over http can be replaced on their way")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
