// Make a folder ready to be served: our scripts compiled into it, the others minified, everything that is text
// also kept compressed beside itself (`x.js.br`).   node press.mjs SOURCES FOLDER | --compress-only FOLDER
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants } from 'node:zlib';
import { build, transform } from 'esbuild';

const OURS = ['start.ts', 'app-config.ts'];
const TEXT = /\.(js|mjs|css|html|json|svg|wasm|txt|ttf)$/;
const SMALLEST = 1024; // bytes below which compressing gains nothing
const AT_ONCE = 4; // zlib's own thread pool

const compress = promisify(brotliCompress);

async function files(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function inTurns(items, work) {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}

async function minify(path) {
  const loader = path.endsWith('.css') ? 'css' : 'js';
  // Names stay: workers and lazily loaded parts look each other up by name.
  const { code } = await transform(await readFile(path, 'utf8'), { loader, minify: true, legalComments: 'inline' });
  await writeFile(path, code);
}

async function brotli(path) {
  const { size } = await stat(path);
  if (size < SMALLEST) return;
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: size };
  await writeFile(`${path}.br`, await compress(await readFile(path), { params }));
}

async function compileOurs(sources, folder) {
  await build({
    entryPoints: OURS.map((name) => join(sources, name)),
    outdir: folder,
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2022',
    logLevel: 'error',
  });
}

const [sources, folder] = process.argv.slice(2);
if (sources !== '--compress-only') {
  await inTurns((await files(folder)).filter((path) => /\.(js|css)$/.test(path)), minify);
  await compileOurs(sources, folder);
}
await inTurns((await files(folder)).filter((path) => TEXT.test(path)), brotli);
