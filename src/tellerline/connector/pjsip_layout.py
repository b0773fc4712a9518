"""PJSIP's C functions and the few structure members the gate reads, checked against the loaded library.

The wheel's shared object exports pjsip's C interface. pjsip_rx_data differs from build to build (it holds
the packet buffer), so its offsets are found by having pjsip parse a known message; header layouts are
those of sip_msg.h and must give that message back.
"""

from __future__ import annotations

import ctypes
import dataclasses
import importlib.util
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_size_t, c_ssize_t, c_uint, c_void_p, sizeof
from typing import Any

from tellerline.errors import SipError

# Releases whose pjsip_module and header layouts are those below.
KNOWN_VERSIONS = ("2.15.1",)
INVITE, ACK, OPTIONS, OTHER = 0, 2, 5, 6  # pjsip_method_e

_RDATA_SIZE_BYTES = 65536  # more than any build's pjsip_rx_data (PJSIP_MAX_PKT_LEN is 4,000)
_KNOWN_MESSAGE = (
    b"REFER sip:known@127.0.0.1 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKknown\r\n"
    b"From: <sip:a@127.0.0.1>;tag=from-tag\r\n"
    b"To: <sip:b@127.0.0.1>;tag=to-tag\r\n"
    b"Call-ID: known-call-id\r\n"
    b"CSeq: 20001 REFER\r\n"
    b"Replaces: other@127.0.0.1;to-tag=1;from-tag=2\r\n"
    b"Max-Forwards: 70\r\n"
    b"Content-Type: application/known-type\r\n"
    b"Content-Length: 10\r\n\r\nknown body"
)


class Str(ctypes.Structure):
    """pj_str_t: not terminated by NUL."""

    _fields_ = [("ptr", c_void_p), ("slen", c_ssize_t)]

    def read(self) -> bytes:
        return ctypes.string_at(self.ptr, self.slen) if self.ptr and self.slen > 0 else b""


class Method(ctypes.Structure):
    """pjsip_method: a request line starts with it."""

    _fields_ = [("id", c_int), ("name", Str)]


class _Header(ctypes.Structure):
    """What every pjsip header starts with (PJSIP_DECL_HDR_MEMBER)."""

    _fields_ = [
        ("prev", c_void_p),
        ("next", c_void_p),
        ("type", c_int),
        ("name", Str),
        ("short_name", Str),
        ("vtable", c_void_p),
    ]


class FromToHeader(_Header):
    """pjsip_fromto_hdr up to its tag."""

    _fields_ = [("uri", c_void_p), ("tag", Str)]


class CallIdHeader(_Header):
    """pjsip_cid_hdr."""

    _fields_ = [("id", Str)]


class CSeqHeader(_Header):
    """pjsip_cseq_hdr up to its number."""

    _fields_ = [("number", c_int32)]


class HeaderList(_Header):
    """The head of a circular list of headers, itself no header."""


class Body(ctypes.Structure):
    """pjsip_msg_body up to its length; `parameters` are the content type's, a pjsip_param."""

    _fields_ = [
        ("content_type", Str),
        ("content_subtype", Str),
        ("parameters", c_void_p * 6),
        ("data", c_void_p),
        ("length", c_uint),
    ]

    def read(self) -> bytes:
        return ctypes.string_at(self.data, self.length) if self.data else b""


class RequestMessage(ctypes.Structure):
    """A pjsip_msg that is a request."""

    _fields_ = [
        ("type", c_int),
        ("method", Method),
        ("uri", c_void_p),
        ("headers", HeaderList),
        ("body_at", c_void_p),
    ]

    def body(self) -> Body | None:
        return Body.from_address(self.body_at) if self.body_at else None


OnRequest = ctypes.CFUNCTYPE(c_int, c_void_p)


class Module(ctypes.Structure):
    """pjsip_module (sip_module.h). Callbacks left NULL are not called."""

    _fields_ = [
        ("prev", c_void_p),
        ("next", c_void_p),
        ("name", Str),
        ("id", c_int),
        ("priority", c_int),
        ("load", c_void_p),
        ("start", c_void_p),
        ("stop", c_void_p),
        ("unload", c_void_p),
        ("on_rx_request", OnRequest),
        ("on_rx_response", c_void_p),
        ("on_tx_request", c_void_p),
        ("on_tx_response", c_void_p),
        ("on_tsx_state", c_void_p),
    ]


@dataclasses.dataclass(frozen=True)
class Offsets:
    """Where pjsip_rx_data keeps its pointers to the message and to four of its headers."""

    message: int
    from_header: int
    to_header: int
    call_id: int
    cseq: int

    def request(self, rdata: int) -> RequestMessage:
        return RequestMessage.from_address(_pointer_at(rdata + self.message))

    def to_tag(self, rdata: int) -> bytes:
        return bytes(FromToHeader.from_address(_pointer_at(rdata + self.to_header)).tag.read())

    def identity(self, rdata: int) -> tuple[bytes, bytes, int]:
        """Call-ID, From tag and CSeq number: an INVITE and its ACK share them, another INVITE does not."""
        return (
            CallIdHeader.from_address(_pointer_at(rdata + self.call_id)).id.read(),
            FromToHeader.from_address(_pointer_at(rdata + self.from_header)).tag.read(),
            CSeqHeader.from_address(_pointer_at(rdata + self.cseq)).number,
        )


