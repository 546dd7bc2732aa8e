/**
 * The names of things: references that people type and resource names that travel.
 *
 * A person writes `[regsvc://host[:port]/][namespace/]model[:N | @alias | @b3:HEX]`; no suffix means the latest
 * version. Numbers are bigint: the server's are uint64.
 */
import { RegsvcError } from "./errors.js";

const DEFAULT_NAMESPACE = "default";
const DEFAULT_PORT = 7070;
const LATEST = "latest";

const ID = /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/;
const DIGEST = /^[0-9a-f]{64}$/;
const NUMBER = /^[1-9][0-9]{0,17}$/;

/** A model within its namespace. */
export class ModelName {
  constructor(
    readonly namespace: string,
    readonly model: string,
  ) {}

  /** `namespaces/{namespace}/models/{model}` */
  get wire(): string {
    return `namespaces/${this.namespace}/models/${this.model}`;
  }

  toString(): string {
    return `${this.namespace}/${this.model}`;
  }
}

/** How a version is named within its model. */
export type Selector =
  | { readonly kind: "latest" }
  | { readonly kind: "number"; readonly number: bigint }
  | { readonly kind: "alias"; readonly alias: string }
  | { readonly kind: "digest"; readonly digest: string };

/** A version of a model. */
export class VersionRef {
  constructor(
    readonly model: ModelName,
    readonly selector: Selector,
  ) {}

  /** The resource name that requests carry. */
  get wire(): string {
    switch (this.selector.kind) {
      case "latest":
        return `${this.model.wire}/versions/${LATEST}`;
      case "number":
        return `${this.model.wire}/versions/${this.selector.number}`;
      case "alias":
        return `${this.model.wire}/aliases/${this.selector.alias}`;
      case "digest":
        return `${this.model.wire}/versions/b3:${this.selector.digest}`;
    }
  }

  toString(): string {
    switch (this.selector.kind) {
      case "latest":
        return `${this.model}`;
      case "number":
        return `${this.model}:${this.selector.number}`;
      case "alias":
        return `${this.model}@${this.selector.alias}`;
      case "digest":
        return `${this.model}@b3:${this.selector.digest}`;
    }
  }
}

/** An alias of a model, as a resource of its own. */
export class AliasName {
  constructor(
    readonly model: ModelName,
    readonly alias: string,
  ) {}

  /** `{model}/aliases/{alias}` */
  get wire(): string {
    return `${this.model.wire}/aliases/${this.alias}`;
  }

  toString(): string {
    return `${this.model}@${this.alias}`;
  }
}

/** A build of a model. */
export class BuildName {
  constructor(
    readonly model: ModelName,
    readonly number: bigint,
  ) {}

  /** `{model}/builds/{number}` */
  get wire(): string {
    return `${this.model.wire}/builds/${this.number}`;
  }

  toString(): string {
    return `${this.model}/builds/${this.number}`;
  }
}

/** What a person typed: a version, and the server when the reference names one. */
export interface Reference {
  readonly version: VersionRef;
  /** `host:port`, from a `regsvc://` prefix. */
  readonly server?: string;
}

/** Parse what a person typed for a version. Throws NAME_INVALID, as every function here. */
export function parseReference(text: string): Reference {
  const [server, rest] = splitServer(text);
  const version = parseVersion(rest, text);
  return server === undefined ? { version } : { version, server };
}

/** Parse `[namespace/]model`. */
export function parseModel(text: string): ModelName {
  return shortModel(text, text);
}

/** Parse `[namespace/]model/builds/N` or the wire form. */
export function parseBuild(text: string): BuildName {
  if (text.startsWith("namespaces/")) {
    const parts = text.split("/");
    if (parts.length !== 6 || parts[4] !== "builds") throw bad("build", text, "expected {model}/builds/{number}");
    return new BuildName(wireModel(parts, text), parseNumber(parts[5]!, text));
  }
  const at = text.lastIndexOf("/builds/");
  if (at < 0) throw bad("build", text, "expected [namespace/]model/builds/N");
  return new BuildName(shortModel(text.slice(0, at), text), parseNumber(text.slice(at + "/builds/".length), text));
}

