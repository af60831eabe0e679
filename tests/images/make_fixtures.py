"""Writes the images for the tests of thumbnails into a folder: bombs, costly, narrow, large and hollow images,
seeds for mutation, and one image of each kind whose thumbnails must be right, with the colours that Pillow decodes."""

import base64
import io
import json
import random
import struct
import sys
import zlib
from pathlib import Path

import pillow_heif
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from heif_file import CODECS, box, clap, coded, encoded, grid, heif, in_tiles, ispe, nclx, one_item

folder = Path(sys.argv[1])


def save(name, data):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


# PNG, chunk by chunk, because Pillow writes neither interlaced PNGs nor 16 bits of colour.

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deflated(pieces, level=9):
    deflate = zlib.compressobj(level)
    return b"".join([deflate.compress(piece) for piece in pieces] + [deflate.flush()])


def png(width, height, depth, color, idat, *before, interlaced=False):
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), *before, chunk(b"IDAT", idat), chunk(b"IEND")]
    )


def packed(values, depth):
    """A row of samples as bytes."""
    if depth == 8:
        return bytes(values)
    if depth == 16:
        return struct.pack(f">{len(values)}H", *values)
    per_byte = 8 // depth
    values = values + [0] * (-len(values) % per_byte)
    return bytes(
        sum(value << (8 - depth * (at + 1)) for at, value in enumerate(values[n : n + per_byte]))
        for n in range(0, len(values), per_byte)
    )


def rows(width, height, depth, pixel, interlaced):
    """`pixel` returns the samples at x, y. No row is filtered, because that makes no difference for these images."""
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        for y in range(y0, height, dy):
            samples = [sample for x in range(x0, width, dx) for sample in pixel(x, y)]
            if samples:
                yield b"\0" + packed(samples, depth)


def huge(filler):
    """256 MiB of zeros, compressed to a quarter of a megabyte."""
    return deflated([filler] + [bytes(1 << 20)] * 256)


# Colour profiles: a matrix and a curve, which is the whole profile of a camera, a screen or a phone.

SRGB = [(0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139)]
DISPLAY_P3 = [(0.5151, 0.2412, -0.0011), (0.2919, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)]
ADOBE_RGB = [(0.6097, 0.3111, 0.0195), (0.2053, 0.6257, 0.0609), (0.1492, 0.0632, 0.7446)]
SRGB_CURVE = b"para" + bytes(4) + struct.pack(
    ">HH5i", 3, 0, *[round(x * 65536) for x in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)]
)
GAMMA_2_2 = b"curv" + bytes(4) + struct.pack(">IH", 1, 563) + bytes(2)


def profile(columns, curve):
    def xyz(values):
        return b"XYZ " + bytes(4) + struct.pack(">3i", *[round(value * 65536) for value in values])

    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = [(b"desc", text), (b"cprt", b"text" + bytes(4) + b"none\0\0\0\0"), (b"wtpt", xyz((0.9642, 1, 0.8249)))]
    tags += [(name, xyz(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns)]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags:
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", 128 + len(table) + len(body), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp")
    header += bytes(68 - len(header)) + struct.pack(">3i", 0xF6D6, 0x10000, 0xD32D)
    return header + bytes(128 - len(header)) + table + body


SRGB_PROFILE = ImageCms.createProfile("sRGB")


# Bombs: small files whose header claims, or whose data contains, far more pixels or bytes than any real image.


def with_size(jpeg, width, height):
    """A JPEG with another size in its frame header."""
    at = next(at for at in range(len(jpeg)) if jpeg[at] == 0xFF and jpeg[at + 1] in (0xC0, 0xC2))
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def riff(*chunks):
    body = b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def vp8(width, height, rest=bytes(64)):
    # A visible key frame. The length of its first partition is the length of the rest.
    return struct.pack("<I", 0x10 | len(rest) << 5)[:3] + b"\x9d\x01\x2a" + struct.pack("<HH", width, height) + rest


def vp8l(width, height, rest=bytes(64), has_alpha=False):
    return b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14 | has_alpha << 28) + rest


def vp8x(width, height):
    return bytes(4) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]


def bombs():
    tiny = deflated([bytes(4)])
    save("bombs/header-of-100000.png", png(100_000, 100_000, 8, RGB, tiny))
    for bits in (1, 8):
        row = bytes(1 + 18_000 * bits // 8)
        save(f"bombs/324-megapixels-{bits}-bit.png", png(18_000, 18_000, bits, GREY, deflated(row for _ in range(18_000))))
    space = profile(SRGB, SRGB_CURVE)
    size = struct.pack(">I", len(space) + (256 << 20))
    save("bombs/profile.png", png(1, 1, 8, RGB, tiny, chunk(b"iCCP", b"x\0\0" + huge(size + space[4:]))))
    save("bombs/ztxt.png", png(1, 1, 8, RGB, tiny, chunk(b"zTXt", b"Comment\0\0" + huge(b""))))
    save("bombs/itxt.png", png(1, 1, 8, RGB, tiny, chunk(b"iTXt", b"Comment\0\1\0\0\0" + huge(b""))))

    small = Image.new("RGB", (16, 16), "red")
    save("bombs/baseline-65535.jpg", with_size(encoded(small, "JPEG"), 65_535, 65_535))
    save("bombs/progressive-65535.jpg", with_size(encoded(small, "JPEG", progressive=True), 65_535, 65_535))

    gif = encoded(small.convert("P"), "GIF")
    save("bombs/screen-65535.gif", gif[:6] + struct.pack("<HH", 65_535, 65_535) + gif[10:])
    # The palette, then the same frame many times. The dictionary is cleared before every pixel.
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    save("bombs/5000-frames.gif", b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6) + frame * 5000 + b";")

    rgb = {258: [8, 8, 8], 262: [2], 277: [3], 284: [1]}
    save("bombs/strip-65535.tif", tiff(65_535, 65_535, rgb | {259: [5]}, [bytes(64)]))
    save("bombs/deflate-blocks.tif", tiff(1, 1, rgb | {259: [8]}, [deflate_blocks(80_000)]))
    save("bombs/mask-65535.bmp", bmp(65_535, 65_535, 24, 0, bytes(64)))
    icon = png(100_000, 100_000, 8, RGB, tiny)
    save("bombs/png-100000.ico", struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(icon), 22) + icon)
    # A size of 30 bits for each side, and default values.
    size = Bits().put(0xAFF, 16).put(0, 1).put(3, 2).put((1 << 30) - 1, 30).put(0, 3).put(3, 2).put((1 << 30) - 1, 30)
    save("bombs/size-of-30-bits.jxl", size.put(1, 1).bytes() + bytes(64))
    save("bombs/vp8.webp", riff((b"VP8 ", vp8(16_383, 16_383))))
    save("bombs/vp8l.webp", riff((b"VP8L", vp8l(16_384, 16_384))))
    save("bombs/vp8x.webp", riff((b"VP8X", vp8x(16_384, 16_384)), (b"VP8L", vp8l(16_384, 16_384))))
    save("bombs/vp8x-16-million.webp", riff((b"VP8X", vp8x(1 << 24, 1 << 24)), (b"VP8L", vp8l(16_384, 16_384))))


    grey = Image.new("RGB", (64, 64), "grey")
    tile = coded(grey, "HEIF")
    save("bombs/grid-65535.heic", grid([tile], 1, (65_535, 65_535), "HEIF"))
    kind, ([config, _], data) = CODECS["HEIF"][1], tile
    save("bombs/item-65535.heic", heif("HEIF", [(kind, [config, ispe(65_535, 65_535)], data)]))
    # The coded image has four million pixels, and its item has 64 x 64.
    [config, _], data = coded(grey.resize((2048, 2048)), "HEIF")
    save("bombs/two-sizes.heic", heif("HEIF", [(kind, [config, ispe(64, 64)], data)]))


# Time bombs: small files that make a decoder build tables or read data that the pixels do not need.


