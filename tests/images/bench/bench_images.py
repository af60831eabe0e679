"""Makes the images of `cargo local bench thumbnails` in the folder it is given, and `images.json`, the list of them.

They are made of photographs that Debian packages, always to the same recipe. What is there already from the same recipe
is left as it is. A name says the format, the megapixels, the photograph and what is special about it.
"""

import hashlib
import io
import json
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from functools import cache
from pathlib import Path

import numpy
import PIL
from PIL import Image, ImageCms, ImageDraw, ImageFont, ImageOps

from opened import opened

# The folder of heif_file.
sys.path.append(str(Path(__file__).parents[1]))
from heif_file import in_tiles, one_item  # noqa: E402

PHOTOGRAPHS = {
    "brushes": ("lomiri-wallpapers-16.04", "Picture_1A_by_freespace.jpg"),
    "dune": ("mate-backgrounds", "Dune.jpg"),
    "raindrops": ("mate-backgrounds", "RainDrops.jpg"),
    "fig": ("lomiri-wallpapers-16.04", "Picture_0B_by_freespace.jpg"),
    "stream": ("lomiri-wallpapers-16.04", "life_by_Aitzol_Berasategi.jpg"),
    "dogs": ("lomiri-wallpapers-16.04", "friends_by_Aitzol_Berasategi.jpg"),
    "mountains": ("lomiri-wallpapers-16.04", "picosdeeuropa_by_Aitzol_Berasategi.jpg"),
    "cellar": ("lomiri-wallpapers-16.04", "Wine_by_Jakkub_Mede.jpg"),
    "bridge": ("lomiri-wallpapers-16.04", "Bridge_by_Sander_Klootwijk.jpg"),
    "sunset": ("lomiri-wallpapers-16.04", "sunset_by_Aitzol_Berasategi.jpg"),
    "dragonfly": ("lomiri-wallpapers-16.04", "Dragonfly_by_Bolly.jpg"),
    "dandelion": ("lomiri-wallpapers-16.04", "seeding_by_Clements_Engelhardt.jpg"),
    "nuthatch": ("lomiri-wallpapers-20.04", "Kleiber_by_Lukas_Baubkus.jpg"),
}
ADOBE_RGB = ("icc-profiles-free", "compatibleWithAdobeRGB1998.icc")

ORIENTATION = 0x0112
PREDICTOR = 0x013D
# The first column and row of each pass of an interlaced PNG, and its steps.
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]

folder = Path(sys.argv[1])
images = folder / "images"
packages = folder / "packages"


@cache
def package(name):
    """The folder with what a Debian package holds, which needs neither root nor an installation."""
    content = packages / name
    if not content.exists():
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            sys.exit("error: the photographs are Debian packages: this needs apt-get and dpkg-deb")
        download = packages / "download"
        shutil.rmtree(download, ignore_errors=True)
        download.mkdir(parents=True)
        if subprocess.run(["apt-get", "download", name], cwd=download).returncode != 0:
            sys.exit(f"error: apt-get cannot download {name}; try `apt-get update` first")
        (archive,) = download.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, download / "content"], check=True)
        (download / "content").rename(content)
    return content


def packaged(source):
    name, file = source
    found = next(package(name).rglob(file), None)
    return found or sys.exit(f"error: the package {name} has no {file} any more")


@cache
def photograph(name):
    return Image.open(packaged(PHOTOGRAPHS[name])).convert("RGB")


def sized(name, megapixels):
    """A photograph at another size. One that is made larger, and so softer than a camera's, gets noise like a camera's."""
    image = photograph(name)
    scale = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
    width, height = int(image.width * scale), int(image.height * scale)
    image = image.resize((width, height), Image.LANCZOS)
    if scale > 1:
        noise = numpy.random.default_rng(1).normal(0, 2, (height, width, 1)).astype("float32")
        image = Image.fromarray((numpy.asarray(image) + noise).round().clip(0, 255).astype("uint8"))
    return image


def saved(image, **options):
    target = io.BytesIO()
    image.save(target, **options)
    return target.getvalue()


def jpeg(image, subsampling="4:2:0", quality=90, **options):
    return saved(image, format="JPEG", quality=quality, subsampling=subsampling, **options)


def png(image):
    return saved(image, format="PNG")


def webp(image, **options):
    return saved(image, format="WEBP", quality=85, **options)


