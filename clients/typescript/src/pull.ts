import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";

import type { Connection } from "./connection.js";
import { RegsvcError } from "./errors.js";
import { type ManifestFile, versionDigest } from "./manifest.js";
import { inParallel } from "./parallel.js";
import { checkTree } from "./paths.js";
import { receiveFile } from "./receive.js";
import { parseReference, versionFromWire, type VersionRef } from "./refs.js";
import { resumed } from "./resume.js";
import { byteCount } from "./uint64.js";

const STREAMS = 4;

/** A version that was pulled. */
export interface PullResult {
  /** `namespace/model:number` */
  readonly reference: string;
  /** 64 hex digits. */
  readonly digest: string;
  readonly files: number;
  /** Bytes of all files. */
  readonly bytes: number;
  /** File bytes that travelled; less than `bytes` when an earlier pull was interrupted. */
  readonly bytesReceived: number;
  readonly seconds: number;
}

/**
 * Pull a version into `destination`, which must not exist or be empty. The files are brought together in a hidden
 * folder beside it, which takes its name when every digest has been checked. An interrupted pull leaves that folder,
 * and the next one goes on from there.
 */
export async function pull(connection: Connection, reference: string, destination: string): Promise<PullResult> {
  const began = performance.now();
  const { version, server } = parseReference(reference);
  if (server !== undefined && server !== connection.target) {
    throw new RegsvcError("NAME_INVALID", `'${reference}' is of another server than ${connection.target}`);
  }
  const target = resolve(destination);
  await checkDestination(target);
  const manifest = await readManifest(connection, version);

  const staging = join(dirname(target), `.${basename(target)}.regsvc-${manifest.digest.slice(0, 16)}`);
  const [complete, parts] = [join(staging, "complete"), join(staging, "parts")];
  await mkdir(complete, { recursive: true });
  await mkdir(parts, { recursive: true });
  const received = await inParallel(manifest.files, STREAMS, async (file, signal, index) => {
    const final = join(complete, ...file.path.split("/"));
    await mkdir(dirname(final), { recursive: true });
    // Numbered, so that no file's temporary name can be another file's real one.
    return receiveFile(connection, manifest.version, file, { final, part: join(parts, `${index}`), signal });
  });

  await rename(complete, target);
  await rm(staging, { recursive: true });
  return {
    reference: versionFromWire(manifest.version).toString(),
    digest: manifest.digest,
    files: manifest.files.length,
    bytes: manifest.files.reduce((sum, file) => sum + file.size, 0),
    bytesReceived: received.reduce((sum, bytes) => sum + bytes, 0),
    seconds: (performance.now() - began) / 1000,
  };
}

interface Manifest {
  /** Canonical name: an alias that moves during the pull does not mix two versions. */
  readonly version: string;
  readonly digest: string;
  readonly files: readonly ManifestFile[];
}

/** The manifest, proven: its paths are safe, and its text has the digest that it claims and that was asked for. */
async function readManifest(connection: Connection, ref: VersionRef): Promise<Manifest> {
  let [version, digest, files] = ["", "", [] as ManifestFile[]];
  const open = (signal: AbortSignal) => {
    files = [];
    return connection.artifacts.readManifest({ version: ref.wire }, { signal });
  };
  for await (const message of resumed(open, { patience: connection.patience() })) {
    version ||= message.version;
    digest ||= message.digest;
    for (const file of message.files) {
      files.push({ path: file.path, size: byteCount(file.size), digest: file.digest });
    }
  }
  checkTree(files.map((file) => file.path));
  const asked = ref.selector.kind === "digest" ? ref.selector.digest : digest;
  if ((await versionDigest(files)) !== digest || digest !== asked) {
    throw new RegsvcError("DIGEST_MISMATCH", `the manifest of ${ref} does not have the digest ${asked}`, {
      digest: asked,
    });
  }
  return { version, digest, files };
}

async function checkDestination(target: string): Promise<void> {
  const entries = await readdir(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    if (error.code === "ENOTDIR") return [target];
    throw error;
  });
  if (entries.length > 0) {
    throw new RegsvcError("DESTINATION_EXISTS", `${target} exists and is not an empty folder`);
  }
}
