"""Certificates: an authority made at the start, and what it signs: good and bad ones of servers.

Each is a file of a key and a certificate in PEM.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: What a server can show.
SHOWN = ("good", "expired", "self-signed", "other-name")
HERE = "127.0.0.1"
#: Days that good ones last.
YEARS = 3650


@dataclass(frozen=True)
class _Signer:
    key: ec.EllipticCurvePrivateKey
    name: x509.Name


def make_all(folder: Path) -> Path:
    """Make the authority and all certificates. Returns the file by which to trust the authority."""
    folder.mkdir(parents=True, exist_ok=True)
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("A local authority")
    authority = _Signer(key, name)
    root = _certificate(authority, key, name, days=YEARS, ca=True)
    trusted = folder / "authority.pem"
    trusted.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    for shown in SHOWN:
        _write(folder / f"{shown}.pem", *_leaf(shown, authority))
    return trusted


def context(folder: Path, shown: str) -> ssl.SSLContext:
    """What a server shows its callers."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(folder / f"{shown}.pem")
    return made


def _leaf(shown: str, authority: _Signer) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("A local mail server")
    signer = _Signer(key, name) if shown == "self-signed" else authority
    days = -1 if shown == "expired" else YEARS
    host = "mail.elsewhere.example" if shown == "other-name" else HERE
    return key, _certificate(signer, key, name, days=days, host=host)


def _certificate(
    signer: _Signer,
    key: ec.EllipticCurvePrivateKey,
    name: x509.Name,
    *,
    days: int,
    host: str = "",
    ca: bool = False,
) -> x509.Certificate:
    today = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(signer.name)
    made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
    made = made.not_valid_before(today - dt.timedelta(days=30))
    made = made.not_valid_after(today + dt.timedelta(days=days))
    made = made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if host:
        made = made.add_extension(x509.SubjectAlternativeName(_names(host)), critical=False)
    return made.sign(signer.key, hashes.SHA256())


def _names(host: str) -> list[x509.GeneralName]:
    if host != HERE:
        return [x509.DNSName(host)]
    return [x509.IPAddress(ipaddress.ip_address(HERE)), x509.DNSName("localhost")]


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _write(path: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    path.touch(mode=0o600)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
