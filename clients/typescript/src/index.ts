/** A client of the regsvc model registry: push, pull, tail logs and watch events. */
export { Client, connect } from "./client.js";
export type { ConnectOptions } from "./connection.js";
export { RegsvcError } from "./errors.js";
export type { RegistryEvent, WatchOptions } from "./events.js";
export type { LogLine, TailOptions } from "./log.js";
export { type ManifestFile, manifestText, versionDigest } from "./manifest.js";
export { checkPath, checkTree } from "./paths.js";
export type { PullResult } from "./pull.js";
export type { PushOptions, PushResult } from "./push.js";
export {
  AliasName,
  BuildName,
  ModelName,
  parseAlias,
  parseBuild,
  parseModel,
  parseReference,
  type Reference,
  type Selector,
  versionFromWire,
  VersionRef,
} from "./refs.js";
export type { TreeOptions } from "./tree.js";