class Bits:
    """Bits in the order of deflate, GIF and WebP: low bits of a byte first, and Huffman codes from their first bit."""

    def __init__(self):
        self.value, self.count = 0, 0

    def put(self, value, count):
        self.value |= value << self.count
        self.count += count
        return self

    def code(self, code):
        return self.put(int(code[::-1], 2), len(code))

    def repeated(self, times):
        """The bits repeated `times` times. `times` is a multiple of eight, so that whole bytes repeat."""
        eight = sum(self.value << (at * self.count) for at in range(8))
        return eight.to_bytes(self.count, "little") * (times // 8)

    def bytes(self):
        return self.value.to_bytes(-(-self.count // 8), "little")


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", 2 + len(body)) + body


def huffman_table(kind, codes):
    """`codes` maps the length of codes to their symbols."""
    counts = bytes(len(codes.get(length, b"")) for length in range(1, 17))
    return bytes([kind]) + counts + b"".join(symbols for _, symbols in sorted(codes.items()))


def with_tables(jpeg, table, count):
    """A JPEG with additional DHT segments, of many tables each, before all its other segments."""
    each = 65_000 // len(table)
    return jpeg[:2] + segment(0xC4, table * each) * (count // each) + jpeg[2:]


def jpeg_of_empty_blocks(width, height, is_progressive, *scans):
    """A CMYK JPEG without chroma subsampling, whose blocks have no coefficients. A scan is its spectral selection, its
    successive approximation, and its bits for each block."""
    components = range(1, 5)
    frame = b"".join(bytes([component, 0x11, 0]) for component in components)
    header = b"".join(
        [
            b"\xff\xd8",
            segment(0xDB, b"\0" + bytes([1] * 64)),
            segment(0xC2 if is_progressive else 0xC0, struct.pack(">BHHB", 8, height, width, 4) + frame),
            segment(0xC4, huffman_table(0x00, {1: b"\0"}) + huffman_table(0x10, {1: b"\0"})),
        ]
    )
    named = b"\x04" + b"".join(bytes([component, 0]) for component in components)
    blocks = 4 * -(-width // 8) * -(-height // 8)
    data = b"".join(segment(0xDA, named + bytes(selection)) + bytes(blocks * bits // 8) for *selection, bits in scans)
    return header + data + b"\xff\xd9"


def repeated_scan():
    """A sequential JPEG of 12 megapixels, whose scan comes 100 times."""
    return jpeg_of_empty_blocks(760, 16_384, False, *[(0, 63, 0, 2)] * 100)


def deflate_blocks(count):
    """Blocks of 13 bytes that define 64 codes of six bits, and use one of them, the end of the block."""
    block = Bits().put(0, 1).put(2, 2).put(0, 5).put(0, 5).put(8 - 4, 4)
    # The lengths of the codes for 16, 17, 18, 0, 8, 7, 9 and 6, in the order of the format.
    for length in (1, 0, 3, 3, 0, 0, 0, 2):
        block.put(length, 3)
    six, again, zeros, zero = "10", "0", "111", "110"
    block.code(six)
    for times in (6, 6, 6, 6, 6, 6, 6, 6, 6, 5, 3):
        block.code(again).put(times - 3, 2)
    block.code(zeros).put(138 - 11, 7).code(zeros).put(256 - 63 - 138 - 11, 7).code(six)
    block.code(zero).code("111111")
    last = b"\1" + struct.pack("<HH", 4, 0xFFFF ^ 4) + bytes(4)
    return b"\x78\x01" + block.repeated(count) + last + struct.pack(">I", zlib.adler32(bytes(4)))


def clear_codes(count):
    """A GIF of one pixel that clears its table of 257 codes `count` times before the pixel."""
    codes = Bits().put(256, 9).repeated(count)
    blocks = b"".join(bytes([len(codes[at : at + 255])]) + codes[at : at + 255] for at in range(0, len(codes), 255))
    screen = struct.pack("<HHBBB", 1, 1, 0xF7, 0, 0) + bytes(3 * 256)
    return b"GIF89a" + screen + b"\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x08" + blocks + b"\0;"


def prefix_code_groups(side):
    """A lossless WebP of black pixels in blocks of 4 x 4. The last block demands 65536 groups of prefix codes."""

    def one(symbol):
        return Bits().put(1, 1).put(0, 1).put(1, 1).put(symbol, 8)

    def add(bits, *others):
        for other in others:
            bits.put(other.value, other.count)
        return bits

    # No transform. The image has a colour cache of 11 bits, and the entropy image has none.
    head = Bits().put(0, 1).put(1, 1).put(11, 4).put(1, 1).put(0, 3).put(0, 1)
    # Green and red have codes of one bit for 0 and 255. Then the pixels follow; the last is 255 in both.
    zero_or_255 = Bits().put(1, 1).put(1, 1).put(1, 1).put(0, 8).put(255, 8)
    add(head, zero_or_255, zero_or_255, one(0), one(0), one(0))
    head.put(3 << 2 * ((side // 4) ** 2 - 1), 2 * (side // 4) ** 2)
    # A group. Green has 280 + 2048 symbols, of which the first and the last have codes of one bit.
    green = Bits().put(0, 1).put(0, 4)
    for length in (0, 1, 0, 1):
        green.put(length, 3)
    green.put(0, 1).code("0")
    for times in (*[138] * 16, 118):
        green.code("1").put(times - 11, 7)
    green.code("0")
    group = add(green, one(0), one(0), one(255), one(0))
    groups = group.repeated(65_536)
    data = add(head, Bits().put(int.from_bytes(groups, "little"), 8 * len(groups))).bytes()
    return riff((b"VP8L", vp8l(side, side, data + bytes(side * side // 8 + 8))))


def noise(width, height):
    """A lossless WebP that takes as many bytes as its pixels, and whose width is hardly reduced. It takes the most
    memory."""
    head = Bits().put(0, 1).put(0, 1).put(0, 1)
    # Green, red, blue and alpha have 256 codes of eight bits. Green has symbols for copies, too, which are not used.
    for symbols in (280, 256, 256, 256):
        head.put(0, 1).put(12 - 4, 4)
        for length in (0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1):
            head.put(length, 3)
        head.put(0, 1).put((1 << 256) - 1, symbols)
    head.put(1, 1).put(0, 1).put(1, 1).put(0, 8)
    data = head.bytes() + random.Random(1).randbytes(4 * width * height + 8)
    return riff((b"VP8L", vp8l(width, height, data, has_alpha=True)))


def with_tags(space, count):
    """A profile that has the same tag `count` times, each with the same table of colours, of half a megabyte."""
    grid = 55
    table = b"mft1" + bytes(4) + bytes([3, 3, grid, 0]) + struct.pack(">9i", *[65_536, 0, 0, 0] * 2, 65_536)
    table += bytes(range(256)) * 3 + bytes(3 * grid**3) + bytes(range(256)) * 3
    start = 128 + 4 + 12 * count
    tags = struct.pack(">I", count) + (b"A2B0" + struct.pack(">II", start, len(table))) * count
    header = struct.pack(">I", start + len(table)) + space[4:12] + b"prtrRGB Lab " + space[24:128]
    return header + tags + table


def bombs_of_time():
    red = Image.new("RGB", (16, 16), "red")
    # A table of two codes, of one bit each.
    table = huffman_table(0x10, {1: b"\1\1"})
    save("bombs/huffman-tables.jpg", with_tables(encoded(red, "JPEG"), table, 54_000))
    save("bombs/deflate-blocks.png", png(1, 1, 8, RGB, deflate_blocks(80_000)))
    save("bombs/empty-idat.png", png(1, 1, 8, RGB, deflated([bytes(4)]), chunk(b"IDAT") * 80_000))
    save("bombs/clear-codes.gif", clear_codes(800_000))
    save("bombs/prefix-code-groups.webp", prefix_code_groups(16))
    save("bombs/prefix-code-groups-1024.webp", prefix_code_groups(1024))
    icc = with_tags(profile(SRGB, SRGB_CURVE), 40_000)
    save("bombs/profile-tags.jpg", encoded(red, "JPEG", icc_profile=icc))
    save("costly/repeated-scan.jpg", repeated_scan())
    noise_tile = coded(Image.effect_noise((64, 64), 99).convert("RGB"), "HEIF", quality=90)

    def shared(start):
        at = start + 12
        yield struct.pack(">3H2I", 1, 0, 1, start, 8)
        for number in range(2, 2 + 1024):
            yield struct.pack(">3H2I", number, 0, 1, at, len(noise_tile[1]))

    head = (b"grid", [ispe(2048, 2048)], struct.pack(">4B2H", 0, 0, 31, 31, 2048, 2048) + bytes(4) + noise_tile[1])
    tiles = [(b"hvc1", noise_tile[0], b"")] * 1024
    references = [(b"dimg", 1, range(2, 2 + 1024))]
    save("bombs/shared-tiles.heic", heif("HEIF", [head, *tiles], references, shared))
    item = (b"hvc1", *noise_tile)
    whole = struct.pack(">3H", 1, 0, 60_000) + struct.pack(">2I", 0, 400_000) * 60_000
    save("bombs/extents.heic", heif("HEIF", [item], (), lambda start: [whole]))
    save("bombs/items.heic", heif("HEIF", [item, *[(b"hvc1", [], b"")] * 60_000]))
    save("narrow/noise.webp", noise(999, 16_384))


# Hollow images: a size that is allowed, but no data of its pixels.


def hollow():
    for depth, color, name in [(1, GREY, "grey"), (8, RGB, "rgb"), (16, RGBA, "rgba16")]:
        for interlaced in (False, True):
            kind = f"{name}{'-interlaced' if interlaced else ''}"
            save(f"hollow/{kind}.png", png(7000, 7000, depth, color, deflated([]), interlaced=interlaced))
    small = Image.new("RGB", (16, 16), "red")
    for name, options in [("baseline", {}), ("progressive", {"progressive": True, "subsampling": 0})]:
        jpeg = with_size(encoded(small, "JPEG", **options), 7000, 7000)
        save(f"hollow/{name}.jpg", jpeg)
        save(f"hollow/{name}-without-end.jpg", jpeg[:-2])
        save(f"hollow/{name}-headers.jpg", jpeg[: jpeg.rindex(b"\xff\xda")])
        save(f"hollow/{name}-1-x-16384.jpg", with_size(jpeg, 1, 16_384))
        save(f"hollow/{name}-250-megapixels.jpg", with_size(jpeg, 16_384, 15_258))
    gif = b"GIF89a" + struct.pack("<HHBBB", 7000, 7000, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, 7000, 7000, 0) + b"\x02"
    save("hollow/nothing.gif", gif + b";")
    save("hollow/no-data.gif", gif + frame + b"\x00;")
    save("hollow/cut-off.gif", gif + frame)
    save("hollow/frame-outside.gif", gif + b"\x2c" + struct.pack("<4HB", 65_535, 65_535, 65_535, 65_535, 0) + b"\x02\x00;")
    for compression in (1, 3, 4, 5, 7, 8, 32773):
        fields = {258: [1], 259: [compression], 262: [0], 277: [1], 284: [1]}
        save(f"hollow/compression-{compression}.tif", tiff(7000, 7000, fields, [b"\0"]))
    save("hollow/rgb.bmp", bmp(7000, 7000, 24, 0, b""))
    save("hollow/rle8.bmp", bmp(7000, 7000, 8, 1, b"\0\1", bytes(1024)))
    save("hollow/vp8.webp", riff((b"VP8 ", vp8(7000, 7000))))
    save("hollow/vp8l.webp", riff((b"VP8L", vp8l(7000, 7000))))
    save("hollow/vp8x.webp", riff((b"VP8X", vp8x(7000, 7000))))
    grey = Image.new("RGB", (500, 500), "grey")
    kind, (properties, data) = CODECS["HEIF"][1], coded(grey, "HEIF")
    save("hollow/tiles.heic", grid([(properties, data[:12])] * 196, 14, (7000, 7000), "HEIF"))
    save("hollow/no-tiles.heic", grid([(properties, b"")] * 196, 14, (7000, 7000), "HEIF"))
    properties, data = coded(grey.resize((4500, 4500)), "HEIF")
    whole = heif("HEIF", [(kind, properties, data)])
    save("hollow/whole-cut-off.heic", whole[: -len(data) // 2])
    save("hollow/whole-half.heic", heif("HEIF", [(kind, properties, data[: len(data) // 2])]))
    noise = data[:32] + random.Random(1).randbytes(1000)
    save("hollow/whole-noise.heic", heif("HEIF", [(kind, properties, noise)]))


# Large images: as many pixels as the limits allow. Those of 49 megapixels contain the same gradient.


def large():
    side = 7000
    across = bytes(x * 255 // side for x in range(side))
    rgb = Image.merge(
        "RGB",
        [
            Image.frombytes("L", (side, 1), across).resize((side, side)),
            Image.frombytes("L", (1, side), across).resize((side, side)),
            Image.new("L", (side, side), 128),
        ],
    )
    save("large/rgb.png", encoded(rgb, "PNG", compress_level=1))
    save("large/baseline.jpg", encoded(rgb, "JPEG", quality=85))
    save("large/progressive.jpg", encoded(rgb, "JPEG", quality=85, progressive=True, subsampling=0))
    save("large/one-strip.tif", encoded(rgb, "TIFF", compression="tiff_lzw", tiffinfo={317: 2, 278: side}))
    save("large/jpeg-strip.tif", encoded(rgb, "TIFF", compression="jpeg", quality=85, tiffinfo={278: side}))
    save("large/palette.bmp", encoded(rgb.getchannel(0), "BMP"))
    save("large/gradient.gif", encoded(rgb.getchannel(0), "GIF"))
    save("large/lossy.webp", encoded(rgb, "WEBP", quality=75, method=0))
    save("large/lossless.webp", encoded(rgb, "WEBP", lossless=True, quality=0, method=0))

    save("large/grid.heic", in_tiles(rgb, 512, "HEIF", quality=60))
    # Images without tiles, of as many samples as the decoder may hold.
    save("whole/420.heic", encoded(rgb.resize((4600, 4600)), "HEIF", quality=60))
    save("whole/444.heic", encoded(rgb.resize((3200, 3200)), "HEIF", quality=60, chroma=444))
    alpha = Image.merge("RGBA", [*rgb.split(), rgb.getchannel(0)])
    save("whole/alpha.heic", encoded(alpha.resize((4600, 4600)), "HEIF", quality=60))

    def row(y, xs, bits):
        at = across[xs]
        out = bytearray(len(at) * 3)
        out[0::3], out[1::3], out[2::3] = at, across[y : y + 1] * len(at), b"\x80" * len(at)
        if bits == 8:
            return b"\0" + bytes(out)
        deep = bytearray(len(at) * 8)
        for channel in range(3):
            deep[channel * 2 :: 8] = out[channel::3]
        deep[6::8] = deep[7::8] = b"\xff" * len(at)
        return b"\0" + bytes(deep)

    save("large/rgba16.png", png(side, side, 16, RGBA, deflated((row(y, slice(None), 16) for y in range(side)), 1)))
    passes = (row(y, slice(x0, None, dx), 8) for x0, y0, dx, dy in ADAM7 for y in range(y0, side, dy))
    save("large/interlaced.png", png(side, side, 8, RGB, deflated(passes, 1), interlaced=True))
    streamed()


def streamed():
    """Images of 250 megapixels, of formats that may have as many."""
    width, height = 16_384, 15_258
    save("large/250-megapixels.jpg", jpeg_of_empty_blocks(width, height, False, (0, 63, 0, 2)))
    # As many scans of a coefficient as it has bits.
    refined = [(0, 0, (low + 1) << 4 | low, 1) for low in reversed(range(13))]
    progressive = jpeg_of_empty_blocks(width, height, True, (0, 0, 13, 1), *refined)
    save("large/250-megapixels-progressive.jpg", progressive)
    row = b"\0" + bytes(x * 255 // width for x in range(width))
    save("large/250-megapixels.png", png(width, height, 8, GREY, deflated((row for _ in range(height)), 1)))


# Formats: 6 x 4 patches. All rows and all columns are different, so that each wrong orientation or channel shows.

COLUMNS, ROWS, PATCH = 6, 4, 100
WIDTH, HEIGHT = COLUMNS * PATCH, ROWS * PATCH
COLORS = [
    [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (128, 128, 128)],
    [(200, 60, 60), (60, 200, 60), (60, 60, 200), (224, 172, 140), (96, 64, 48), (192, 192, 192)],
    [(255, 255, 0), (0, 255, 255), (255, 0, 255), (120, 160, 80), (80, 120, 160), (64, 64, 64)],
    [(240, 200, 40), (40, 100, 90), (150, 30, 110), (250, 128, 114), (30, 30, 60), (100, 100, 120)],
]
EXPECTED = {}


def patches(colors=COLORS):
    image = Image.new("RGB", (COLUMNS, ROWS))
    image.putdata([color for row in colors for color in row])
    return image.resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)


def expect(name, data, colors=None):
    """Saves an image and its expected colours: `colors`, or those that Pillow decodes."""
    save(f"formats/{name}", data)
    if colors is not None:
        EXPECTED[name] = {"width": WIDTH, "height": HEIGHT, "columns": COLUMNS, "rows": ROWS, "colors": colors}
        return
    image = Image.open(io.BytesIO(data))
    icc = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    if icc and image.mode == "RGB":
        image = ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(io.BytesIO(icc)), SRGB_PROFILE, 1)
    image = image.convert("RGBA")
    columns, rows = (COLUMNS, ROWS) if image.size == (WIDTH, HEIGHT) else (ROWS, COLUMNS)
    middles = [
        [image.getpixel((x * PATCH + PATCH // 2, y * PATCH + PATCH // 2)) for x in range(columns)] for y in range(rows)
    ]
    EXPECTED[name] = {
        "width": image.width, "height": image.height, "columns": columns, "rows": rows, "colors": middles,
    }


def exif(orientation, **more):
    tags = Image.Exif()
    tags[0x0112] = orientation
    for tag, value in more.items():
        tags[int(tag[1:], 16)] = value
    return tags


def jpegs():
    image = patches()
    for orientation in range(1, 9):
        expect(f"exif-{orientation}.jpg", encoded(image, "JPEG", quality=95, exif=exif(orientation)))
    jpeg = encoded(image, "JPEG", quality=95, exif=exif(6))
    at = jpeg.index(b"\xff\xe1")
    end = at + 2 + struct.unpack(">H", jpeg[at + 2 : at + 4])[0]
    expect("exif-6-and-3.jpg", jpeg[:end] + segment(0xE1, exif(3).tobytes()) + jpeg[end:])
    for name, options in {
        "444": {"subsampling": 0},
        "422": {"subsampling": 1},
        "420": {"subsampling": 2},
        "420-progressive": {"subsampling": 2, "progressive": True},
        "444-progressive": {"subsampling": 0, "progressive": True},
        "restarts": {"restart_marker_blocks": 3},
        "restarts-progressive": {"restart_marker_rows": 1, "progressive": True},
        "rgb": {"keep_rgb": True},
        "poor": {"quality": 40},
    }.items():
        expect(f"{name}.jpg", encoded(image, "JPEG", **{"quality": 95, **options}))
    expect("grey.jpg", encoded(image.convert("L"), "JPEG", quality=95))
    expect("grey-progressive.jpg", encoded(image.convert("L"), "JPEG", quality=95, progressive=True))
    for name, options in {"": {}, "-progressive": {"progressive": True}}.items():
        cmyk = image.convert("CMYK")
        black = Image.new("L", (WIDTH, HEIGHT))
        black.paste(60, (0, HEIGHT // 2, WIDTH, HEIGHT))
        cmyk = Image.merge("CMYK", [*cmyk.split()[:3], black])
        expect(f"cmyk{name}.jpg", encoded(cmyk, "JPEG", quality=95, **options))
        # Pillow does not write YCCK. It stores the complement of its input, as Adobe does. So its input is the complement
        # of the YCCK values, and Adobe's marker is changed to say YCCK.
        luma = Image.merge("RGB", [ImageOps.invert(band) for band in cmyk.split()[:3]]).convert("YCbCr").split()
        bands = [*[ImageOps.invert(band) for band in luma], black]
        ycck = bytearray(encoded(Image.merge("CMYK", bands), "JPEG", quality=95, **options))
        transform = ycck.index(b"Adobe") + 11
        ycck[transform] = 2
        expect(f"ycck{name}.jpg", bytes(ycck))
        # The value 1 is meant for three components. With four, libjpeg treats it as YCCK.
        ycck[transform] = 1
        expect(f"ycck-1{name}.jpg", bytes(ycck))
    for name, (columns, curve) in {
        "display-p3": (DISPLAY_P3, SRGB_CURVE),
        "adobe-rgb": (ADOBE_RGB, GAMMA_2_2),
        "swapped": (SRGB[::-1], SRGB_CURVE),
        "srgb": (SRGB, SRGB_CURVE),
    }.items():
        icc = profile(columns, curve)
        expect(f"{name}.jpg", encoded(image, "JPEG", quality=95, subsampling=0, icc_profile=icc))
        expect(f"{name}.png", encoded(image, "PNG", icc_profile=icc))
        expect(f"{name}.webp", encoded(image, "WEBP", lossless=True, icc_profile=icc))
        if name == "swapped":
            # The colours of its patches are too far from each other for the smallest thumbnail.
            continue
        expect(f"{name}.heic", encoded(image, "HEIF", quality=95, chroma=444, icc_profile=icc))


def pngs():
    def color(x, y):
        return COLORS[y // PATCH][x // PATCH]

    def grey(x, y):
        # Four levels, which the images of every depth above one bit can store.
        return (x // PATCH + 2 * (y // PATCH)) % 4

    def alpha(x, y):
        return (255, 255, 128, 0)[y // PATCH]

    def in_patches(pixel):
        return [[pixel(x * PATCH, y * PATCH) for x in range(COLUMNS)] for y in range(ROWS)]

    def write(name, depth, kind, pixel, seen, *before):
        for interlaced in (False, True):
            idat = deflated(rows(WIDTH, HEIGHT, depth, pixel, interlaced))
            data = png(WIDTH, HEIGHT, depth, kind, idat, *before, interlaced=interlaced)
            expect(f"{name}{'-interlaced' if interlaced else ''}.png", data, in_patches(seen))

    for depth in (1, 2, 4, 8, 16):
        most = (1 << depth) - 1

        def sample(x, y, most=most):
            return (grey(x, y) * most // 3,) if most > 1 else (grey(x, y) // 2,)

        def seen(x, y, most=most, sample=sample):
            return (*[sample(x, y)[0] * 255 // most] * 3, 255)

        write(f"grey-{depth}", depth, GREY, sample, seen)

        def clear(x, y, seen=seen, sample=sample):
            return (*seen(x, y)[:3], 0 if sample(x, y)[0] == 0 else 255)

        write(f"grey-{depth}-trns", depth, GREY, sample, clear, chunk(b"tRNS", bytes(2)))

    flat = [color for row in COLORS for color in row]
    for depth in (1, 2, 4, 8):
        count = min(len(flat), 1 << depth)
        plte = chunk(b"PLTE", bytes(value for color in flat[:count] for value in color))

        def index(x, y, count=count):
            return ((x // PATCH + COLUMNS * (y // PATCH)) % count,)

        write(f"palette-{depth}", depth, PALETTE, index, lambda x, y, index=index: (*flat[index(x, y)[0]], 255), plte)
        opacity = [0, 128, 255, 64][:count]
        write(
            f"palette-{depth}-trns", depth, PALETTE, index,
            lambda x, y, index=index, opacity=opacity: (*flat[index(x, y)[0]], (opacity + [255] * 24)[index(x, y)[0]]),
            plte, chunk(b"tRNS", bytes(opacity)),
        )  # fmt: skip

    def deep(value):
        return value * 257

    write("rgb-8", 8, RGB, color, lambda x, y: (*color(x, y), 255))
    write("rgb-16", 16, RGB, lambda x, y: map(deep, color(x, y)), lambda x, y: (*color(x, y), 255))

    def red_is_clear(x, y):
        return (*color(x, y), 0 if color(x, y) == (255, 0, 0) else 255)

    write("rgb-8-trns", 8, RGB, color, red_is_clear, chunk(b"tRNS", struct.pack(">3H", 255, 0, 0)))
    write(
        "rgb-16-trns", 16, RGB, lambda x, y: map(deep, color(x, y)), red_is_clear,
        chunk(b"tRNS", struct.pack(">3H", 65_535, 0, 0)),
    )  # fmt: skip
    write("rgba-8", 8, RGBA, lambda x, y: (*color(x, y), alpha(x, y)), lambda x, y: (*color(x, y), alpha(x, y)))
    write(
        "rgba-16", 16, RGBA, lambda x, y: map(deep, (*color(x, y), alpha(x, y))),
        lambda x, y: (*color(x, y), alpha(x, y)),
    )  # fmt: skip
    for depth, scale in ((8, 85), (16, 85 * 257)):
        write(
            f"grey-alpha-{depth}", depth, GREY_ALPHA,
            lambda x, y, scale=scale: (grey(x, y) * scale, alpha(x, y) * scale // 85),
            lambda x, y: (*[grey(x, y) * 85] * 3, alpha(x, y)),
        )  # fmt: skip
    expect("exif-6.png", encoded(patches(), "PNG", exif=exif(6)))


def gifs():
    image = patches()
    exact = image.quantize(32, dither=Image.Dither.NONE)
    opaque = [[(*color, 255) for color in row] for row in COLORS]
    for name, interlace in {"gif": 0, "gif-interlaced": 1}.items():
        expect(f"{name}.gif", encoded(exact, "GIF", interlace=interlace))
    # Index 0 of this palette is red, and transparent.
    palette = Image.new("P", (WIDTH, HEIGHT))
    palette.putpalette([value for row in COLORS for color in row for value in color])
    for y in range(ROWS):
        for x in range(COLUMNS):
            palette.paste(y * COLUMNS + x, (x * PATCH, y * PATCH, (x + 1) * PATCH, (y + 1) * PATCH))
    clear = [[(*color, 0 if color == (255, 0, 0) else 255) for color in row] for row in COLORS]
    expect("transparent.gif", encoded(palette, "GIF", transparency=0, optimize=False), clear)
    second = Image.new("P", (WIDTH, HEIGHT), 2)
    second.putpalette(palette.getpalette())
    frames = encoded(palette, "GIF", save_all=True, append_images=[second], duration=100, optimize=False)
    expect("animated.gif", frames, opaque)
    # The first frame covers the lower right 4 x 3 patches. The rest of the screen is empty.
    part = palette.crop((2 * PATCH, PATCH, WIDTH, HEIGHT))
    gif = bytearray(encoded(part, "GIF", optimize=False, interlace=0))
    assert struct.unpack("<HH", gif[6:10]) == part.size
    gif[6:10] = struct.pack("<HH", WIDTH, HEIGHT)
    frame = gif.index(b"\x2c" + bytes(4) + struct.pack("<HH", *part.size))
    gif[frame + 1 : frame + 5] = struct.pack("<HH", 2 * PATCH, PATCH)
    inside = [
        [(*COLORS[y][x], 255) if x >= 2 and y >= 1 else (0, 0, 0, 0) for x in range(COLUMNS)] for y in range(ROWS)
    ]
    expect("offset.gif", bytes(gif), inside)


def webps():
    image = patches()
    expect("lossy.webp", encoded(image, "WEBP", quality=95))
    expect("lossless.webp", encoded(image, "WEBP", lossless=True))
    see_through = image.copy()
    see_through.putalpha(255)
    see_through.paste((0, 0, 0, 0), (0, 0, PATCH, PATCH))
    half = Image.new("L", (PATCH, PATCH), 128)
    alpha = see_through.getchannel("A")
    alpha.paste(half, (PATCH, 0))
    see_through.putalpha(alpha)
    expect("lossy-alpha.webp", encoded(see_through, "WEBP", quality=95))
    expect("lossless-alpha.webp", encoded(see_through, "WEBP", lossless=True))
    # Large enough for the decoder without the loop filter. The noise makes all modes of prediction.
    large = image.resize((3 * WIDTH, 3 * HEIGHT), Image.Resampling.NEAREST)
    noise = Image.effect_noise(large.size, 16)
    noisy = Image.blend(large, Image.merge("RGB", [noise] * 3), 0.5)
    shrunk = [[(*[round((value + 128) / 2) for value in color], 255) for color in row] for row in COLORS]
    expect("lossy-noise.webp", encoded(noisy, "WEBP", quality=80), shrunk)
    expect("lossy-large.webp", encoded(large, "WEBP", quality=60), [[(*color, 255) for color in row] for row in COLORS])
    half = [[(*color, 128) for color in row] for row in COLORS]
    large.putalpha(128)
    expect("lossy-alpha-large.webp", encoded(large, "WEBP", quality=90), half)
    others = [ImageOps.invert(image)]
    expect("animated.webp", encoded(image, "WEBP", save_all=True, append_images=others, duration=100, lossless=True))
    expect("exif-6.webp", encoded(image, "WEBP", lossless=True, exif=exif(6)))


def heifs():
    image = patches()
    grey = image.convert("L")
    clear = image.copy()
    clear.putalpha(Image.linear_gradient("L").resize((1, ROWS)).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST))
    wide = Image.new("RGB", (WIDTH + 41, HEIGHT + 61), "red")
    wide.paste(image, (30, 20))
    middle = clap(WIDTH, HEIGHT, 30 - 11, 20 - 41)
    for chroma in ("444", "422", "420"):
        options = {"chroma": chroma}
        expect(f"{chroma}.heic", encoded(image, "HEIF", quality=95, **options))
    expect("grey.heic", encoded(grey, "HEIF", quality=95))
    expect("alpha.heic", encoded(clear, "HEIF", quality=95))
    expect("grid.heic", in_tiles(image, 128, "HEIF", quality=95))
    rgb = {"matrix_coefficients": 0, "chroma": 444}
    expect("lossless.heic", encoded(image, "HEIF", quality=100, **rgb))
    options = {"quality": 95}
    for turns in (1, 2, 3):
        irot = box(b"irot", bytes([turns]))
        expect(f"irot-{turns}.heic", one_item(image, "HEIF", irot, **options))
        for axis in (0, 1):
            imir = box(b"imir", bytes([axis]))
            expect(f"irot-{turns}-imir-{axis}.heic", one_item(image, "HEIF", irot, imir, **options))
    for axis in (0, 1):
        expect(f"imir-{axis}.heic", one_item(image, "HEIF", box(b"imir", bytes([axis])), **options))
    expect("grid-irot-1.heic", in_tiles(image, 128, "HEIF", box(b"irot", b"\1"), **options))
    colors = [[(*color, 255) for color in row] for row in COLORS]
    expect("clap.heic", one_item(wide, "HEIF", middle, **options), colors)
    expect("grid-clap.heic", in_tiles(wide, 128, "HEIF", middle, **options), colors)
    # Neither Pillow nor pillow-heif applies primaries, but both apply a profile, which says the same.
    same = profile(DISPLAY_P3, SRGB_CURVE)
    expect("nclx-display-p3.heic", encoded(image, "HEIF", quality=95, icc_profile=same))
    expected = EXPECTED["nclx-display-p3.heic"]["colors"]
    matrix = nclx(12, 6, True)
    expect("nclx-display-p3.heic", one_item(image, "HEIF", matrix, **options), expected)
    for name, matrix in {"601": 6, "709": 1, "2020": 9}.items():
        options = {"quality": 95, "matrix_coefficients": matrix, "save_nclx_profile": True}
        for full_range in (0, 1):
            heic = encoded(image, "HEIF", full_range_flag=full_range, color_primaries=1, **options)
            expect(f"nclx-{name}-{full_range}.heic", heic)
    deep = b"".join(struct.pack("<3H", *[value * 257 for value in color]) for color in image.getdata())
    for bits in (10, 12):
        out = io.BytesIO()
        pillow_heif.options.SAVE_HDR_TO_12_BIT = bits == 12
        pillow_heif.from_bytes("RGB;16", image.size, deep).save(out, quality=95)
        expect(f"{bits}-bits.heic", out.getvalue())
    pillow_heif.options.SAVE_HDR_TO_12_BIT = False


# TIFF, BMP and ICO. The fields of a TIFF are written one by one, because Pillow writes neither tiles nor planes.


def tiff(width, height, fields, chunks, tile=None, order="<", is_big=False):
    """A TIFF of these strips or tiles, of which all have the same size. `fields` has lists of numbers by their tags."""
    offset, count, short = (order + "Q", order + "Q", order + "Q") if is_big else (order + "I", order + "I", order + "H")
    at = struct.calcsize(offset) + (8 if is_big else 4)
    fields = {256: [width], 257: [height], **fields}
    starts = [at + sum(len(chunk) for chunk in chunks[:index]) for index in range(len(chunks))]
    if tile:
        fields |= {322: [tile[0]], 323: [tile[1]], 324: starts, 325: [len(chunk) for chunk in chunks]}
    else:
        rows = -(-height // len(chunks))
        fields |= {273: starts, 278: [rows], 279: [len(chunk) for chunk in chunks]}
    body = b"".join(chunks)
    # The directory, then the values that do not fit into it. All of them have 32 bits.
    directory, values = struct.pack(short, len(fields)), b""
    room = struct.calcsize(offset)
    end = at + len(body) + len(directory) + len(fields) * (4 + struct.calcsize(count) + room) + room
    for tag, numbers in sorted(fields.items()):
        data = b"".join(struct.pack(order + "I", number) for number in numbers)
        if len(data) > room:
            values, data = values + data, struct.pack(offset, end + len(values))
        directory += struct.pack(order + "HH", tag, 4) + struct.pack(count, len(numbers)) + data.ljust(room, b"\0")
    mark = b"II" if order == "<" else b"MM"
    header = mark + (struct.pack(order + "HHH", 43, 8, 0) if is_big else struct.pack(order + "H", 42))
    return header + struct.pack(offset, at + len(body)) + body + directory + bytes(room) + values


def tiffs():
    image = patches()
    opaque = [[(*color, 255) for color in row] for row in COLORS]
    alpha = [[(*color, (255, 255, 128, 0)[y]) for color in row] for y, row in enumerate(COLORS)]
    for name, compression in {
        "raw": "raw", "lzw": "tiff_lzw", "deflate": "tiff_adobe_deflate", "packbits": "packbits", "jpeg": "jpeg",
    }.items():  # fmt: skip
        for mode in ("RGB", "L", "CMYK"):
            quality = {"quality": 95} if name == "jpeg" else {}
            data = encoded(image.convert(mode), "TIFF", compression=compression, **quality)
            expect(f"{name}-{mode.lower()}.tif", data)
    for name in ("raw", "tiff_lzw", "packbits", "group3", "group4"):
        expect(f"bits-{name}.tif", encoded(image.convert("1", dither=Image.Dither.NONE), "TIFF", compression=name))
    expect("palette.tif", encoded(image.quantize(32, dither=Image.Dither.NONE), "TIFF", compression="tiff_lzw"))
    see_through = image.copy()
    opacity = Image.new("L", (WIDTH, HEIGHT))
    for y in range(ROWS):
        opacity.paste((255, 255, 128, 0)[y], (0, y * PATCH, WIDTH, (y + 1) * PATCH))
    see_through.putalpha(opacity)
    expect("rgba.tif", encoded(see_through, "TIFF", compression="tiff_lzw"), alpha)
    expect("exif-6.tif", encoded(image, "TIFF", exif=exif(6)))
    for name, columns, curve in (("display-p3", DISPLAY_P3, SRGB_CURVE), ("adobe-rgb", ADOBE_RGB, GAMMA_2_2)):
        expect(f"{name}.tif", encoded(image, "TIFF", icc_profile=profile(columns, curve), compression="tiff_lzw"))
    pages = encoded(image, "TIFF", save_all=True, append_images=[ImageOps.invert(image)])
    expect("two-pages.tif", pages, opaque)

    pixels = image.load()
    tile = (112, 64)
    places = [(x, y) for y in range(0, HEIGHT, tile[1]) for x in range(0, WIDTH, tile[0])]

    def samples(x0, y0, channels, pack):
        inside = ((x, y) for y in range(y0, y0 + tile[1]) for x in range(x0, x0 + tile[0]))
        colors = (pixels[x, y] if x < WIDTH and y < HEIGHT else (9, 9, 9) for x, y in inside)
        return b"".join(pack(color[channel]) for color in colors for channel in channels)

    rgb = {258: [8, 8, 8], 259: [8], 262: [2], 277: [3], 284: [1]}
    for order in "<>":
        for is_big in (False, True):
            name = f"tiles-{'little' if order == '<' else 'big'}-endian{'-bigtiff' if is_big else ''}"
            tiles = [deflated([samples(x, y, range(3), lambda value: bytes([value]))]) for x, y in places]
            expect(f"{name}.tif", tiff(WIDTH, HEIGHT, rgb, tiles, tile, order, is_big), opaque)
        deep = rgb | {258: [16] * 3}
        tiles = [
            deflated([samples(x, y, range(3), lambda value: struct.pack(order + "H", value * 257))]) for x, y in places
        ]
        expect(f"rgb16-{ord(order)}.tif", tiff(WIDTH, HEIGHT, deep, tiles, tile, order), opaque)
    planes = [
        deflated([samples(x, y, [channel], lambda value: bytes([value]))]) for channel in range(3) for x, y in places
    ]
    expect("planes.tif", tiff(WIDTH, HEIGHT, rgb | {284: [2]}, planes, tile), opaque)
    # One strip of pixels whose colours are multiplied by their alpha.
    associated = b"".join(
        bytes([(value * a + 127) // 255 for value in pixels[x, y]] + [a])
        for y in range(HEIGHT) for a in [(255, 255, 128, 0)[y // PATCH]] for x in range(WIDTH)
    )  # fmt: skip
    fields = {258: [8] * 4, 259: [1], 262: [2], 277: [4], 284: [1], 338: [1]}
    expect("associated-alpha.tif", tiff(WIDTH, HEIGHT, fields, [associated]), alpha)
    # JPEG tiles without tables, whose components are red, green and blue.
    jpegs = [
        encoded(image.crop((x, y, x + tile[0], y + tile[1])), "JPEG", quality=95, keep_rgb=True) for x, y in places
    ]
    expect("jpeg-tiles.tif", tiff(WIDTH, HEIGHT, rgb | {259: [7]}, jpegs, tile), opaque)


def bmp(width, height, bits, compression, data, palette=b"", masks=b""):
    """A BMP with a header of Windows. A negative height means that its rows begin at the top."""
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, len(palette) // 4, 0)
    start = 14 + len(header) + len(masks) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + masks + palette + data


def bmps():
    image = patches()
    opaque = [[(*color, 255) for color in row] for row in COLORS]
    for mode in ("1", "L", "P", "RGB"):
        expect(f"{mode.lower()}.bmp", encoded(image.convert(mode, dither=Image.Dither.NONE), "BMP"))
    # The rows of the patches from the lowest to the highest, as runs of palette indexes.
    flat = [color for row in COLORS for color in row]
    palette = b"".join(bytes([b, g, r, 0]) for r, g, b in flat)
    runs = b"".join(
        b"".join(bytes([PATCH, y * COLUMNS + x]) for x in range(COLUMNS)) + b"\0\0"
        for y in reversed(range(ROWS)) for _ in range(PATCH)
    )  # fmt: skip
    expect("rle8.bmp", bmp(WIDTH, HEIGHT, 8, 1, runs + b"\0\1", palette), opaque)
    # 16 indexes, one literal run of two pixels in each row, and the uppermost row left out by a delta.
    sixteen = [[((y * COLUMNS + x) % 16) for x in range(COLUMNS)] for y in range(ROWS)]
    rows = [
        b"".join(bytes([PATCH, index * 17]) for index in row[:-1]) + bytes([0, 3, row[-1] * 17, row[-1] * 17])
        + bytes([PATCH - 3, row[-1] * 17]) + b"\0\0"
        for row in reversed(sixteen) for _ in range(PATCH)
    ]  # fmt: skip
    expect(
        "rle4.bmp", bmp(WIDTH, HEIGHT, 4, 2, b"".join(rows) + b"\0\1", palette[:64]),
        [[(*flat[index], 255) for index in row] for row in sixteen],
    )  # fmt: skip
    pixels = image.load()
    places = [(x, y) for y in range(HEIGHT) for x in range(WIDTH)]
    five = b"".join(struct.pack("<H", r >> 3 << 10 | g >> 3 << 5 | b >> 3) for r, g, b in (pixels[at] for at in places))
    seen = [[(*[round((value >> 3) * 255 / 31) for value in color], 255) for color in row] for row in COLORS]
    expect("rgb16-top-down.bmp", bmp(WIDTH, -HEIGHT, 16, 0, five), seen)
    masks = struct.pack("<4I", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    data = b"".join(bytes(pixels[x, y]) + bytes([(255, 255, 128, 0)[y // PATCH]]) for x, y in places)
    alpha = [[(*color, (255, 255, 128, 0)[y]) for color in row] for y, row in enumerate(COLORS)]
    expect("masks-alpha.bmp", bmp(WIDTH, -HEIGHT, 32, 6, data, masks=masks), alpha)
    core = b"".join(bytes([b, g, r]) for r, g, b in flat)
    lines = b"".join(bytes(y * COLUMNS + x // PATCH for x in range(WIDTH)) for y in reversed(range(ROWS)) for _ in range(PATCH))
    header = struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 8) + core.ljust(768, b"\0")
    expect("os2.bmp", b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(header)) + header + lines, opaque)


def icons():
    image = patches().resize((240, 160), Image.Resampling.NEAREST)
    opacity = Image.new("L", image.size)
    for y in range(ROWS):
        opacity.paste((255, 255, 0, 255)[y], (0, y * 40, 240, (y + 1) * 40))
    image.putalpha(opacity)
    seen = [[(*color, (255, 255, 0, 255)[y]) for color in row] for y, row in enumerate(COLORS)]
    expected = {"width": 240, "height": 160, "columns": COLUMNS, "rows": ROWS, "colors": seen}
    for name, options in {"png": {}, "bmp": {"bitmap_format": "bmp"}}.items():
        save(f"formats/{name}.ico", encoded(image, "ICO", sizes=[(48, 32), (240, 160)], **options))
        EXPECTED[f"{name}.ico"] = expected
    # Pixels of 24 bits, and a mask of the transparent ones.
    rows = [bytes(value for r, g, b in row for _ in range(40) for value in (b, g, r)) for row in COLORS]
    rows = b"".join(row * 40 for row in reversed(rows))
    mask = b"".join((b"\xff" if y == 2 else b"\0") * 32 * 40 for y in reversed(range(ROWS)))
    dib = struct.pack("<IiiHHIIiiII", 40, 240, 320, 1, 24, 0, 0, 0, 0, 0, 0) + rows + mask
    save("formats/mask.ico", struct.pack("<HHHBBBBHHII", 0, 1, 1, 240, 160, 0, 0, 1, 24, len(dib), 22) + dib)
    EXPECTED["mask.ico"] = expected


# JPEG XL, which Pillow neither reads nor writes: the patches, as cjxl of libjxl 0.7 has written them.

JPEG_XL = {
    "lossless.jxl": (
        "/wp4TBBQXAgIAgEA6AEAAEAM8MAFjMAJPABLOEA294lYhW3h+wqvl7AiQcI4KEHCOCVBghKqgAhecHB0NHWMRL27QTHuBQID2PV+"
        "AIgV44QABEDACQBTGwSMAt5lCEgtBf6z88H4g/HwOwK9APTrO9/wCxguu40S/Kt+/Pv9+Yg8YFwAYiN/kQ8ICgH8f8rLk3+/PxeA"
        "BAAggiKCRsgWjQBAiMyvAdcZmEMYPLvPyQ6Rl8CMXptY1RDC9ltPLujq5OZQ5QEXAAaAkwYhQWRQiCQAGITuTjClJKFdp9TOABAI"
        "XnqwprfhFRF0rFLZZOs5KFGj3kj5UMsc/2wCYDeHKg8XgAEAUJgDACAJxA2TIcQwiRW2HcpVHhcAAwAwSB/NDEpBAHkBq2TXAufm"
        "zBmLZUHXbyxDKndzqPIAFwAEAEAe5gcIIQCQkf45Kxw2D7DYyXF6IyarClNybCxDKndzqPIAFwABAFAeYxnk6doCVeUB"
    ),
    "lossy.jxl": (
        "/wp4TJBQXAgAEggA+AHHJEI0RIQMZIIwVAC/yigBAFChAtuGPdAMBx4BiLAAqKACkXwJDWgAcT+0xz+0xjnIR9MEmSl9zLtw7lws"
        "6L4vQMaOaNmWsao0V1VhpujgdsaSGDNevNjYiNioyOjoiIjYmNFRMcbLGC6z+zPzM7NIiZGRkZGxURGRMUYgKcaMjWEMYxgRFRUz"
        "XiYMsIAFANIYGEFyBAT6tukVhdIpAleLXFBOAAC8jmcwtlAUlRvBB2h2U7F7xsNj/gMYVgb35plIAlO6sVyafSFqHPZmlnFIl/BM"
        "NaYAYl3p5qKx6yIC1DHMWAT2O/ShAWR5OIC8TIbPRzXwjjS0MwkACT02KpxriI5UgPEEqIBPjPxRkgVpOBNgPGlD8zld7FTILpv1"
        "mxn1gJv/BdsCNvD2wYSRkcs/V6ECXijCiWok9gHbgKKzSwoziceo8Ono62r4dUvsQdv0rWkqp5QIAjvYSgyc46SN6RiJ9msol2HV"
        "nZ/Kx67T4LTnL7IGGVwPywVKP+o4ljikKwJDaRkvSljqMqsNvHAIFrJD9mAIzcPxLZA7wLzb/4/2KNbfC99aFM3ShFtMfHLIn9iQ"
        "CokkFrkQtviAQifhUkbrDfOqbfgP2Grbbttqw2tTez57/P8Dq/8AOIhAXXlKFmwZ0XWWTR2Z1bSSEpQh01JUrdPOUzv8PerDo5+f"
        "tvS9m30r3BhW6ISsmL6yZqIvHO84ZkfCUz/enSp7OxR44NNNIS2xzBwjIi1Blz8hxxObQJjkcP3YOy7kwIofa/qrG29JyjBg/FA9"
        "TuzCttM7DqGvTx0vBslyU95NHHW7Gyzaaktq/1xhbYMBLthu92wD7CSgpRxN/FC8t6PR5/Kjxac9FitkMDk7/aDG/+/5J9Xf/1YI"
        "Mq3G9BzSfBfEfzLSWAmMAZ4NnqqMMIzciqHfDjwLAwiKhYEpzVRTzLxSspy4ex4GaitxQol48GvmS4fOMVGz4vP52f9/tr8p9mv9"
        "iXEeCDwEG4T9zHanCrv9m1LfSlNOTYtEvSpb49Ea+y1rijLrqVCjE5tTKGCCehw6ThUfEmf+hzmdyNMpIeamn4iq/ghrcO3rker9"
        "kUQe0C3jbyTLlNEmmkKk+gmlDqfKLUz0bwWJJ1Q86JqRA2nKU+i2S7Vv2KXx5XHEiDJpKhImn/mcRrW7HGcTrQLN9cd+UJAwOTQe"
        "l91Sk+bAj8UBVFTSECB8puqY+D3a2w6KZfD+ojmcvWiAMb6KQYEABDJnoYAIDcsfsQSQUITdypxiiikmzfSgmf4EKMLIzMm5rLwA"
        "TQlEhAN1pGskfXFgvYhq27h11NuAE0VMlNOMg/SfNzlxMMJAVugsBsuLMV5UDFK8GJwXL8boqFhejFHsxTZG2vFOjbFiG2P02TGC"
        "McZ4sbjGYOEYBgxjXSSpsjXdmFaW7KWPTJ2bzqbq6JgxYwGLhFtfMfUH/goOLDNzgFeAQ3MHHGiF4KQbAQeMHjh9VsA59YDr7gpc"
        "5JrgADkCBx2Q+QehPGFOgk2leJqLcB4ol4ldC/iydjia19B8eDtBM+V6eATsm3bRJ9JqVrNW/UvzKCQXIotPakKmYkSKWaNgJapT"
        "YvUGHcOhfpl9vGRFNKHYyUlMZQBdmDBNOwAAAAjdIFL7NFygEa5pvdTSWJtK4yszDQHa1A8n0vaBCEFBIw0oCJT6NCrzVOupFALo"
        "X3791nDZ915jgadX93dPPeRpD+zzKS5Q+bOX3TATgQuLNADLpL7sDjYsrEkWw6qxsONfsLCxzMqkwMKx33LCKws/2gur4sMs5jgs"
        "DaDYdbLPnBDlpGQ5ABb6X21hgTwGWHLdMOYOBLGOhLihgRCK6NKKKakYtotzLwhqCN4tqOvmtiEtAvYJrcA4k4IAiZRlB7A0yzfP"
        "BieG2ZDNYGwILtAa+8kqon8qDYH5xA2gQTBUOgUAGAMA5wDmHojIGECKAsjmwLZ/QzZyl/I1sqEg0HexzdOtiIlsXEM11W4zvikb"
        "1wZnLdlEFEnbwMYASDPoNhC7ihKwud5fKZPqAfzXvQ4mYGRBiw+ESxNsPr2sYYM9zhSgTrBB/fOlDTZCZeS1wLAbDlJ5JoeLOg/w"
        "POWwsKEohrJ4q4ATCsiWkX8TQwrwtLy3pgAp1rdwW1gQMjmWLn6/jekBDnf/AOCvDWw5UGu/aNrPkFS06V0cuIr9SMDUKcxl96wZ"
        "06wuzdbMdLEMRtG+842V0XgppMwmZkQ8fWOD4ERNQru44/ZLnLrLg71C5StftvWHm7i7E6fb07nnG6taJJjvENTJDmL8Bpv6g3yO"
        "wWDvICGeOE4AAkBq1C01iAa6Fnsci+m5RZTL4rJgoT+8iBFYTPgt/JXGNBIDRN4lAEcAEGHFLOi3f6VJB+rN2OirA3vYGAlSuLdm"
        "L2cDiAHsvgSE24IG/GHE+KC3f+T1PYwfOaF/mBP1HTCvuynQPBz2yIbfluFEWbj7FPZ4hjWpYRzTGNBMpmbTxtVY0jcSMNdAq2ET"
        "wix7YKIOqX/lkgBdgvZZUu4b0CHomiXluAE9vgkXFNGY2RcDmOwpveei3zgmySvLxVPP1I0f8aRi5ZjKomIWLLahWOJ0hGWSFfN8"
        "izBQsIqEY9FIAYYVVATaIoE3pt1a2aB9hRqxKu2SVpKo6Ak="
    ),
    "grey.jxl": (
        "/wp4TBAUFwIIAgEA7AAAAMAL6EAFgMAJPABLKCI3P8rDNeY0aIgpDRrMIQJOjo6OjY2Kh2J3d3cvABYA/k8TgMioBoLoEaGwikGI"
        "LwMpCgBEAUABaBcABAAghAiAbEgCRgAQDH89/IFHpoVr9mvMEKS2mPGZ4OWQqIBBAgYhOwaYDDUBFwAGYDhAACBCAiERWWICiKjM"
        "i5Iy6xHM/dzE9A61L5WJZw5Gl1bC3vFH3Y5LvFntQokr9qI9wGSoCReAAQAwrOhegBH8y4MWLuwctT6/QhcAAwBAyL9PQjIcQERa"
        "ADlyiCbAbAHTX9CshAaYDDUBFwAEADCeD+DvH1jxAchGjDrgoNSnv+akJubuVN5vxqWvhAaYDDUBFwABADDUJsQ4tw6tDDUB"
    ),
    "lossless-alpha.jxl": (
        "/wp4TLCguBAICBAAVAIAAEAM6MAFlMAJRABLOEC8LXcpbAvvK3xfwooECeOgBAnjlAQJSqgCIqBGjLE2EOLg6Gj2GIV6d4Ni3AsI"
        "BlBPEQBAKMUJAIIoigFAphQEE5ZGAXwJAqof3j94wg5/MB6gFygshP4bfuEqBMNRgj/6q3+/Px+MC0JbQC/yUUEAQb8d4U/x7/f3"
        "9x+27N9bBKNPt/s9+wH82VoIgOc1E/8+ABeABAAgggKZR0iQkQAgyJ33fLshDEZ9b6zJpLLBq7+dD51qIhDc4ql/DxWccnOo8gAX"
        "AAZA7YoPIGRISEIAyACBNMKZxN5YuitONREIXnooQCJI4P5R4VppiUAxUqwnoAkQMDGlsWQ3hyoPF4ABAFDEDQBgCCJWhbV97cUK"
        "2w7lKg8XAAMAMEYAQEBIbUMhgIwaB8N0i63yYvCJkeCNN5Yhlbs5VHkAFwAEAEBChgQkIQAYku0CGwRmbDuP1gdX8nTuGfsgbSxD"
        "KndzqPIAFwABAFAsAOD5BXbGmJqp8gA="
    ),
    "exif-6.jxl": (
        "AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAF6anhsY/8KeEwLBBSXBAgCAQDoAQAAQAzwwAWMwAk8AEs4QDb3iViF"
        "beH7Cq+XsCJBwjgoQcI4JUGCEqqACF5wcHQ0dYxEvbtBMe4FAgPY9X4AiBXjhAAEQMAJAFMbBIwC3mUISC0F/rPzwfiD8fA7Ar0A"
        "9Os73/ALGC67jRL8q378+/35iDxgXABiI3+RDwgKAfx/ysuTf78/F4AEACCCIoJGyBaNAECIzK8B1xmYQxg8u8/JDpGXwIxem1jV"
        "EML2W08u6Ork5lDlARcABoCTBiFBZFCIJAAYhO5OMKUkoV2n1M4AEAheerCmt+EVEXSsUtlk6zkoUaPeSPlQyxz/bAJgN4cqDxeA"
        "AQBQmAMAIAnEDZMhxDCJFbYdylUeFwADADBIH80MSkEAeQGrZNcC5+bMGYtlQddvLEMqd3Oo8gAXAAQAQB7mBwghAJCR/jkrHDYP"
        "sNjJcXojJqsKU3JsLEMqd3Oo8gAXAAEAUB5jGeTp2gJV5QE="
    ),
    "display-p3.jxl": (
        "/wp4TBDCAcOAhHkATKdkIMl5Xse2evFCDlNKQoWvfBKFbg2n3aWwfUCxSscK1rIKpYem1fjdAOLmjZtSfwB+4qyaxeI6lBhR4oa7"
        "OIVOmTk0f4bXKbxo1/r16HQaONAL0/359+9fHERRB8aGQuk5DxoMHVUQ6Y4d2GLGBOWeoJoMeoRCKdttfQgCAQDoAQAAQAzwwAWM"
        "wAk8AEs4QDb3iViFbeH7Cq+XsCJBwjgoQcI4JUGCEqqACF5wcHQ0dYxEvbtBMe4FAgPY9X4AiBXjhAAEQMAJAFMbBIwC3mUISC0F"
        "/rPzwfiD8fA7Ar0A9Os73/ALGC67jRL8q378+/35iDxgXABiI3+RDwgKAfx/ysuTf78/F4AEACCCIoJGyBaNAECIzK8B1xmYQxg8"
        "u8/JDpGXwIxem1jVEML2W08u6Ork5lDlARcABoCTBiFBZFCIJAAYhO5OMKUkoV2n1M4AEAheerCmt+EVEXSsUtlk6zkoUaPeSPlQ"
        "yxz/bAJgN4cqDxeAAQBQmAMAIAnEDZMhxDCJFbYdylUeFwADADBIH80MSkEAeQGrZNcC5+bMGYtlQddvLEMqd3Oo8gAXAAQAQB7m"
        "BwghAJCR/jkrHDYPsNjJcXojJqsKU3JsLEMqd3Oo8gAXAAEAUB5jGeTp2gJV5QE="
    ),
    "adobe-rgb.jxl": (
        "/wp4TBDCocKAhHkARFWlrMX7PeMiSAWfU0pChcd+EoUeDdnpUtjZUKzSEYu1RKH00BWF3wNg3X3X3VL/ArwiV00QfA4lRpS44Vtk"
        "S2+589L8Ga7Tm4N2rcTNnU4DOV2wjyRI9MNQHyBoHNS9wJiR0DAO9OkB4pgJb3MIAgEA6AEAAEAM8MAFjMAJPABLOEA294lYhW3h"
        "+wqvl7AiQcI4KEHCOCVBghKqgAhecHB0NHWMRL27QTHuBQID2PV+AIgV44QABEDACQBTGwSMAt5lCEgtBf6z88H4g/HwOwK9APTr"
        "O9/wCxguu40S/Kt+/Pv9+Yg8YFwAYiN/kQ8ICgH8f8rLk3+/PxeABAAggiKCRsgWjQBAiMyvAdcZmEMYPLvPyQ6Rl8CMXptY1RDC"
        "9ltPLujq5OZQ5QEXAAaAkwYhQWRQiCQAGITuTjClJKFdp9TOABAIXnqwprfhFRF0rFLZZOs5KFGj3kj5UMsc/2wCYDeHKg8XgAEA"
        "UJgDACAJxA2TIcQwiRW2HcpVHhcAAwAwSB/NDEpBAHkBq2TXAufmzBmLZUHXbyxDKndzqPIAFwAEAEAe5gcIIQCQkf45Kxw2D7DY"
        "yXF6IyarClNybCxDKndzqPIAFwABAFAeYxnk6doCVeUB"
    ),
    "seed-lossy.jxl": (
        "/wroMJBQXAgKAQAA+AAAOABYAFhKKKK6pUeXDnzoAWZhFs1KoUOYXp8cdNJqh7uxUrtc7ZXK3XCp1U63Q95n3qEhI7xnYgjtADgA"
        "AODDBKIBAMgDwVMZAIAKlVHGDV7O9Xz5ocNi2sZ1hrbatrAkEUohiUQIO1eFOsc5mfp/7mlXhgEAQIUUrEzbZN7EmRhjnIwxOCaO"
        "KjJ3bDB0foPAqJ0ldyZAj6Bk2rx/6oRX9QLgp8V/TjpGPDLRC6w3mHXhNEpVavJxK0ghy/hJS+iMx8ctA0GBnE3iuj2hh05DWlF1"
        "wLkiGAz6C84NqlN5o2OXniv5a/nfGWDeB2cirStIZ6VrOulRimRQW6BszgmCT1N6ZwWd3cptE09sX1EQSkx08Ehn4kVO/cEDkxdq"
        "qZ7bsg7Y9I+Xz2qKhvG+lySKj0AQEQ2xUAo="
    ),
    "seed-lossless-alpha.jxl": (
        "/wroMLChuBAIBAgAsA0AOABYAFiaR0bYBoRhVYAtDhCV8bMXtMrUSnhm3WS7I6Kf0sOpbiyJquXkWCaZGA9GIhbZrlm7O6F4jrcD"
        "JcuI6YOZ7oTtcf1EIL55JDVTGJtnQZlMJSnL0/P1fYgoKESdkAAAsFtWIrNKVhEibMlDgcs7GZrVBajlJeNcktU9Ysaj1B1aTjJd"
        "puFeSplwf9gBsBa7Osld3t7TPD3sfb3XTFRdxeUszdVWTiAYkcwEdDOcYqx8OAQ+iA2ApglhgAzGirqj+VqdP3Ur7svikX/5aLlk"
        "UfzELPSTzQjsDI6XWDPiW+9/1WTH6V4YdM9qNOl2Xbeq9KkEpPbbqTSgaken9R+8AOb4bhhls2oWzj5dJhVctQxjZqbfzO2BOPQk"
        "+HHFxVQEuCFeEa54+qc/TEGYB0IBBCx9g32KTzFrM2Yzup+5Ggr3D3lKa/OIoRjdMuXD0I+6Y+s4kYghcPFAGrWk9+/fprMDLTVy"
        "HjX+d+EqNisd68PM01OVKXozHYMs8Za5i+0wc8HrcjMxnwlbWXYRGE/WKC0mrmxYu/uguVQZ1M/19wepclg7iMkZzxZHTOUuRf6V"
        "sG6Q7fS6vJuu1U+mdPjK7Da20ZzozfjZRAcGFybo6/0X4+IjcexNdHTPr+ZCYzjnr4UiSE5A14GbMXuExD9BhWADL3d8O+uclH7y"
        "I2GfO1Dz4GB/oebEA8sbYwZg8hdyJf0z9mLa88ncVKrwyR6OBr2NTH21CYMsC/sTQgkacKbO0b6QgdgLZbkAUWZCRdSmyoghU864"
        "TThhrMPsMxbvlOH6ACWKTqQCtKdXE6bLLHblt5Zb6ZePSa7olSzNQJZ0AruBQuH5Lg9SwX68cFsuVqas/aCXLB5MqttljD2Hkf0b"
        "w/0PFZ7zXm+9Zha8UMsbyYSFgNsrhB76fn8btqDBwqT+c+wXG9tsFqUd7tNPBFW0EMI1mwXhPqdUgijN5YUifIHzosQ/UnMhY37Z"
        "r6ZkSe8r413Mob4qllGAw4ErR0PfiXi136iLEXj05oiO3N6dgVeswQ7AVBJAk6bxrZTnDxarxli0ZCPxMp2DgTVyaWjEZSWdW1sI"
        "PGxerp59SO4SA8ZmKd9pQp1zAytVX9C0qFy3X6p1Xyc6jEZLf2tyINcvb7QQuhrCcpyftdTQX2dU/RD6gL0LJgw="
    ),
}


def jpeg_xls():
    opaque = [[(*color, 255) for color in row] for row in COLORS]
    grey = [[[patches().convert("L").getpixel((x * PATCH, y * PATCH))] * 3 + [255] for x in range(COLUMNS)] for y in range(ROWS)]
    alpha = [[(*color, (255, 255, 128, 0)[y]) for color in row] for y, row in enumerate(COLORS)]
    for name, colors in {
        "lossless.jxl": opaque, "lossy.jxl": opaque, "grey.jxl": grey, "lossless-alpha.jxl": alpha,
        "display-p3.jxl": EXPECTED["display-p3.png"]["colors"], "adobe-rgb.jxl": EXPECTED["adobe-rgb.png"]["colors"],
    }.items():  # fmt: skip
        expect(name, base64.b64decode(JPEG_XL[name]), colors)
    save("formats/exif-6.jxl", base64.b64decode(JPEG_XL["exif-6.jxl"]))
    EXPECTED["exif-6.jxl"] = EXPECTED["exif-6.png"]


# Secrets: private text in every part of a file that may contain text.

SECRET = "sentinel-4e1c"


def secrets():
    image = patches()
    tags = exif(1, x010E=SECRET, x013B=SECRET, x8298=SECRET)
    tags[0x8825] = {1: "N", 2: (51.0, 28.0, 38.0), 3: "W", 4: (0.0, 0.0, 1.0), 29: SECRET}
    xmp = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>{SECRET}</a></x:xmpmeta>'.encode()
    icc = profile(DISPLAY_P3, SRGB_CURVE).replace(b"none\0\0\0\0", SECRET[:7].encode() + b"\0")
    everything = {"exif": tags, "icc_profile": icc, "xmp": xmp}
    jpeg = encoded(image, "JPEG", comment=SECRET, **everything)
    comment = b"\xff\xed" + struct.pack(">H", 2 + len(SECRET)) + SECRET.encode()
    save("secrets/secret.jpg", jpeg[:2] + comment + jpeg[2:] + SECRET.encode())
    save("secrets/secret.webp", encoded(image, "WEBP", **everything))
    save("secrets/secret.heic", encoded(image, "HEIF", **everything))
    save("secrets/secret.gif", encoded(image.convert("P"), "GIF", comment=SECRET))
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", SECRET)
    text.add_text("Author", SECRET, zip=True)
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())
    text.add(b"tIME", struct.pack(">HBBBBB", 2026, 1, 2, 3, 4, 5))
    text.add(b"prVt", SECRET.encode())
    whole = encoded(image, "PNG", exif=tags, icc_profile=icc, pnginfo=text)
    save("secrets/secret.png", whole + SECRET.encode())


# Seeds: small valid images, which the tests mutate.


def seeds():
    width, height = 90, 61
    noise = Image.effect_noise((width, height), 60)
    base = Image.linear_gradient("L").resize((width, height))
    rgb = Image.merge("RGB", [noise, base, base.transpose(Image.Transpose.ROTATE_180)])
    rgba = rgb.copy()
    rgba.putalpha(noise)
    icc = profile(DISPLAY_P3, SRGB_CURVE)
    save("seeds/tiny.png", encoded(Image.new("RGB", (2, 2), "red"), "PNG"))
    for name, image, options in [
        ("baseline.jpg", rgb, {}),
        ("restarts.jpg", rgb, {"restart_marker_blocks": 2, "subsampling": 1}),
        ("progressive.jpg", rgb, {"progressive": True}),
        ("grey.jpg", noise, {}),
        ("cmyk.jpg", rgb.convert("CMYK"), {"progressive": True}),
        ("all.jpg", rgb, {"exif": exif(7), "icc_profile": icc, "comment": "x"}),
        ("rgb.png", rgb, {}),
        ("all.png", rgba, {"exif": exif(5), "icc_profile": icc}),
        ("palette.png", rgb.convert("P"), {"transparency": 3}),
        ("grey.png", noise, {}),
        ("bits.png", noise.convert("1"), {}),
        ("frame.gif", rgb.convert("P"), {"interlace": 1}),
        ("frames.gif", rgb.convert("P"), {"save_all": True, "append_images": [noise.convert("P")], "transparency": 1}),
        ("lossy.webp", rgb, {"quality": 60}),
        ("lossless.webp", rgb, {"lossless": True}),
        ("alpha.webp", rgba, {"quality": 60, "exif": exif(8), "icc_profile": icc}),
        ("lossless-alpha.webp", rgba, {"lossless": True}),
        ("frames.webp", rgb, {"save_all": True, "append_images": [ImageOps.invert(rgb)], "duration": 100}),
        ("lossy.heic", rgb, {"quality": 60, "exif": exif(1)}),
        ("alpha.heic", rgba, {"quality": 60, "icc_profile": icc}),
    ]:
        suffix = name.split(".")[1]
        format = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "heic": "HEIF"}[suffix]
        save(f"seeds/{name}", encoded(image, format, **options))
    transforms = [clap(80, 50, 0, 0), box(b"irot", b"\1"), box(b"imir", b"\1")]
    save("seeds/grid.heic", in_tiles(rgb, 64, "HEIF", *transforms, quality=50))
    for name, image, options in [
        ("lzw.tif", rgb, {"compression": "tiff_lzw", "exif": exif(5), "icc_profile": icc}),
        ("deflate.tif", rgba, {"compression": "tiff_adobe_deflate"}),
        ("jpeg.tif", rgb, {"compression": "jpeg"}),
        ("group4.tif", noise.convert("1"), {"compression": "group4"}),
        ("group3.tif", noise.convert("1"), {"compression": "group3"}),
        ("packbits.tif", rgb.convert("P"), {"compression": "packbits"}),
        ("rgb.bmp", rgb, {}),
        ("palette.bmp", rgb.convert("P"), {}),
        ("bitmap.ico", rgba, {"bitmap_format": "bmp"}),
        ("png.ico", rgba, {}),
    ]:
        format = {"tif": "TIFF", "bmp": "BMP", "ico": "ICO"}[name.split(".")[1]]
        save(f"seeds/{name}", encoded(image, format, **options))
    runs = b"".join(bytes([20, y, 0, 3, y, 1, 2, 0]) + b"\0\0" for y in range(40)) + b"\0\1"
    save("seeds/runs.bmp", bmp(30, 40, 8, 1, runs, bytes(1024)))
    for name in ("lossy", "lossless-alpha"):
        save(f"seeds/{name}.jxl", base64.b64decode(JPEG_XL[f"seed-{name}.jxl"]))
    pixels = rgba.load()
    deep = deflated(rows(width, height, 16, lambda x, y: [value * 257 for value in pixels[x, y]], True))
    save("seeds/rgba16-interlaced.png", png(width, height, 16, RGBA, deep, interlaced=True))


for part in (
    bombs, bombs_of_time, hollow, large, jpegs, pngs, gifs, webps, heifs, tiffs, bmps, icons, jpeg_xls, secrets, seeds,
):  # fmt: skip
    part()
save("formats/expected.json", json.dumps(EXPECTED).encode())
