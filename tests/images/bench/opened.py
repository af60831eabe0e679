"""Opens the images of `cargo local bench thumbnails`: what Pillow reads, HEIC and JPEG XL."""

import subprocess
from pathlib import Path

import pillow_heif
from PIL import Image

Image.MAX_IMAGE_PIXELS = None
pillow_heif.register_heif_opener()


def opened(file):
    """Pillow does not read JPEG XL: djxl decodes it, once, into a file beside it."""
    file = Path(file)
    if file.suffix != ".jxl":
        return Image.open(file)
    decoded = file.with_suffix(".png")
    if not decoded.exists():
        subprocess.run(["djxl", "--quiet", file, decoded], check=True)
    return Image.open(decoded)
