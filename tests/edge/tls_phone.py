"""A carrier's session border controller in small: SIP over mutual TLS, SRTP; and who signs certificates."""

from __future__ import annotations

import datetime
import re
import select
import socket
import ssl
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from edge_process import Caller
from sip_phone import Line, Message
from srtp import Keys, SecureSocket


class Authority:
    """Signs certificates into a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key, days=2, ca=True)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, days: int = 1, file: str = "") -> tuple[Path, Path]:
        """Certificate and key of `name`; with days below zero it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._sign(subject, key, days, ca=False)
        paths = self._folder / f"{file or name}.pem", self._folder / f"{file or name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return paths

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int, ca: bool
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        begin, end = sorted((now - datetime.timedelta(hours=1), now + datetime.timedelta(days=days)))
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
        )
        if not ca:
            [common] = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            names = x509.SubjectAlternativeName([x509.DNSName(str(common.value))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())


class TlsCaller(Caller):
    """A telephone on TLS and, unless `srtp` is False, SRTP. Raises ssl.SSLError or OSError when refused."""

    def __init__(
        self,
        edge: tuple[str, int],
        host: str,
        trusted: Path,
        certificate: tuple[Path, Path] | None,
        srtp: bool = True,
        versions: tuple[ssl.TLSVersion, ssl.TLSVersion] = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3),
    ) -> None:
        super().__init__(edge, "echo", host)
        self.sip.close()
        self.sip, self._incoming = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(trusted)
        context.minimum_version, context.maximum_version = versions
        if certificate is not None:
            context.load_cert_chain(*certificate)
        try:
            plain = socket.create_connection(edge, 5, (host, 0))
            self._local_port = int(plain.getsockname()[1])
            self._tls = context.wrap_socket(plain)
        except BaseException:
            self._close_sockets()
            raise
        # Two threads at once in one TLS session lose records (CPython before 3.13): none waits in it.
        self._tls.setblocking(False)
        self._turn = threading.Lock()
        self.cipher = self._tls.version()
        self.peer = self._tls.getpeercert(binary_form=True)
        self._srtp = srtp
        self.keys = Keys()
        self.secure: SecureSocket | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __exit__(self, *error: object) -> None:
        if self.up:
            self.bye()
        if self.line is not None:
            self.line.close()
            self.line = None
        # Wakes the reader.
        self._shut()
        self._reader.join(5)
        self._tls.close()
        self._close_sockets()

    def _shut(self) -> None:
        try:
            self._tls.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def _close_sockets(self) -> None:
        self.sip.close()
        self._incoming.close()
        self.media.close()

    @property
    def port(self) -> int:
        return self._local_port

    def request(self, method: str, *given: object, **named: object) -> bytes:
        text = super().request(method, *given, **named).decode()  # type: ignore[arg-type]
        text = text.replace("SIP/2.0/UDP", "SIP/2.0/TLS")
        text = re.sub(r"(Contact: <sip:[^>]+)>", r"\1;transport=tls>", text)
        return text.encode()

    def send(self, data: bytes) -> None:
        while data:
            with self._turn:
                try:
                    data = data[self._tls.send(data) :]
                    continue
                except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                    pass
            select.select([], [self._tls], [], 1)

    def sdp(self, formats=(0, 101), extra: str = "", port: int = 0) -> str:  # type: ignore[no-untyped-def]
        body = super().sdp(formats, extra, port)
        if not self._srtp:
            return body
        crypto = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{self.keys.inline}\r\n"
        return body.replace("RTP/AVP", "RTP/SAVP") + crypto

    def invite(self, body: str | None = None, extra: str = "") -> Message:
        """Dials; on success RTP flows, encrypted where the answer says so."""
        self.answer = self.transact(self.request("INVITE", self.sdp() if body is None else body, extra))
        if not self.up:
            self.to = self.answer.header("To")
        self.send(self.request("ACK", cseq=self.cseq))
        if self.answer.status == 200 and not self.up:
            self.up = True
            self._begin(self.answer.body)
        return self.answer

    def _begin(self, body: str) -> None:
        [address] = set(re.findall(r"^c=IN IP4 (\S+)\r", body, re.MULTILINE))
        [port] = re.findall(r"^m=audio (\d+) RTP/S?AVP", body, re.MULTILINE)
        theirs = re.findall(r"^a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:(\S+?)(?:\||\r)", body, re.MULTILINE)
        channel: object = self.media
        if theirs:
            channel = self.secure = SecureSocket(self.media, self.keys, Keys(theirs[0]))
        self.line = Line((address, int(port)), channel)  # type: ignore[arg-type]

    def _read(self) -> None:
        """Cuts the stream into messages by Content-Length."""
        held = b""
        while True:
            head, end, rest = held.partition(b"\r\n\r\n")
            length = re.search(rb"(?im)^Content-Length:\s*(\d+)", head)
            if end and length is not None and len(rest) >= int(length[1]):
                size = len(head) + 4 + int(length[1])
                self._incoming.send(held[:size])
                held = held[size:]
                continue
            select.select([self._tls], [], [])
            try:
                with self._turn:
                    data = self._tls.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                continue
            except OSError:
                return
            if not data:
                return
            held += data
