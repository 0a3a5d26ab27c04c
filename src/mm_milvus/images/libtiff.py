"""Settings and facts of the libtiff library that Pillow uses.

libtiff writes its errors to file descriptor 2, from C. Redirecting the descriptor while a file is
decoded would swallow the output of every other thread, and Pillow switches off only the warnings.
libtiff's own setting is the way that loses nothing else: it is set once, is safe with threads, and
concerns the copy of libtiff that Pillow is linked to. The fact itself is not lost, as Pillow raises
an error for the file.

The functions are looked up through Pillow's own extension module, which finds the copy that it is
linked to wherever that is. Where the lookup finds none (Windows links libtiff statically), nothing
is set.
"""

from __future__ import annotations

import ctypes
from functools import cache

import PIL._imaging


@cache
def silence() -> None:
    """Keep the errors of libtiff from the terminal."""
    library = _library()
    for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
        setter = getattr(library, name, None)
        if setter is not None:
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)


def can_decompress(compression: int) -> bool:
    """Return whether this libtiff has a compression, by its TIFF number; True if unknown."""
    function = getattr(_library(), "TIFFIsCODECConfigured", None)
    if function is None:
        return True
    function.argtypes, function.restype = [ctypes.c_uint16], ctypes.c_int
    return bool(function(compression))


@cache
def _library() -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(PIL._imaging.__file__)
    except (OSError, AttributeError, TypeError):
        return None
