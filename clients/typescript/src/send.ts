import { type FileHandle, open } from "node:fs/promises";

import type { MessageInitShape } from "@bufbuild/protobuf";

import type { Connection } from "./connection.js";
import { type Blake3, blake3 } from "./digest.js";
import { fromWire, RegsvcError } from "./errors.js";
import type { WriteFileRequestSchema } from "./gen/regsvc/v1/artifact_pb.js";
import type { ManifestFile } from "./manifest.js";
import type { SourceFile } from "./tree.js";
import { committedSize } from "./upload.js";

/** Bytes of file in a message: smaller ones are slower, larger ones gain nothing. */
const MESSAGE_BYTES = 1 << 20;

/** Where to begin with a file, who is told about it under way, and who may stop it. */
export interface SendOptions {
  /** Bytes from the start that the upload has already. */
  readonly committed: number;
  readonly signal: AbortSignal;
  /** Called with the number of bytes in each message. */
  readonly sent: (bytes: number) => void;
}

/** Bring one file into an upload by WriteFile, across disconnects, and return its manifest entry. */
export async function sendFile(
  connection: Connection,
  upload: string,
  file: SourceFile,
  options: SendOptions,
): Promise<ManifestFile> {
  const { signal, sent } = options;
  const handle = await open(file.source);
  try {
    const reading = new Reading(handle, file, await blake3());
    const patience = connection.patience();
    let { committed } = options;
    for (;;) {
      const attempt = new AbortController();
      try {
        const messages = reading.messages(upload, committed, attempt.signal, sent);
        const response = await connection.artifacts.writeFile(messages, { signal });
        if (response.file?.digest !== reading.digest) {
          throw new RegsvcError("DIGEST_MISMATCH", `the server has another digest for '${file.path}'`, {
            path: file.path,
          });
        }
        return { path: file.path, size: file.size, digest: reading.digest };
      } catch (error) {
        signal.throwIfAborted();
        // Connect reports what the message generator throws as an error of the call.
        if (reading.failure !== undefined) throw reading.failure;
        await patience.wait(fromWire(error), signal);
      } finally {
        attempt.abort();
      }
      const before = committed;
      committed = await committedSize(connection, upload, file.path);
      if (committed > before) patience.reset();
    }
  } finally {
    await handle.close();
  }
}

/** A file being read for WriteFile: once from the start for its digest, and again from where each attempt begins. */
class Reading {
  /** What went wrong with the file itself. */
  failure: unknown;
  /** 64 hex digits; empty until the whole file was read. */
  digest = "";
  /** Bytes from the start that the digest holds already. */
  private hashed = 0;

  constructor(
    private readonly handle: FileHandle,
    private readonly file: SourceFile,
    private readonly hasher: Blake3,
  ) {}

  /** The messages of one stream, for the bytes from `committed` on. `attempt` aborts when that stream has ended. */
  async *messages(
    upload: string,
    committed: number,
    attempt: AbortSignal,
    sent: (bytes: number) => void,
  ): AsyncGenerator<MessageInitShape<typeof WriteFileRequestSchema>> {
    const { path, size } = this.file;
    yield { upload, path, offset: BigInt(committed), size: BigInt(size) };
    // One buffer will do: connect serialises a message before it asks for the next.
    const buffer = new Uint8Array(Math.min(MESSAGE_BYTES, size));
    // The server can have more than was hashed here only if that came by another stream; hash it all the same.
    for (let offset = Math.min(this.hashed, committed); offset < size; ) {
      const data = buffer.subarray(0, await this.read(buffer, offset));
      // A stream that broke while this read was under way has a successor, which owns the digest now.
      if (attempt.aborted) return;
      this.hash(data, offset);
      const unsent = data.subarray(Math.max(0, committed - offset));
      offset += data.length;
      if (unsent.length > 0) {
        sent(unsent.length);
        yield { offset: BigInt(offset - unsent.length), data: unsent };
      }
    }
    if (attempt.aborted) return;
    await this.checkUnchanged();
    if (this.digest === "") this.digest = this.hasher.hex();
    yield { offset: BigInt(size), finish: true, digest: this.digest };
  }

  private async read(buffer: Uint8Array, offset: number): Promise<number> {
    const wanted = Math.min(buffer.length, this.file.size - offset);
    const { bytesRead } = await this.guard(this.handle.read(buffer, 0, wanted, offset));
    if (bytesRead === 0) throw this.changed();
    return bytesRead;
  }

  private hash(data: Uint8Array, offset: number): void {
    const fresh = data.subarray(Math.max(0, this.hashed - offset));
    if (fresh.length === 0) return;
    this.hasher.update(fresh);
    this.hashed += fresh.length;
  }

  /** A file that grew would be recorded short, and nobody would know. */
  private async checkUnchanged(): Promise<void> {
    const { size } = await this.guard(this.handle.stat());
    if (size !== this.file.size) throw this.changed();
  }

  private changed(): RegsvcError {
    const error = new RegsvcError("FILE_CHANGED", `'${this.file.path}' changed while it was being pushed`, {
      path: this.file.path,
    });
    this.failure = error;
    return error;
  }

  private async guard<T>(operation: Promise<T>): Promise<T> {
    try {
      return await operation;
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }
}
