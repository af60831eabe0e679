"""Prints the entries of a ZIP as JSON, after it has compared each with its checksum. Usage: read_zip.py FILE"""

import hashlib
import json
import struct
import sys
import zipfile


def modified(extra):
    """The time in the field UT, in seconds since 1970."""
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind == 0x5455:
            return struct.unpack("<i", extra[5:9])[0]
        extra = extra[4 + length :]
    return None


def digest(archive, entry):
    sha256 = hashlib.sha256()
    # Reading to the end compares the checksum.
    with archive.open(entry) as file:
        while some := file.read(1 << 20):
            sha256.update(some)
    return sha256.hexdigest()


with zipfile.ZipFile(sys.argv[1]) as archive:
    entries = [
        {
            "name": entry.filename,
            "size": entry.file_size,
            "sha256": digest(archive, entry),
            "mode": entry.external_attr >> 16,
            "modified": modified(entry.extra),
        }
        for entry in archive.infolist()
    ]
json.dump(entries, sys.stdout)
