"""Reads encrypted zips by the public description of WinZip's AES encryption (AE-1 and AE-2), without the library that
writes them."""

import hashlib
import hmac
import io
import struct
import zipfile
import zlib

from Crypto.Cipher import AES
from Crypto.Util import Counter

_AES = 99
_EXTRA = 0x9901
_KEY = 32


class WrongPassword(Exception):
    """The password does not fit."""


def unzipped(archive: bytes, password: str) -> dict[str, bytes]:
    """The files by name. Raises WrongPassword, AssertionError for what was damaged."""
    with zipfile.ZipFile(io.BytesIO(archive)) as listed:
        return {info.filename: _content(archive, info, password) for info in listed.infolist()}


def _content(archive: bytes, info: zipfile.ZipInfo, password: str) -> bytes:
    assert info.compress_type == _AES
    assert info.flag_bits & 1, "it is encrypted"
    name, extra = struct.unpack("<HH", archive[info.header_offset + 26 : info.header_offset + 30])
    begin = info.header_offset + 30 + name + extra
    data = archive[begin : begin + info.compress_size]
    strength, method = _aes_of(info.extra)
    assert strength == 3, "256 bits"
    salt, verifier, encrypted, mac = data[:16], data[16:18], data[18:-10], data[-10:]
    derived = hashlib.pbkdf2_hmac("sha1", password.encode(), salt, 1000, 2 * _KEY + 2)
    if derived[-2:] != verifier:
        raise WrongPassword
    assert hmac.new(derived[_KEY : 2 * _KEY], encrypted, "sha1").digest()[:10] == mac
    counter = Counter.new(128, initial_value=1, little_endian=True)
    plain = AES.new(derived[:_KEY], AES.MODE_CTR, counter=counter).decrypt(encrypted)
    return zlib.decompress(plain, -15) if method == zipfile.ZIP_DEFLATED else plain


def _aes_of(extra: bytes) -> tuple[int, int]:
    """Strength and the method of compression."""
    while extra:
        kind, size = struct.unpack("<HH", extra[:4])
        if kind == _EXTRA:
            _, _, strength, method = struct.unpack("<H2sBH", extra[4 : 4 + size])
            return strength, method
        extra = extra[4 + size :]
    raise AssertionError("it does not say how it is encrypted")
