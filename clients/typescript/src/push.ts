import { randomUUID } from "node:crypto";

import { create, type MessageInitShape } from "@bufbuild/protobuf";

import { type Connection, required } from "./connection.js";
import { fromWire, RegsvcError } from "./errors.js";
import type { CommitUploadRequestSchema } from "./gen/regsvc/v1/artifact_pb.js";
import { type ParamValue, ParamValueSchema, type Version } from "./gen/regsvc/v1/registry_pb.js";
import { type ManifestFile, versionDigest } from "./manifest.js";
import { inParallel } from "./parallel.js";
import { checkAlias, parseBuild, parseModel, versionFromWire } from "./refs.js";
import { sendFile } from "./send.js";
import { listFiles, type SourceFile, type TreeOptions } from "./tree.js";
import { byteCount } from "./uint64.js";
import { uploadFiles } from "./upload.js";

/** Files that travel at once: enough to hide a round trip for each of many small ones. */
const STREAMS = 4;
/** Milliseconds for CommitUpload, which may wait for disks. */
const COMMIT_TIMEOUT = 600_000;
/** What CommitUpload says when the upload holds less than was pushed. */
const LACKING = new Set(["FILES_INCOMPLETE", "CHUNKS_MISSING", "DIGEST_MISMATCH", "INVALID_ARGUMENT"]);
/** Attempts to commit, each after a restart that lost files. */
const MOST_ROUNDS = 5;

/** What is recorded with a pushed version. */
export interface PushOptions extends TreeOptions {
  /** Aliases to point at the new version, in the same transaction. */
  readonly aliases?: readonly string[];
  readonly description?: string;
  /** Hyperparameters. Integers, also whole numbers, are recorded as integers. */
  readonly params?: Readonly<Record<string, string | number | bigint | boolean>>;
  /** Final metrics; finite numbers only. */
  readonly metrics?: Readonly<Record<string, number>>;
  readonly tags?: Readonly<Record<string, string>>;
  /** The build that publishes this version: `[namespace/]model/builds/N`. */
  readonly build?: string;
}

/** A version that was pushed. */
export interface PushResult {
  /** `namespace/model:number` */
  readonly reference: string;
  readonly version: bigint;
  /** 64 hex digits. */
  readonly digest: string;
  readonly files: number;
  /** Bytes of all files. */
  readonly bytes: number;
  /** File bytes that travelled, those sent twice after a disconnect included. */
  readonly bytesSent: number;
}

/** Push the files of a folder as a new version. The version digest is computed here and proven by the server. */
export async function push(
  connection: Connection,
  folder: string,
  model: string,
  options: PushOptions = {},
): Promise<PushResult> {
  const parent = parseModel(model).wire;
  const build = options.build === undefined ? "" : parseBuild(options.build).wire;
  const aliases = (options.aliases ?? []).map(checkAlias);
  const sources = await listFiles(folder, options);
  if (sources.length === 0) throw new RegsvcError("INVALID_ARGUMENT", `${folder} holds no file`);

  const start = { parent, build, requestId: randomUUID() };
  const started = await connection.call((call) => connection.artifacts.startUpload(start, call));
  const upload = required(started.upload, "upload").name;

  let bytesSent = 0;
  const count = (bytes: number) => void (bytesSent += bytes);
  const send = (pending: readonly Pending[]): Promise<ManifestFile[]> =>
    inParallel(pending, STREAMS, ({ source, committed }, signal) =>
      sendFile(connection, upload, source, { committed, signal, sent: count }),
    );

  const files = await send(sources.map((source) => ({ source, committed: 0 })));
  const digest = await versionDigest(files);
  const metadata = {
    description: options.description ?? "",
    params: mapValues(options.params ?? {}, paramValue),
    metrics: { ...options.metrics },
    tags: { ...options.tags },
  };
  let version: Version | undefined;
  for (let round = 1; version === undefined; round++) {
    try {
      version = await commit(connection, { upload, aliases, metadata, digest, requestId: randomUUID() });
    } catch (error) {
      // A server that restarts forgets what was not committed, also files that it acknowledged.
      if (round === MOST_ROUNDS || !LACKING.has(fromWire(error).reason)) throw error;
      const lost = await unfinished(connection, upload, sources);
      if (lost.length === 0) throw error;
      await send(lost);
    }
  }
  return {
    reference: versionFromWire(version.name).toString(),
    version: version.number,
    digest: version.digest,
    files: files.length,
    bytes: files.reduce((sum, file) => sum + file.size, 0),
    bytesSent,
  };
}

/** A file that the upload lacks, in whole or from some byte on. */
interface Pending {
  readonly source: SourceFile;
  readonly committed: number;
}

async function unfinished(
  connection: Connection,
  upload: string,
  sources: readonly SourceFile[],
): Promise<Pending[]> {
  const pending = new Map(sources.map((source) => [source.path, { source, committed: 0 }]));
  for await (const { path, complete, committedSize } of uploadFiles(connection, upload)) {
    const file = pending.get(path);
    if (file === undefined) continue;
    if (complete) pending.delete(path);
    else file.committed = byteCount(committedSize);
  }
  return [...pending.values()];
}

/** One request for all attempts: after a lost answer, its request_id gives the version that was made. */
async function commit(
  connection: Connection,
  request: MessageInitShape<typeof CommitUploadRequestSchema>,
): Promise<Version> {
  const response = await connection.call((call) => connection.artifacts.commitUpload(request, call), COMMIT_TIMEOUT);
  return required(response.version, "version");
}

function paramValue(value: string | number | bigint | boolean): ParamValue {
  return create(ParamValueSchema, { kind: paramKind(value) });
}

function paramKind(value: string | number | bigint | boolean): ParamValue["kind"] {
  switch (typeof value) {
    case "string":
      return { case: "stringValue", value };
    case "boolean":
      return { case: "boolValue", value };
    case "bigint":
      return { case: "intValue", value };
    case "number":
      return Number.isSafeInteger(value)
        ? { case: "intValue", value: BigInt(value) }
        : { case: "doubleValue", value };
  }
}

function mapValues<From, To>(record: Readonly<Record<string, From>>, change: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));
}
