// Writes dist, which the function web embeds. `npm ci --ignore-scripts && node build.js` writes the same bytes anywhere.

"use strict";

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

// Everything that the first page needs is one chunk, and what follows at once (src/parts.ts) another, because each part that
// is loaded later imports all of them. Otherwise esbuild makes a chunk, and the browser a request, for each set of parts that
// share a module.
const fewChunks = {
  name: "few chunks",
  setup(build) {
    build.onResolve({ filter: /^\./ }, async ({ kind, path: name, namespace, resolveDir, pluginData }) => {
      if (kind !== "dynamic-import" || namespace === "package" || pluginData === "resolving") return;
      const found = await build.resolve(name, { kind, resolveDir, pluginData: "resolving" });
      return found.errors.length ? found : { path: path.relative(__dirname, found.path), namespace: "part" };
    });
    build.onLoad({ filter: /./, namespace: "part" }, ({ path: file }) => {
      const from = JSON.stringify(`./${file}`);
      const isDefault = /^export (default|\{ default \})/m.test(fs.readFileSync(path.join(__dirname, file), "utf8"));
      const texts = file.startsWith("src/i18n/");
      const shared = 'import "./src/app";' + (texts ? "" : ' import "./src/parts";');
      const contents = `${shared} export * from ${from};` + (isDefault ? `export { default } from ${from};` : "");
      return { contents, resolveDir: __dirname };
    });
  },
};

// A file of a package has the name that it has in `node_modules`, wherever that is: names of chunks depend on it.
const packages = {
  name: "packages",
  setup(build) {
    build.onResolve({ filter: /./ }, async ({ path: name, kind, resolveDir, pluginData }) => {
      if (pluginData === "resolving" || kind === "entry-point" || name.startsWith("worker:")) return;
      const found = await build.resolve(name, { kind, resolveDir, pluginData: "resolving" });
      const [, inside] = found.path.split(/\/node_modules\/(?!.*\/node_modules\/)/);
      if (found.errors.length || !inside) return found.errors.length ? found : undefined;
      return { path: inside, namespace: "package", sideEffects: found.sideEffects, pluginData: found.path };
    });
    build.onLoad({ filter: /./, namespace: "package" }, ({ pluginData: file }) => {
      return { contents: fs.readFileSync(file, "utf8"), loader: "js", resolveDir: path.dirname(file) };
    });
  },
};

// `import url from "worker:…"`: the script is written beside the others, and `url` is its address.
const workers = {
  name: "workers",
  setup(build) {
    build.onResolve({ filter: /^worker:/ }, async ({ path: name, resolveDir }) => {
      const found = await build.resolve(name.slice(7), { kind: "import-statement", resolveDir, pluginData: "resolving" });
      if (found.errors.length) return found;
      return { path: path.basename(found.path).replace(/\.mjs$/, ".js"), namespace: "worker", pluginData: found.path };
    });
    build.onLoad({ filter: /./, namespace: "worker" }, ({ pluginData: file }) => ({ contents: fs.readFileSync(file), loader: "file" }));
  },
};

const options = {
  absWorkingDir: __dirname,
  entryPoints: ["src/main.ts"],
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
  plugins: [workers, lazyStyles, fewChunks, packages],
  legalComments: "eof",
  logLevel: "warning",
};

const address = (file) => `/app/${path.basename(file)}`;

/** The icon is a part of the page: one request less. */
function icon() {
  const svg = fs.readFileSync(path.join(__dirname, "src/ui/icon.svg"), "utf8").trim();
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

/** The chunk with the first script. Its entry only imports it, because the other parts import it too. */
function firstChunk(outputs) {
  const [entry, { imports, bytes, cssBundle }] = Object.entries(outputs).find(([, output]) => output.entryPoint === "src/main.ts");
  const found = imports.filter(({ kind }) => kind === "import-statement");
  if (found.length !== 1 || bytes > 100) throw new Error("the first script is not one chunk");
  return { entry, script: found[0].path, style: cssBundle };
}

/** The scripts that follow the first one at once. The browser loads them together, and not one after the other has named it. */
function nextChunks(outputs, first) {
  const [part] = Object.entries(outputs).find(([, { entryPoint }]) => entryPoint === "part:src/parts.ts");
  const found = new Set([part]);
  for (const file of found) {
    for (const { kind, path: next } of outputs[file].imports) if (kind === "import-statement" && next !== first) found.add(next);
  }
  return [...found];
}

async function main() {
  const { outputFiles, metafile: { outputs } } = await esbuild.build(options);
  const { entry, script, style } = firstChunk(outputs);
  fs.rmSync(outdir, { recursive: true, force: true });
  fs.mkdirSync(outdir, { recursive: true });
  for (const { path: file, contents } of outputFiles) {
    if (path.basename(file) !== path.basename(entry)) fs.writeFileSync(file, contents);
  }
  const page = fs.readFileSync(path.join(__dirname, "src/index.html"), "utf8");
  const preloads = nextChunks(outputs, script).map((file) => `<link rel="modulepreload" href="${address(file)}">`);
  const filled = { script: address(script), style: address(style), icon: icon(), preloads: preloads.join("\n") };
  fs.writeFileSync(path.join(outdir, "index.html"), page.replace(/\{(\w+)\}/g, (_, key) => filled[key]));
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
