// The thumbnails of sharp for `cargo local bench thumbnails`, in one thread. The protocol is that of tests/images. Input:
// a line of JSON, `{"source": path, "repeat": 1, "out": folder or none}`. Output: a line with the cost of all repeats
// together. The argument is the method, `sequential` or `once`, or `versions`, which prints the versions.

"use strict";

const fs = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const sharp = require("sharp");

const WIDTHS = [500, 250, 100];

sharp.concurrency(1);
// The cache would have the operations of the previous repeat.
sharp.cache(false);

const thumbnailOf = (image, width) => image.resize({ width, withoutEnlargement: true });

const ways = {
  /** What a program does that asks sharp for one thumbnail after another. Each decodes, a JPEG at a reduced scale. */
  async sequential(source, encoded) {
    const made = [];
    for (const width of WIDTHS) {
      made.push(await encoded(thumbnailOf(sharp(source).autoOrient(), width)).toBuffer());
    }
    return made;
  },

  /** What who knows libvips does: decodes once, to the widest, and makes all three of its pixels. */
  async once(source, encoded) {
    const widest = thumbnailOf(sharp(source).autoOrient(), WIDTHS[0]);
    const { data, info } = await widest.raw().toBuffer({ resolveWithObject: true });
    const raw = { width: info.width, height: info.height, channels: info.channels };
    const made = [];
    for (const width of WIDTHS) {
      made.push(await encoded(thumbnailOf(sharp(data, { raw }), width)).toBuffer());
    }
    return made;
  },
};

/** The formats of the function: JPEG where the source is a JPEG, or an opaque WebP or TIFF, else PNG. */
async function formatFor(source) {
  const { format, hasAlpha, bitsPerSample } = await sharp(source).metadata();
  const isOpaque = ["webp", "tiff"].includes(format) && !hasAlpha && bitsPerSample !== 1;
  return format === "jpeg" || isOpaque ? "jpeg" : "png";
}

function memory(field) {
  const status = fs.readFileSync("/proc/self/status", "utf8");
  return Number(status.match(new RegExp(`^${field}:\\s*(\\d+) kB$`, "m"))[1]);
}

async function run(make, { source: file, repeat = 1, out }) {
  const report = { cpuMs: 0, wallMs: 0, peakKb: 0, idleKb: memory("VmRSS"), error: null, bytes: [] };
  const source = fs.readFileSync(file);
  try {
    // Before the measurement, as if the result was known.
    const format = await formatFor(source);
    const encoded = (image) => (format === "jpeg" ? image.jpeg({ quality: 80 }) : image.png());
    const [started, cpu] = [performance.now(), process.cpuUsage()];
    let made;
    for (let i = 0; i < repeat; i++) {
      made = await make(source, encoded);
    }
    const { user, system } = process.cpuUsage(cpu);
    report.cpuMs = (user + system) / 1e3;
    report.wallMs = performance.now() - started;
    report.bytes = made.map((bytes) => bytes.length);
    if (out) {
      made.forEach((bytes, i) => fs.writeFileSync(path.join(out, `${WIDTHS[i]}.${format}`), bytes));
    }
  } catch (refusal) {
    report.error = refusal.message;
  }
  report.peakKb = memory("VmHWM");
  return report;
}

async function main(argument) {
  if (argument === "versions") {
    const { sharp: version, vips: libvips } = sharp.versions;
    console.log(JSON.stringify({ node: process.versions.node, sharp: version, libvips }));
    return;
  }
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await run(ways[argument], JSON.parse(line))));
  }
}

main(process.argv[2]);
