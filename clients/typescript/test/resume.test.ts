import assert from "node:assert/strict";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";

import { Patience, resumed } from "../src/resume.js";

test("a stream that breaks is opened again where it was, without a gap or a double", async () => {
  let position = 0;
  let opened = 0;
  async function* open() {
    opened += 1;
    for (let next = position; next < 10; next++) {
      if (next === opened * 3) throw new ConnectError("gone", Code.Unavailable);
      yield next;
    }
  }
  const seen: number[] = [];
  for await (const next of resumed(open, { patience: new Patience(() => 5_000) })) {
    seen.push(next);
    position = next + 1;
  }
  assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.equal(opened, 4);
});

test("an error that will not pass is thrown at once", async () => {
  let opened = 0;
  async function* open(): AsyncGenerator<never> {
    opened += 1;
    throw new ConnectError("no such thing", Code.NotFound);
  }
  await assert.rejects(resumed(open, { patience: new Patience(() => 5_000) }).next(), { reason: "NOT_FOUND" });
  assert.equal(opened, 1);
});

test("patience ends", async () => {
  async function* open(): AsyncGenerator<never> {
    throw new ConnectError("gone", Code.Unavailable);
  }
  await assert.rejects(resumed(open, { patience: new Patience(() => 50) }).next(), { reason: "UNAVAILABLE" });
});

test("a silent stream is opened again", async () => {
  let opened = 0;
  async function* open(signal: AbortSignal) {
    opened += 1;
    if (opened === 1) {
      await new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(new ConnectError("cancelled", Code.Canceled)));
      });
    }
    yield opened;
  }
  const { value } = await resumed(open, { patience: new Patience(() => 5_000), silence: 20 }).next();
  assert.equal(value, 2);
});

test("the caller's signal ends a quiet stream with its own reason", async () => {
  const stop = new AbortController();
  async function* open(signal: AbortSignal) {
    yield 1;
    await new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("cancelled"))));
  }
  const stream = resumed(open, { patience: new Patience(() => 5_000), signal: stop.signal });
  await stream.next();
  setTimeout(() => stop.abort(new Error("enough")), 10);
  await assert.rejects(stream.next(), { message: "enough" });
});
