// Writes dist, which the function web embeds. `npm ci --ignore-scripts && node build.js` writes the same bytes anywhere.

"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const esbuild = require("esbuild");

const outdir = path.resolve(__dirname, process.argv[2] ?? "dist");
const target = ["es2022"];

// The styles of a part that is loaded later are a text in its script, which `addStyles` adds to the page.
const lazyStyles = {
  name: "lazy styles",
  setup(build) {
    build.onLoad({ filter: /\.lazy\.css$/ }, async ({ path: file }) => {
      const { code } = await esbuild.transform(fs.readFileSync(file, "utf8"), { loader: "css", minify: true, target });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

// Everything that the first page needs is one chunk, because each part that is loaded later imports all of it. Otherwise
// esbuild makes a chunk, and the browser a request, for each set of parts that share a module.
const oneFirstChunk = {
  name: "one first chunk",
  setup(build) {
    build.onResolve({ filter: /^\./ }, async ({ kind, path: name, resolveDir, pluginData }) => {
      if (kind !== "dynamic-import" || pluginData === "resolving") return;
      const found = await build.resolve(name, { kind, resolveDir, pluginData: "resolving" });
      return found.errors.length ? found : { path: found.path, namespace: "part" };
    });
    build.onLoad({ filter: /./, namespace: "part" }, ({ path: file }) => {
      const from = JSON.stringify(file);
      const isDefault = /^export (default|\{ default \})/m.test(fs.readFileSync(file, "utf8"));
      const contents = `import "./src/shell"; export * from ${from};` + (isDefault ? `export { default } from ${from};` : "");
      return { contents, resolveDir: __dirname };
    });
  },
};

// `import url from "worker:…"`: the script is written beside the others, and `url` is its address.
const workers = {
  name: "workers",
  setup(build) {
    build.onResolve({ filter: /^worker:/ }, async ({ path: name, resolveDir }) => {
      const found = await build.resolve(name.slice(7), { kind: "import-statement", resolveDir });
      return found.errors.length ? found : { path: found.path.replace(/\.mjs$/, ".js"), namespace: "worker", pluginData: found.path };
    });
    build.onLoad({ filter: /./, namespace: "worker" }, ({ pluginData: file }) => ({ contents: fs.readFileSync(file), loader: "file" }));
  },
};

const options = {
  absWorkingDir: __dirname,
  entryPoints: ["src/main.tsx"],
  nodePaths: (process.env.NODE_PATH ?? "").split(path.delimiter).filter(Boolean),
  outdir,
  bundle: true,
  splitting: true,
  format: "esm",
  minify: true,
  charset: "utf8",
  metafile: true,
  write: false,
  target,
  jsx: "automatic",
  jsxImportSource: "preact",
  define: { "process.env.NODE_ENV": '"production"' },
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  assetNames: "[name]-[hash]",
  publicPath: "/app/",
  plugins: [workers, lazyStyles, oneFirstChunk],
  legalComments: "eof",
  logLevel: "warning",
};

const address = (file) => `/app/${path.basename(file)}`;

function writeIcon() {
  const svg = fs.readFileSync(path.join(__dirname, "src/ui/icon.svg"));
  const name = `icon-${crypto.createHash("sha256").update(svg).digest("hex").slice(0, 8)}.svg`;
  fs.writeFileSync(path.join(outdir, name), svg);
  return address(name);
}

/** The chunks that the first script needs at once: the page names them, so that they load beside it. */
function preloads(outputs, name) {
  const found = new Set();
  const visit = (file) => {
    for (const { path: next, kind } of outputs[file].imports) {
      if (kind === "import-statement" && !found.has(next)) visit(found.add(next) && next);
    }
  };
  visit(name);
  return [...found].sort().map((file) => `<link rel="modulepreload" href="${address(file)}">`).join("\n");
}

async function main() {
  const { outputFiles, metafile: { outputs } } = await esbuild.build(options);
  fs.rmSync(outdir, { recursive: true, force: true });
  fs.mkdirSync(outdir, { recursive: true });
  for (const { path: file, contents } of outputFiles) fs.writeFileSync(file, contents);
  const [script, { cssBundle }] = Object.entries(outputs).find(([, output]) => output.entryPoint === "src/main.tsx");
  const page = fs.readFileSync(path.join(__dirname, "src/index.html"), "utf8");
  const filled = { script: address(script), style: address(cssBundle), icon: writeIcon(), preloads: preloads(outputs, script) };
  fs.writeFileSync(path.join(outdir, "index.html"), page.replace(/\{(\w+)\}/g, (_, key) => filled[key]));
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
