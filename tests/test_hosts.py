"""Whoever names a mail server cannot make the portal reach into the office's own network."""

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import hosts
from portal.hosts import Forbidden, entries, is_open, judged, may_connect

INNER = [
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.10"),
    *("169.254.169.254", "100.64.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.5", "198.18.0.1"),
    *("240.0.0.1", "192.0.0.8", "192.88.99.1"),
    *("::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "fec0::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
    *("64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::1", "2001::1", "fe80::1%eth0", "4000::1"),
]
OUTER = ["203.0.114.9", "8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
ADDRESSES = st.ip_addresses()


def ip(text: str) -> hosts.Ip:
    return ipaddress.ip_address(text)


@pytest.mark.parametrize("text", INNER)
def test_no_inner_address_is_open_however_it_is_written(text: str) -> None:
    assert not is_open(ip(text))


@pytest.mark.parametrize("text", OUTER)
def test_addresses_of_the_internet_are_open(text: str) -> None:
    assert is_open(ip(text))


@given(ADDRESSES, st.integers(1, 65535))
def test_without_a_list_only_open_addresses_at_ports_of_mail(one: hosts.Ip, port: int) -> None:
    if may_connect("mail.example", port, one):
        assert port in hosts.PORTS
        inner = hosts.carried(one) or one
        assert inner.is_global
        assert not (inner.is_private or inner.is_loopback or inner.is_multicast)
        assert not (inner.is_link_local or inner.is_unspecified or inner.is_reserved)


@given(st.ip_addresses(v=4), st.sampled_from((*hosts.PORTS, 25, 6379)))
def test_an_address_in_another_coat_is_judged_as_itself(one: Any, port: int) -> None:
    plainly = may_connect("mail.example", port, one)
    for coat in (f"::ffff:{one}", f"64:ff9b::{int(one) >> 16:x}:{int(one) & 0xFFFF:x}"):
        assert may_connect("mail.example", port, ip(coat)) == plainly


@given(ADDRESSES, st.integers(1, 65535))
def test_an_entry_with_a_port_is_for_that_port_alone(one: hosts.Ip, port: int) -> None:
    inner = ip("10.0.0.7")
    allowed = entries("10.0.0.0/24:2500")
    assert may_connect("mail.office.lan", port, inner, allowed) == (port == 2500)
    if one not in ipaddress.ip_network("10.0.0.0/24"):
        outside = may_connect("mail.example", port, one, allowed)
        assert outside == may_connect("mail.example", port, one)


def test_an_operator_may_allow_a_relay_by_name_or_network() -> None:
    inner = ip("192.168.1.10")
    by_name, by_network = entries("Mail.Office.LAN."), entries("192.168.1.0/24, [::1]:2525")
    assert may_connect("mail.office.lan", 25, inner, by_name)
    assert not may_connect("other.office.lan", 25, inner, by_name)
    assert may_connect("whatever", 587, inner, by_network)
    assert may_connect("::1", 2525, ip("::1"), by_network)
    assert not may_connect("whatever", 6379, inner, by_network)  # no port of mail


@pytest.mark.parametrize(
    "text", ["http://mail", "10.0.0.0/99", "mail.lan:0", "two words", "a:b:c:d"]
)
def test_a_list_that_cannot_be_read_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="has"):
        entries(text)


def found_at(monkeypatch: pytest.MonkeyPatch, *addresses: list[str]) -> list[str]:
    """Let each look-up find the next of these lists; what was connected to is noted."""
    answers, connected = iter(addresses), []

    def getaddrinfo(_host: str, port: int, **_more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in next(answers)]

    def create_connection(address: tuple[str, int], **_more: Any) -> socket.socket:
        connected.append(address[0])
        return socket.socket()

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", create_connection)
    return connected


def test_a_name_that_leads_elsewhere_when_connecting_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected = found_at(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    assert judged("mail.example", 465)  # as it was saved
    with pytest.raises(Forbidden):
        hosts.connect("mail.example", 465, (), 1)
    assert connected == []


def test_the_very_address_that_was_judged_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    connected = found_at(monkeypatch, ["8.8.8.8"])
    hosts.connect("mail.example", 465, (), 1).close()
    assert connected == ["8.8.8.8"]  # by number: nobody is asked for the name again


def test_one_inner_address_among_several_forbids_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found_at(monkeypatch, ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(Forbidden):
        judged("mail.example", 465)
