"""Recognise binary files by their first bytes."""

import re
from typing import NamedTuple

HEAD_BYTES = 512  # examined at the start of a file


class Kind(NamedTuple):
    """A kind of file: its name with an article, and its first bytes."""

    name: str
    start: bytes
    offset: int = 0
    binary: bool = False  # whether text may begin like this: then a zero byte is required too


_KINDS = (
    Kind("a PNG picture", b"\x89PNG\r\n\x1a\n"),
    Kind("a JPEG picture", b"\xff\xd8\xff"),
    Kind("a GIF picture", b"GIF87a"),
    Kind("a GIF picture", b"GIF89a"),
    Kind("a TIFF picture", b"II*\0"),
    Kind("a TIFF picture", b"MM\0*"),
    Kind("a Photoshop picture", b"8BPS\0"),
    Kind("a BMP picture", b"BM", binary=True),
    Kind("an icon", b"\0\0\1\0"),
    Kind("a WebP picture", b"WEBP", 8),
    Kind("a WAV recording", b"WAVE", 8),
    Kind("an AVI film", b"AVI ", 8),
    Kind("an MP3 recording", b"ID3", binary=True),
    Kind("an MP3 recording", b"\xff\xfb", binary=True),
    Kind("a FLAC recording", b"fLaC"),
    Kind("an Ogg recording", b"OggS\0"),
    Kind("a MIDI recording", b"MThd\0"),
    Kind("an HEIC picture", b"ftypheic", 4),
    Kind("an MP4 film or recording", b"ftyp", 4, binary=True),
    Kind("a Matroska or WebM film", b"\x1a\x45\xdf\xa3"),
    Kind("a Flash film", b"FLV\1"),
    Kind("a PostScript document", b"%!PS-"),
    Kind("an RTF document", b"{\\rtf"),
    Kind("a DjVu document", b"AT&TFORM"),
    Kind("a Word, Excel or PowerPoint document of before 2007", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    Kind("a Kindle book", b"BOOKMOBI", 60),
    Kind("a Windows help file", b"ITSF\3"),
    Kind("a font", b"OTTO\0"),
    Kind("a font", b"\0\1\0\0\0"),
    Kind("a font", b"wOFF"),
    Kind("a font", b"wOF2"),
    Kind("a 7-Zip archive", b"7z\xbc\xaf\x27\x1c"),
    Kind("a RAR archive", b"Rar!\x1a\x07"),
    Kind("a Windows cabinet", b"MSCF\0"),
    Kind("a file of the old program compress", b"\x1f\x9d"),
    Kind("an LZ4 file", b"\x04\x22\x4d\x18"),
    Kind("a Debian package", b"!<arch>\ndebian"),
    Kind("an RPM package", b"\xed\xab\xee\xdb"),
    Kind("a program for Linux", b"\x7fELF"),
    Kind("a program for Windows", b"MZ", binary=True),
    Kind("a program for macOS", b"\xcf\xfa\xed\xfe"),
    Kind("a Java class or a program for macOS", b"\xca\xfe\xba\xbe"),
    Kind("a WebAssembly program", b"\0asm"),
    Kind("compiled Python", b"\xa7\r\r\n"),
    Kind("an SQLite database", b"SQLite format 3\0"),
    Kind("an encrypted Parquet table", b"PARE", binary=True),
    Kind("an Avro table", b"Obj\1"),
    Kind("an ORC table", b"ORC", binary=True),
    Kind("an Arrow table", b"ARROW1\0\0"),
    Kind("an HDF5 file, such as Keras's weights", b"\x89HDF\r\n\x1a\n"),
    Kind("a NumPy array", b"\x93NUMPY"),
    Kind("a GGUF model", b"GGUF", binary=True),
    Kind("a Python pickle, which may run code when it is loaded", b"\x80\4\x95"),
    Kind("a key or message of PGP", b"-----BEGIN PGP MESSAGE"),
)
_SAFETENSORS = re.compile(rb'.{4}\0\0\0\0\{"', re.DOTALL)


def recognise(head: bytes) -> str | None:
    """Return the kind of a binary file by its first bytes, or None for a file that may be text.

    >>> recognise(b"\\x89PNG\\r\\n\\x1a\\n..."), recognise(b"Once upon a time")
    ('a PNG picture', None)
    """
    if _SAFETENSORS.match(head):
        return "a safetensors model"
    for kind in _KINDS:
        if head.startswith(kind.start, kind.offset) and (b"\0" in head or not kind.binary):
            return kind.name
    return None