/** Parse `[namespace/]model@alias`. */
export function parseAlias(text: string): AliasName {
  const [base, alias] = cut(text, "@");
  if (alias === undefined) throw bad("alias", text, "expected [namespace/]model@alias");
  return new AliasName(shortModel(base, text), checkAlias(alias));
}

/** `{model}/versions/{number | latest | b3:HEX}` or `{model}/aliases/{alias}`. */
export function versionFromWire(name: string): VersionRef {
  const parts = name.split("/");
  const [kind, last] = parts.slice(4);
  if (parts.length !== 6 || last === undefined || (kind !== "versions" && kind !== "aliases")) {
    throw bad("version", name, "expected {model}/versions/{number} or {model}/aliases/{alias}");
  }
  const model = wireModel(parts, name);
  if (last === LATEST) return new VersionRef(model, { kind: "latest" });
  if (kind === "aliases") return new VersionRef(model, { kind: "alias", alias: checkAlias(last) });
  if (last.startsWith("b3:")) return new VersionRef(model, { kind: "digest", digest: parseDigest(last.slice(3), name) });
  return new VersionRef(model, { kind: "number", number: parseNumber(last, name) });
}

/** Return the alias if a user may set it. */
export function checkAlias(alias: string): string {
  checkId(alias, "alias");
  if (!/^[a-z]/.test(alias)) throw bad("alias", alias, "an alias starts with a letter");
  if (alias === LATEST) throw bad("alias", alias, "latest is computed and cannot be set");
  return alias;
}

function parseVersion(text: string, whole: string): VersionRef {
  const [base, suffix] = cut(text, "@");
  if (suffix !== undefined) {
    const model = shortModel(base, whole);
    if (suffix.startsWith("b3:")) {
      return new VersionRef(model, { kind: "digest", digest: parseDigest(suffix.slice(3), whole) });
    }
    if (suffix === LATEST) return new VersionRef(model, { kind: "latest" });
    return new VersionRef(model, { kind: "alias", alias: checkAlias(suffix) });
  }
  const [name, number] = cut(text, ":");
  const model = shortModel(name, whole);
  if (number === undefined || number === LATEST) return new VersionRef(model, { kind: "latest" });
  return new VersionRef(model, { kind: "number", number: parseNumber(number, whole) });
}

function splitServer(text: string): [string | undefined, string] {
  const scheme = "regsvc://";
  if (!text.startsWith(scheme)) return [undefined, text];
  const [server, rest] = cut(text.slice(scheme.length), "/");
  if (server === "" || rest === undefined) throw bad("reference", text, "expected regsvc://host[:port]/[namespace/]model");
  return [server.includes(":") ? server : `${server}:${DEFAULT_PORT}`, rest];
}

function shortModel(base: string, whole: string): ModelName {
  const slash = base.lastIndexOf("/");
  const namespace = slash < 0 ? DEFAULT_NAMESPACE : base.slice(0, slash);
  const model = base.slice(slash + 1);
  if (!ID.test(namespace) || !ID.test(model)) {
    throw bad("reference", whole, "expected [namespace/]model with ids of a-z, 0-9, '.', '_', '-'");
  }
  return new ModelName(namespace, model);
}

function wireModel(parts: readonly string[], name: string): ModelName {
  if (parts[0] !== "namespaces" || parts[2] !== "models") {
    throw bad("model", name, "expected namespaces/{namespace}/models/{model}");
  }
  return new ModelName(checkId(parts[1]!, "namespace"), checkId(parts[3]!, "model"));
}

function checkId(text: string, what: string): string {
  if (!ID.test(text)) {
    throw bad(what, text, "1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a-z or 0-9");
  }
  return text;
}

function parseNumber(text: string, whole: string): bigint {
  if (!NUMBER.test(text)) throw bad("number", whole, "expected a number from 1");
  return BigInt(text);
}

function parseDigest(text: string, whole: string): string {
  if (!DIGEST.test(text)) throw bad("digest", whole, "expected b3: and 64 hex digits");
  return text;
}

/** What stands before and after the first `separator`; the second is undefined when there is none. */
function cut(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}

function bad(what: string, text: string, why: string): RegsvcError {
  const shown = JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
  return new RegsvcError("NAME_INVALID", `bad ${what} ${shown}: ${why}`, { name: text });
}
