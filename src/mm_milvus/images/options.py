"""Options of decoding."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeOptions:
    """How image files are decoded where a file leaves a choice.

    Attributes:
        stretch_16bit: Treat a 16-bit picture whose values all fit into 10, 12 or 14 bits as one of
            that depth, as cameras and scanners write them. It applies to grey pictures, and to
            RGB in PNG and TIFF; not to pictures with an alpha channel.
        lenient: Accept a JPEG file that lacks its end marker or its last few bytes; what is
            missing is filled in by the decoder.
    """

    stretch_16bit: bool = False
    lenient: bool = False


DEFAULTS = DecodeOptions()
