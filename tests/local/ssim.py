"""Says how like the thumbnails of a picture are to the best that can be made of it: SSIM of their luma.

A line of JSON in, `{"source": path, "thumbnails": [folder, …]}`; a line out, for each folder the SSIM of its `500.*`,
`250.*` and `100.*`. The best is the whole picture, decoded in full, upright and in sRGB, then resized by Lanczos
straight to the size of the thumbnail; over white, where it is transparent. These references are kept in the folder of
the argument.
"""

import hashlib
import io
import json
import sys
from functools import lru_cache
from pathlib import Path

import numpy
from PIL import Image, ImageCms, ImageOps
from skimage.metrics import structural_similarity

WIDTHS = [500, 250, 100]

Image.MAX_IMAGE_PIXELS = None
# Those of another recipe are not taken.
references = Path(sys.argv[1]) / hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
references.mkdir(parents=True, exist_ok=True)


def upright(file):
    """In sRGB and 8 bits, with alpha where it has any."""
    picture = Image.open(file)
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray((numpy.asarray(picture) / 257).round().astype("uint8"))
    picture = ImageOps.exif_transpose(picture)
    alpha = picture.has_transparency_data
    if profile and picture.mode == "RGB":
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, source, target, ImageCms.Intent.PERCEPTUAL, outputMode="RGB")
    return picture.convert("RGBA" if alpha else "RGB")


# All the sizes of one picture are wanted together.
whole = lru_cache(maxsize=1)(upright)


def luma(picture):
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("L")


def reference(source, size):
    kept = references / f"{Path(source).stem}-{size[0]}x{size[1]}.png"
    if not kept.exists():
        # Pillow weighs colours by their alpha here.
        made = kept.with_suffix(".part")
        luma(whole(source).resize(size, Image.Resampling.LANCZOS)).save(made, format="PNG")
        made.rename(kept)
    return Image.open(kept)


def likeness(source, thumbnail):
    made = luma(upright(thumbnail))
    best = reference(source, made.size)
    return structural_similarity(
        numpy.asarray(best),
        numpy.asarray(made),
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )


for line in sys.stdin:
    question = json.loads(line)
    answer = [
        [likeness(question["source"], next(Path(folder).glob(f"{width}.*"))) for width in WIDTHS]
        for folder in question["thumbnails"]
    ]
    print(json.dumps(answer), flush=True)
