"""Base64 that arrives in pieces of any size, decoded into a draft as it comes."""

import binascii

import pybase64

from pipeline.models import Draft

_SMALL = 8 * 1024
_WHITESPACE = b" \t\r\n\f\v"
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")


class Base64Stream:
    """Decodes pieces into ``draft``. Takes both alphabets, whitespace, and missing padding.

    Never raises over the content: after the first fault ``problem`` says what is wrong and the
    rest is ignored, because the string may turn out to be one that nobody asked for. `StoreError`
    from the draft passes through.
    """

    def __init__(self, draft: Draft) -> None:
        self.draft = draft
        self.problem: str | None = None
        self._rest = b""  # fewer than four characters
        self._padded = False
        self._loose = False

    def feed(self, piece: bytes | memoryview) -> None:
        if self.problem is not None or not len(piece):
            return
        if not self._loose:
            # Most base64 is plain: decoding straight from the network's buffer, without a copy,
            # costs 0.1 ms a megabyte. Only what fails that pays for tolerance.
            try:
                self._decode(piece)
            except binascii.Error:
                self._loose = True
            else:
                return
        plain = bytes(piece).translate(_FROM_URL_SAFE, _WHITESPACE)
        self._rest = self._rest.translate(_FROM_URL_SAFE, _WHITESPACE)
        try:
            self._decode(plain)
        except binascii.Error as error:
            self.problem = f"invalid base64 after {self.draft.size} bytes: {error}"

    def finish(self) -> None:
        """The string is complete."""
        if self.problem is not None:
            return
        rest = self._rest.translate(_FROM_URL_SAFE, _WHITESPACE).rstrip(b"=")
        if self._padded:
            if rest:
                self.problem = "invalid base64: characters after the padding"
        elif len(rest) == 1:
            self.problem = "invalid base64: cut off in the middle of a byte"
        elif rest:
            try:
                self.draft.write(_decoded(rest + b"=" * (4 - len(rest))))
            except binascii.Error as error:
                self.problem = f"invalid base64 at its end: {error}"

    def _decode(self, piece: bytes | memoryview) -> None:
        """Writes every whole quantum. On an error nothing was written and no state changed."""
        view = memoryview(piece)
        first = b""
        if self._rest:
            missing = 4 - len(self._rest)
            first = self._rest + bytes(view[:missing])
            if len(first) < 4:
                self._rest = first
                return
            view = view[missing:]
        whole = len(view) & ~3
        padded = self._padded
        decoded = []
        for quanta in (first, view[:whole]):
            if not len(quanta):
                continue
            if padded:
                raise binascii.Error("characters after the padding")
            decoded.append(_decoded(quanta))
            padded = quanta[-1] == 0x3D
        self._rest = bytes(view[whole:])
        self._padded = padded
        for data in decoded:
            self.draft.write(data)


def _decoded(quanta: bytes | memoryview) -> bytes:
    # pybase64 is thirty times as fast but lets go of the interpreter's lock, and getting that back
    # from busy threads costs more than a small piece is worth.
    if len(quanta) <= _SMALL:
        if bytes(quanta[-3:]) == b"===":  # which Python 3.11 lets pass
            raise binascii.Error("Excess padding")
        return binascii.a2b_base64(quanta, strict_mode=True)
    return pybase64.b64decode(quanta, validate=True)
