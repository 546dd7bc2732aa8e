import assert from "node:assert/strict";
import { test } from "node:test";

import { blake3 } from "../src/digest.js";
import { compareBytes, manifestText } from "../src/manifest.js";

test("pieces hash like the whole", async () => {
  const [whole, pieces] = [await blake3(), await blake3()];
  const bytes = new Uint8Array(100_000).map((_, index) => index * 31);
  whole.update(bytes);
  for (let at = 0; at < bytes.length; at += 777) pieces.update(bytes.subarray(at, at + 777));
  assert.equal(pieces.hex(), whole.hex());
});

test("two hashers do not share their state", async () => {
  const [first, second] = [await blake3(), await blake3()];
  first.update(Buffer.from("one"));
  second.update(Buffer.from("two"));
  const alone = await blake3();
  alone.update(Buffer.from("one"));
  assert.equal(first.hex(), alone.hex());
});

test("paths sort by bytes, not by UTF-16 units", () => {
  assert.ok(compareBytes("\u{ffee}", "\u{1f600}") < 0);
  assert.ok("\u{ffee}" > "\u{1f600}");
});

test("the manifest is sorted whatever order the files come in", () => {
  const files = ["b", "a/b", "a-b"].map((path) => ({ path, digest: "0" }));
  assert.equal(manifestText(files), "0  a-b\n0  a/b\n0  b\n");
});
