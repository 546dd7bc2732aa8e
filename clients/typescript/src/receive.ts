import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";

import type { Connection } from "./connection.js";
import { type Blake3, blake3 } from "./digest.js";
import { RegsvcError } from "./errors.js";
import type { ManifestFile } from "./manifest.js";
import { resumed } from "./resume.js";

const READ_BYTES = 1 << 20;

/** Where a file goes, and who may stop it. */
export interface ReceiveOptions {
  /** The file's name once its digest has been checked. */
  readonly final: string;
  /** Its name until then; what is there already is checked and kept. */
  readonly part: string;
  readonly signal: AbortSignal;
}

/** Fetch one file by ReadFile, across disconnects, and return how many bytes travelled. */
export async function receiveFile(
  connection: Connection,
  version: string,
  file: ManifestFile,
  { final, part, signal }: ReceiveOptions,
): Promise<number> {
  if (await holds(final, file)) return 0;
  const handle = await open(part, constants.O_RDWR | constants.O_CREAT);
  try {
    const had = (await handle.stat()).size;
    let received = await fetchRest(connection, version, file, handle, had, signal);
    if (received === undefined && had > 0) {
      // What an earlier pull left was damaged: once more from the start.
      received = await fetchRest(connection, version, file, handle, 0, signal);
    }
    if (received === undefined) {
      await handle.truncate(0);
      throw new RegsvcError("DIGEST_MISMATCH", `'${file.path}' arrived with another digest than ${file.digest}`, {
        path: file.path,
        digest: file.digest,
      });
    }
    await rename(part, final);
    return received;
  } finally {
    await handle.close();
  }
}

/**
 * Keep the first `kept` bytes of `handle` and fetch the others. Returns the number of bytes fetched, or undefined
 * when the whole does not have the file's digest.
 */
async function fetchRest(
  connection: Connection,
  version: string,
  file: ManifestFile,
  handle: FileHandle,
  kept: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (kept > file.size) return undefined;
  await handle.truncate(kept);
  const hasher = await blake3();
  await hashFile(handle, kept, hasher);
  let position = kept;
  // An empty range would cost each empty file a round trip.
  if (position < file.size) {
    const request = (ends: AbortSignal) =>
      connection.artifacts.readFile({ version, path: file.path, offset: BigInt(position) }, { signal: ends });
    for await (const { data, offset } of resumed(request, { patience: connection.patience(), signal })) {
      if (data.length === 0) continue;
      if (offset !== BigInt(position) || position + data.length > file.size) {
        throw new RegsvcError("INTERNAL", `the server sent bytes of '${file.path}' that were not asked for`);
      }
      await writeAll(handle, data, position);
      hasher.update(data);
      position += data.length;
    }
  }
  return position === file.size && hasher.hex() === file.digest ? position - kept : undefined;
}

/** Whether a file of an earlier pull is there and whole. */
async function holds(path: string, file: ManifestFile): Promise<boolean> {
  const handle = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (handle === undefined) return false;
  try {
    if ((await handle.stat()).size === file.size) {
      const hasher = await blake3();
      await hashFile(handle, file.size, hasher);
      if (hasher.hex() === file.digest) return true;
    }
  } finally {
    await handle.close();
  }
  await rm(path);
  return false;
}

async function hashFile(handle: FileHandle, size: number, hasher: Blake3): Promise<void> {
  const buffer = new Uint8Array(Math.min(READ_BYTES, size));
  for (let position = 0; position < size; ) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, size - position), position);
    if (bytesRead === 0) return;
    hasher.update(buffer.subarray(0, bytesRead));
    position += bytesRead;
  }
}

async function writeAll(handle: FileHandle, data: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < data.length; ) {
    done += (await handle.write(data, done, data.length - done, position + done)).bytesWritten;
  }
}
