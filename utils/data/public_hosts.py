"""Which servers belong to the internet at large, and which to a network of this machine's own."""

import contextlib
import ipaddress
import socket

_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")  # RFC 4291, section 2.4, as far as assigned
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
# RFC 6761, 6762 (and its appendix G), 8375; of routers: .localdomain, and .box, which is also sold.
_PRIVATE_SUFFIXES = (".box", ".corp", ".home", ".home.arpa", ".internal", ".intranet", ".lan")
_PRIVATE_SUFFIXES += (".local", ".localdomain", ".localhost", ".private")


def is_public(address):
    """Whether an IP address is one of the internet at large.

    One of IPv6 that carries an address of IPv4 (mapped, 6to4, NAT64) leads to where that one leads.

    Args:
        address: str, of IPv4 or IPv6.

    Returns:
        bool, False for this machine, private and link-local networks, multicast and all that no
        registry has assigned, as Teredo.

    Raises:
        ValueError: If it is no address.
    """
    address = ipaddress.ip_address(address)
    if address.version == 6:
        carried = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if carried is None and address not in _GLOBAL_UNICAST:
            return False
        address = carried or address
    return address.is_global and not address.is_multicast


def seems_public(host):
    """What can be told of a host by its name alone, as where a proxy looks it up.

    A name that anybody may point anywhere, such as 127.0.0.1.nip.io, seems public: where it leads
    only the proxy knows, and only the proxy can refuse it.

    Args:
        host: str, name or address, without port and brackets.

    Returns:
        bool, False for addresses that are not public, names without a dot, and the suffixes that
        private networks use.
    """
    host = host.lower().rstrip(".")  # the dot of the root, as in localhost.
    with contextlib.suppress(ValueError):
        return is_public(host)
    with contextlib.suppress(OSError):  # 127.1 and 2130706433 are ways to write 127.0.0.1
        return is_public(socket.inet_ntoa(socket.inet_aton(host)))
    return "." in host and not host.endswith(_PRIVATE_SUFFIXES)
