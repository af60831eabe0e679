"""Computes the SSIM of thumbnails to their references, on luma.

Input: a line of JSON, `{"source": path, "thumbnails": [folder, …]}`. Output: a line with the SSIM of the files `500.*`,
`250.*` and `100.*` of each folder. A reference is the whole image, decoded in full, upright and in sRGB, and resized by
Lanczos directly to the size of the thumbnail; transparent parts are over white. The references are kept in the folder
of the argument.
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

from opened import opened

WIDTHS = [500, 250, 100]

# A change of this file makes new references.
references = Path(sys.argv[1]) / hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]
references.mkdir(parents=True, exist_ok=True)


def upright(file):
    """The image in sRGB and 8 bits, with alpha if it has any."""
    image = opened(file)
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16"):
        image = Image.fromarray((numpy.asarray(image) / 257).round().astype("uint8"))
    image = ImageOps.exif_transpose(image)
    alpha = image.has_transparency_data
    if profile and image.mode == "RGB":
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, target, ImageCms.Intent.PERCEPTUAL, outputMode="RGB")
    return image.convert("RGBA" if alpha else "RGB")


# All sizes of one image are requested one after the other.
whole = lru_cache(maxsize=1)(upright)


def luma(image):
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L")


def reference(source, size):
    kept = references / f"{Path(source).stem}-{size[0]}x{size[1]}.png"
    if not kept.exists():
        # Pillow weighs colours by their alpha here.
        made = kept.with_suffix(".part")
        luma(whole(source).resize(size, Image.Resampling.LANCZOS)).save(made, format="PNG")
        made.rename(kept)
    return Image.open(kept)


def ssim(source, thumbnail):
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
        [ssim(question["source"], next(Path(folder).glob(f"{width}.*"))) for width in WIDTHS]
        for folder in question["thumbnails"]
    ]
    print(json.dumps(answer), flush=True)