def published(name):
    """The file as the photographer published it."""
    return packaged(PHOTOGRAPHS[name]).read_bytes()


def rotated(image):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return jpeg(image.transpose(Image.Transpose.ROTATE_90), exif=exif)


def adobe_rgb(image):
    profile = packaged(ADOBE_RGB)
    return jpeg(
        ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), str(profile)),
        icc_profile=profile.read_bytes(),
    )


def fading(image):
    """Transparent towards the corners."""
    image.putalpha(Image.eval(Image.radial_gradient("L"), lambda distance: 255 - distance).resize(image.size))
    return image


def page():
    """A screenshot, as far as an encoder can tell."""
    image = Image.new("RGB", (1920, 1080), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 1920, 60), fill="#24292f")
    draw.rectangle((0, 60, 300, 1080), fill="#f6f8fa")
    for y in range(80, 1060, 18):
        draw.text((20, y), f"folder {y}", fill="#0969da")
        draw.text((330, y), f"{y:05} " + "the quick brown fox jumps over the lazy dog " * (1 + y % 5), fill="#1f2328")
    image.paste(sized("fig", 0.3), (1200, 500))
    return image.quantize(128)


def grey_16_bit(image):
    grey = numpy.asarray(image, dtype="float32").mean(axis=2) * 257
    return Image.fromarray(grey.round().astype("uint16"))


def interlaced(image):
    """Which Pillow reads and does not write."""
    pixels = numpy.asarray(image)
    data = b""
    for x, y, dx, dy in ADAM7:
        rows = pixels[y::dy, x::dx]
        rows = rows.reshape(len(rows), -1)
        # The filter Sub, number 1: the difference from the pixel to the left.
        filtered = rows.copy()
        filtered[:, 3:] -= rows[:, :-3]
        data += numpy.insert(filtered, 0, 1, axis=1).tobytes()

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", *image.size, 8, 2, 0, 0, 1)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def animation(image):
    frames = [image.rotate(angle).quantize(256) for angle in range(0, 30, 5)]
    return saved(frames[0], format="GIF", save_all=True, append_images=frames[1:], duration=100)


def tiff(image, compression, **options):
    return saved(image, format="TIFF", compression=compression, **options)


