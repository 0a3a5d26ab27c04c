"""Image files to RGB pixels: size limits, orientation, colour modes; every failure has a reason.

load           load an image by path, URI, bytes, PIL image or array
decoding       image files to RGB images, and to the pixels of an encoder
formats        recognise and open files of the supported formats
colour         pictures of any mode and depth to 8-bit RGB on white
repair         complete JPEG files that lack their end
memory         the limit of the memory that all threads decode in
libtiff        settings of the library that reads TIFF
resize         resize and crop
preprocessing  the input that an encoder expects
options        options of decoding
suffixes       the suffixes of image files
"""

from mm_milvus.old_names import old_names

__getattr__ = old_names(
    __name__,
    {
        "Preprocessing": "mm_milvus.images.preprocessing",
        "decode": "mm_milvus.images.decoding",
        "load_pixels": "mm_milvus.images.decoding",
    },
)
