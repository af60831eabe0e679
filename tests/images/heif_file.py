"""Writes HEIF files, box by box, because Pillow writes neither grids nor all properties."""

import io
import struct

import pillow_heif

pillow_heif.register_heif_opener()

CODECS = {"HEIF": (b"heic", b"hvc1")}


def encoded(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def box(kind, *parts):
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full_box(kind, version, flags, *parts):
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def boxes(data):
    at, found = 0, {}
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        found[kind] = data[at + 8 : at + (size or len(data))]
        at += size or len(data)
    return found


def ispe(width, height):
    return full_box(b"ispe", 0, 0, struct.pack(">II", width, height))


def nclx(primaries, matrix, full_range):
    return box(b"colr", b"nclx", struct.pack(">HHHB", primaries, 13, matrix, full_range << 7))


def clap(width, height, right, down):
    """The size of a part, and the distances of its middle from that of the image, in halves of a pixel."""
    return box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, right, 2, down, 2))


def coded(image, format, **options):
    """The properties and the data of an item that is the whole image."""
    file = boxes(encoded(image, format, **options))
    properties = boxes(boxes(boxes(file[b"meta"][4:])[b"iprp"])[b"ipco"])
    config = b"hvcC"
    return [box(config, properties[config]), ispe(*image.size)], file[b"mdat"]


def heif(format, items, references=(), locations=None):
    """A file of items: their types, properties and data. The first is the primary one, and has the ID 1. References are
    the type, the ID that refers, and those that are referred to. `locations` gets the place of the data, and returns the
    entries of the box iloc."""
    brand = CODECS[format][0]
    known, associations = [], b""
    for number, (_, properties, _) in enumerate(items, 1):
        known += [property for property in properties if property not in known]
        associations += struct.pack(">HB", number, len(properties))
        for property in properties:
            # A reader must know what configures the decoder and what transforms the image.
            is_essential = property[4:8] in (b"hvcC", b"irot", b"imir", b"clap")
            associations += struct.pack(">H", is_essential << 15 | known.index(property) + 1)
    entries = [
        full_box(b"infe", 2, number > 1, struct.pack(">HH", number, 0), kind, b"\0")
        for number, (kind, _, _) in enumerate(items, 1)
    ]

    def places(at):
        for number, (_, _, data) in enumerate(items, 1):
            yield struct.pack(">3H2I", number, 0, 1, at, len(data))
            at += len(data)

    def meta(start):
        return full_box(
            b"meta", 0, 0,
            full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            full_box(b"pitm", 0, 0, struct.pack(">H", 1)),
            full_box(b"iinf", 0, 0, struct.pack(">H", len(items)), *entries),
            full_box(b"iref", 0, 0, *[
                box(kind, struct.pack(f">HH{len(to)}H", source, len(to), *to)) for kind, source, to in references
            ]),
            box(b"iprp", box(b"ipco", *known), full_box(b"ipma", 0, 1, struct.pack(">I", len(items)), associations)),
            full_box(b"iloc", 0, 0, b"\x44\0", struct.pack(">H", len(items)), *(locations or places)(start)),
        )  # fmt: skip

    head = box(b"ftyp", brand, bytes(4), b"mif1", brand, b"miaf")
    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", *[data for _, _, data in items])


def one_item(image, format, *more, **options):
    properties, data = coded(image, format, **options)
    return heif(format, [(CODECS[format][1], [*properties, *more], data)])


def grid(tiles, columns, size, format, *more):
    """A file of tiles: their properties and their data."""
    head = struct.pack(">4B2H", 0, 0, len(tiles) // columns - 1, columns - 1, *size)
    items = [(b"grid", [ispe(*size), *more], head)] + [(CODECS[format][1], *tile) for tile in tiles]
    return heif(format, items, [(b"dimg", 1, range(2, 2 + len(tiles)))])


def in_tiles(image, side, format, *more, **options):
    """An image as a grid. The tiles at its right and lower edges are filled up with black."""
    columns, rows = -(-image.width // side), -(-image.height // side)
    parts = [image.crop((x * side, y * side, (x + 1) * side, (y + 1) * side)) for y in range(rows) for x in range(columns)]
    return grid([coded(part, format, **options) for part in parts], columns, image.size, format, *more)