def load() -> ctypes.CDLL:
    """The library pjsua2's bindings use, its functions declared.

    Raises SipError when it is not a release whose layout is known, or the thread is not PJSIP's.
    """
    spec = importlib.util.find_spec("pjsua2._pjsua2")
    if spec is None or spec.origin is None:
        raise SipError("pjsua2 is not installed; install the locked requirements")
    # The same file the bindings loaded, so the same library state. CDLL gives up the GIL in each call.
    library = ctypes.CDLL(spec.origin)
    try:
        library.pj_get_version.restype = c_char_p
        version = library.pj_get_version().decode()
        if version not in KNOWN_VERSIONS:
            raise SipError(_unknown(f"this is PJSIP {version}"))
        _declare(library)
    except AttributeError as error:
        raise SipError(_unknown(f"the library does not export pjsip's functions: {error}")) from error
    if not library.pj_thread_is_registered():
        raise SipError("this thread is unknown to PJSIP; call libRegisterThread first")
    return library


def find_offsets(library: ctypes.CDLL, endpoint: int) -> Offsets:
    """Has pjsip parse a known message into a blank pjsip_rx_data and looks where it put its pointers.

    Raises SipError when anything reads back differently.
    """
    text = ctypes.create_string_buffer(_KNOWN_MESSAGE)
    rdata = ctypes.create_string_buffer(_RDATA_SIZE_BYTES)
    pool = library.pjsip_endpt_create_pool(endpoint, b"tellerline-check", 4000, 4000)
    try:
        c_void_p.from_buffer(rdata).value = pool  # tp_info.pool, the first member
        message = library.pjsip_parse_rdata(text, len(_KNOWN_MESSAGE), rdata)
        if not message:
            raise SipError(_unknown("it cannot parse a known message"))
        headers = {
            name: find_header(library, message, name) for name in (b"From", b"To", b"Call-ID", b"CSeq")
        }
        if not all(headers.values()) or not find_header(library, message, b"Replaces"):
            raise SipError(_unknown("a known message lacks a header"))
        memory = rdata.raw
        offsets = Offsets(
            message=_only_offset(memory, message),
            from_header=_only_offset(memory, headers[b"From"]),
            to_header=_only_offset(memory, headers[b"To"]),
            call_id=_only_offset(memory, headers[b"Call-ID"]),
            cseq=_only_offset(memory, headers[b"CSeq"]),
        )
        _check(offsets, ctypes.addressof(rdata))
        return offsets
    finally:
        library.pjsip_endpt_release_pool(endpoint, pool)


def find_header(library: ctypes.CDLL, message: int, name: bytes) -> int:
    """Address of the first header of that name (any case), 0 when there is none."""
    wanted = pj_str(name)
    return library.pjsip_msg_find_hdr_by_name(message, byref(wanted), None) or 0


def pj_str(text: bytes) -> Str:
    """A pj_str_t over `text`, which the returned object keeps alive."""
    kept = ctypes.create_string_buffer(text)
    view = Str(ptr=ctypes.addressof(kept), slen=len(text))
    view.kept = kept
    return view


def _declare(library: Any) -> None:
    """Argument types of the functions used: pointers are 64-bit and ctypes would cut them to int."""
    signatures: dict[str, tuple[Any, list[Any]]] = {
        "pjsua_get_pjsip_endpt": (c_void_p, []),
        "pj_thread_is_registered": (c_int, []),
        "pjsip_endpt_register_module": (c_int, [c_void_p, POINTER(Module)]),
        "pjsip_endpt_create_pool": (c_void_p, [c_void_p, c_char_p, c_size_t, c_size_t]),
        "pjsip_endpt_release_pool": (None, [c_void_p, c_void_p]),
        "pjsip_endpt_respond_stateless": (
            c_int,
            [c_void_p, c_void_p, c_int, c_void_p, POINTER(HeaderList), c_void_p],
        ),
        "pjsip_parse_rdata": (c_void_p, [c_char_p, c_size_t, c_char_p]),
        "pjsip_msg_find_hdr_by_name": (c_void_p, [c_void_p, POINTER(Str), c_void_p]),
        "pjsip_retry_after_hdr_create": (c_void_p, [c_void_p, c_int]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments


def _check(offsets: Offsets, rdata: int) -> None:
    method = offsets.request(rdata).method
    body = offsets.request(rdata).body()
    if body is None or (body.content_subtype.read(), body.read()) != (b"known-type", b"known body"):
        raise SipError(_unknown("a known body reads back differently"))
    found = (method.id, method.name.read(), offsets.to_tag(rdata), *offsets.identity(rdata))
    if found != (OTHER, b"REFER", b"to-tag", b"known-call-id", b"from-tag", 20001):
        raise SipError(_unknown("a known message reads back differently"))


def _pointer_at(address: int) -> int:
    return c_void_p.from_address(address).value or 0


def _only_offset(memory: bytes, pointer: int) -> int:
    wanted = pointer.to_bytes(sizeof(c_void_p), "little")
    found = [at for at in range(0, len(memory), sizeof(c_void_p)) if memory[at : at + len(wanted)] == wanted]
    if len(found) != 1:
        raise SipError(_unknown(f"{len(found)} places hold a pointer that one should"))
    return found[0]


def _unknown(finding: str) -> str:
    return (
        f"the SIP library's memory layout is not a known one ({finding}); "
        f"install pjsua2 built from PJSIP {' or '.join(KNOWN_VERSIONS)}"
    )
