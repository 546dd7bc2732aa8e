import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";

import { listFiles } from "../src/tree.js";

let top: string;
beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), "regsvc-"));
  await mkdir(join(top, "model", "sub"), { recursive: true });
  await writeFile(join(top, "model", "sub", "weights"), "12345");
  await writeFile(join(top, "outside"), "secret");
});
afterEach(() => rm(top, { recursive: true }));

const refused = { reason: "PATH_INVALID" };

test("files are listed by path from the folder, with their sizes", async () => {
  await writeFile(join(top, "model", "a"), "");
  const found = (await listFiles(join(top, "model"))).map(({ path, size }) => ({ path, size }));
  assert.deepEqual(found, [
    { path: "a", size: 0 },
    { path: "sub/weights", size: 5 },
  ]);
});

test("a link within the folder is followed", async () => {
  await symlink("sub/weights", join(top, "model", "link"));
  assert.deepEqual(
    (await listFiles(join(top, "model"))).map((file) => file.path),
    ["link", "sub/weights"],
  );
});

test("a link that leaves the folder is refused unless asked for", async () => {
  await symlink("../outside", join(top, "model", "link"));
  await assert.rejects(listFiles(join(top, "model")), refused);
  assert.equal((await listFiles(join(top, "model"), { followSymlinks: true })).length, 2);
});

test("a link to a folder above it is refused", async () => {
  await symlink("..", join(top, "model", "sub", "loop"));
  await assert.rejects(listFiles(join(top, "model")), refused);
});

test("names that no version may hold are refused", async () => {
  await writeFile(join(top, "model", "a\\b"), "");
  await assert.rejects(listFiles(join(top, "model")), refused);
  await rm(join(top, "model", "a\\b"));
  await writeFile(Buffer.concat([Buffer.from(join(top, "model", "x")), Buffer.of(0xff)]), "");
  await assert.rejects(listFiles(join(top, "model")), refused);
});
