import assert from "node:assert/strict";
import { test } from "node:test";

import { RegsvcError } from "../src/errors.js";
import { parseBuild, parseReference, versionFromWire } from "../src/refs.js";

test("a reference may name its server, with 7070 as the port when none is given", () => {
  const { server, version } = parseReference("regsvc://registry.example/team/fraud@prod");
  assert.equal(server, "registry.example:7070");
  assert.equal(version.wire, "namespaces/team/models/fraud/aliases/prod");
});

test("version numbers beyond 2^53 keep every digit", () => {
  const name = "namespaces/team/models/fraud/versions/999999999999999999";
  assert.equal(versionFromWire(name).wire, name);
  assert.equal(parseReference("team/fraud:9007199254740993").version.toString(), "team/fraud:9007199254740993");
});

test("a build is read in both its forms", () => {
  assert.equal(parseBuild("fraud/builds/7").wire, "namespaces/default/models/fraud/builds/7");
  assert.equal(`${parseBuild("namespaces/team/models/fraud/builds/7")}`, "team/fraud/builds/7");
});

test("a bad name is refused with its reason, on one line", () => {
  assert.throws(
    () => parseReference("team/fr\naud"),
    (error) => error instanceof RegsvcError && error.reason === "NAME_INVALID" && !error.message.includes("\n"),
  );
});
