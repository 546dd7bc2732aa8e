import assert from "node:assert/strict";
import { test } from "node:test";

import { checkVectors } from "../src/vectors.js";

// Tests run in the package's folder, wherever they were compiled to.
const VECTORS = "../../protos/vectors";

test("names and manifests agree with the golden vectors", async () => {
  const { checked, failures } = await checkVectors(VECTORS);
  assert.deepEqual(failures, []);
  assert.ok(checked > 100, `only ${checked} vectors were found`);
});