def scan():
    """A page of text of A4 at 600 dots per inch, in black and white."""
    image = Image.new("1", (4960, 7016), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(80)
    for y in range(400, 6600, 110):
        draw.text((400, y), "the quick brown fox jumps over the lazy dog " * (1 + y % 3), fill="black", font=font)
    return image


def icon(image):
    """The largest picture that Windows shows, as a bitmap with alpha."""
    square = fading(ImageOps.fit(image, (256, 256), Image.Resampling.LANCZOS))
    return saved(square, format="ICO", sizes=[square.size], bitmap_format="bmp")


def jxl(image):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "source.png", Path(folder) / "target.jxl"
        image.save(source, compress_level=1)
        subprocess.run(["cjxl", "--quiet", "--effort=4", "--distance=1", source, target], check=True)
        return target.read_bytes()


RECIPES = {
    "jpeg-01-brushes": lambda: jpeg(sized("brushes", 1)),
    "jpeg-01-dune": lambda: jpeg(sized("dune", 1)),
    "jpeg-02-raindrops": lambda: jpeg(sized("raindrops", 2)),
    "jpeg-04-fig": lambda: jpeg(sized("fig", 4)),
    "jpeg-06-stream": lambda: jpeg(photograph("stream")),
    "jpeg-06-stream-quality-97": lambda: jpeg(photograph("stream"), quality=97),
    "jpeg-06-dogs-grey": lambda: jpeg(photograph("dogs").convert("L")),
    "jpeg-08-mountains": lambda: jpeg(photograph("mountains")),
    "jpeg-08-mountains-restarts": lambda: jpeg(photograph("mountains"), restart_marker_rows=1),
    "jpeg-10-cellar-rotated": lambda: rotated(photograph("cellar")),
    "jpeg-10-bridge-adobe-rgb": lambda: adobe_rgb(photograph("bridge")),
    "jpeg-12-sunset": lambda: jpeg(photograph("sunset")),
    "jpeg-13-dragonfly-444": lambda: jpeg(photograph("dragonfly"), "4:4:4"),
    "jpeg-16-dandelion": lambda: jpeg(photograph("dandelion")),
    "jpeg-20-nuthatch-422-published": lambda: published("nuthatch"),
    "jpeg-24-nuthatch": lambda: jpeg(sized("nuthatch", 24)),
    "jpeg-50-nuthatch": lambda: jpeg(sized("nuthatch", 50)),
    "progressive-01-brushes": lambda: jpeg(sized("brushes", 1), progressive=True),
    "progressive-04-fig": lambda: jpeg(sized("fig", 4), progressive=True),
    "progressive-08-mountains-published": lambda: published("mountains"),
    "progressive-13-dragonfly-422-published": lambda: published("dragonfly"),
    "progressive-16-dandelion-published": lambda: published("dandelion"),
    "progressive-24-nuthatch": lambda: jpeg(sized("nuthatch", 24), progressive=True),
    "progressive-50-nuthatch": lambda: jpeg(sized("nuthatch", 50), progressive=True),
    "png-01-brushes": lambda: png(sized("brushes", 1)),
    "png-02-page-palette": lambda: png(page()),
    "png-02-raindrops-palette": lambda: png(sized("raindrops", 2).quantize(256)),
    "png-02-raindrops-interlaced": lambda: interlaced(sized("raindrops", 2)),
    "png-02-dune-grey-16-bit": lambda: png(grey_16_bit(photograph("dune"))),
    "png-04-fig-alpha": lambda: png(fading(sized("fig", 4))),
    "png-08-mountains": lambda: png(photograph("mountains")),
    "png-24-nuthatch": lambda: png(sized("nuthatch", 24)),
    "png-50-nuthatch": lambda: png(sized("nuthatch", 50)),
    "webp-01-brushes": lambda: webp(sized("brushes", 1)),
    "webp-04-fig-alpha": lambda: webp(fading(sized("fig", 4))),
    "webp-04-fig-lossless": lambda: webp(sized("fig", 4), lossless=True, method=3),
    "webp-08-mountains": lambda: webp(photograph("mountains")),
    "webp-12-sunset": lambda: webp(photograph("sunset")),
    "webp-20-nuthatch": lambda: webp(photograph("nuthatch")),
    "gif-01-brushes": lambda: saved(sized("brushes", 1).quantize(256), format="GIF"),
    "gif-01-dune-animation": lambda: animation(sized("dune", 0.5)),
    "tiff-24-nuthatch-lzw": lambda: tiff(sized("nuthatch", 24), "tiff_lzw", tiffinfo={PREDICTOR: 2}),
    "tiff-35-scan-group-4": lambda: tiff(scan(), "group4"),
    "tiff-12-sunset-jpeg": lambda: tiff(photograph("sunset"), "jpeg", quality=90),
    "heic-12-sunset-grid": lambda: in_tiles(photograph("sunset"), 512, "HEIF", quality=60),
    "heic-06-stream-whole": lambda: one_item(photograph("stream"), "HEIF", quality=60),
    "bmp-08-mountains": lambda: saved(photograph("mountains"), format="BMP"),
    "ico-256-fig": lambda: icon(photograph("fig")),
    "jxl-12-sunset": lambda: jxl(photograph("sunset")),
    "jxl-02-raindrops": lambda: jxl(sized("raindrops", 2)),
}


def kind(name):
    return name.split("-")[0]


def described(name, file):
    with opened(file) as image:
        return {"name": name, "kind": kind(name), "file": file.name, "megapixels": image.width * image.height / 1e6}


# JPEG XL is made only if libjxl's programs are installed.
has_jxl = shutil.which("cjxl") and shutil.which("djxl")
recipe = hashlib.sha256(Path(__file__).read_bytes() + f"{PIL.__version__} {bool(has_jxl)}".encode()).hexdigest()
contents = folder / "images.json"
if not contents.exists() or json.loads(contents.read_text())["recipe"] != recipe:
    contents.unlink(missing_ok=True)
    for old in [images, folder / "references"]:
        shutil.rmtree(old, ignore_errors=True)
    images.mkdir(parents=True)
    made = []
    for name, make in RECIPES.items():
        if kind(name) == "jxl" and not has_jxl:
            continue
        print(name, flush=True)
        file = images / f"{name}.{kind(name).replace('progressive', 'jpeg')}"
        file.write_bytes(make())
        made.append(described(name, file))
    contents.write_text(json.dumps({"recipe": recipe, "images": made}, indent=1))
