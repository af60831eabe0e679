"""The thumbnails of programs of Debian, for `cargo local bench thumbnails`, of formats that sharp does not read. The protocol
is that of tests/images. Input: a line of JSON, `{"source": path, "repeat": 1, "out": folder or none}`. Output: a line with
the cost of all repeats together, which is the cost of the programs from their start to their end. The arguments are the
program and the method, `sequential` or `once`; or `versions`, which prints the versions.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WIDTHS = [500, 250, 100]
PACKAGES = ["imagemagick", "heif-thumbnailer", "libjxl-tools"]


def image_magick(source, folder, once):
    # Debian 12 calls it convert-im6.q16.
    program = next(filter(shutil.which, ["magick", "convert-im6.q16", "convert"]))
    if not once:
        return [[program, source, "-resize", f"{width}>", folder / f"{width}.png"] for width in WIDTHS]
    made = [["-resize", f"{width}>", "-write", folder / f"{width}.png"] for width in WIDTHS]
    return [[program, source, *sum(made, []), "null:"]]


def heif_thumbnailer(source, folder, once):
    """It makes one thumbnail, so that `once` is the widest alone. Option -p decodes the image, and no thumbnail in the file."""
    widths = WIDTHS[:1] if once else WIDTHS
    return [["heif-thumbnailer", "-p", "-s", str(width), source, folder / f"{width}.png"] for width in widths]


def djxl(source, folder, once):
    """It makes no thumbnails: these are decodings alone, without a file for the result."""
    return [["djxl", "--quiet", "--num_threads=0", source]] * (1 if once else len(WIDTHS))


COMMANDS = {"image-magick": image_magick, "heif-thumbnailer": heif_thumbnailer, "djxl": djxl}
# One thread, as far as a program can be told.
ENVIRONMENT = {**os.environ, "MAGICK_THREAD_LIMIT": "1", "OMP_NUM_THREADS": "1"}


def call(command):
    """Returns the resources that a command has used."""
    silent = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_WRONLY, 0) for stream in (1, 2)]
    child = os.posix_spawnp(command[0], [str(word) for word in command], ENVIRONMENT, file_actions=silent)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{command[0]} fails")
    return usage


def run(commands, once, job):
    report = {"cpuMs": 0, "wallMs": 0, "peakKb": 0, "idleKb": 0, "error": None, "bytes": []}
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(job["out"] or temporary)
        try:
            for command in commands(job["source"], folder, once) * job["repeat"]:
                usage = call(command)
                report["cpuMs"] += 1e3 * (usage.ru_utime + usage.ru_stime)
                report["peakKb"] = max(report["peakKb"], usage.ru_maxrss)
        except (OSError, RuntimeError) as error:
            report["error"] = str(error)
        report["wallMs"] = 1e3 * (time.perf_counter() - started)
        report["bytes"] = [file.stat().st_size for file in folder.iterdir()]
    return report


if sys.argv[1] == "versions":
    query = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\n", *PACKAGES]
    known = subprocess.run(query, capture_output=True, text=True).stdout if shutil.which(query[0]) else ""
    print(", ".join(known.splitlines()) or "of unknown versions")
else:
    program, method = sys.argv[1:]
    for line in sys.stdin:
        print(json.dumps(run(COMMANDS[program], method == "once", json.loads(line))), flush=True)
