// Writes dist, which the function web embeds. `npm ci --ignore-scripts && node build.js` writes the same bytes anywhere.

"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const esbuild = require("esbuild");

const outdir = path.resolve(__dirname, process.argv[2] ?? "dist");
fs.rmSync(outdir, { recursive: true, force: true });

const { metafile } = esbuild.buildSync({
  absWorkingDir: __dirname,
  entryPoints: ["src/main.tsx"],
  nodePaths: (process.env.NODE_PATH ?? "").split(path.delimiter).filter(Boolean),
  outdir,
  bundle: true,
  splitting: true,
  format: "esm",
  minify: true,
  metafile: true,
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  define: { "process.env.NODE_ENV": '"production"' },
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  publicPath: "/app/",
  legalComments: "eof",
  logLevel: "warning",
});

const [main, { cssBundle }] = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === "src/main.tsx");
const page = fs.readFileSync(path.join(__dirname, "src/index.html"), "utf8");
const address = (file) => `/app/${path.basename(file)}`;
const svg = fs.readFileSync(path.join(__dirname, "src/ui/icon.svg"));
const icon = `icon-${crypto.createHash("sha256").update(svg).digest("hex").slice(0, 8)}.svg`;
fs.writeFileSync(path.join(outdir, icon), svg);
fs.writeFileSync(
  path.join(outdir, "index.html"),
  page.replace("{script}", address(main)).replace("{style}", address(cssBundle)).replaceAll("{icon}", address(icon)),
);
