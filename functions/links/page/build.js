// Writes dist, which the function links embeds. `npm ci --ignore-scripts && node build.js` writes the same bytes anywhere.

"use strict";

const path = require("node:path");
const esbuild = require("esbuild");

esbuild.buildSync({
  absWorkingDir: __dirname,
  entryPoints: ["src/upload.js", "src/upload.css", "src/style.css"],
  nodePaths: (process.env.NODE_PATH ?? "").split(path.delimiter).filter(Boolean),
  outdir: process.argv[2] ?? "dist",
  bundle: true,
  minify: true,
  target: ["es2022"],
  legalComments: "eof",
  logLevel: "warning",
});
