/** Checks this client against the golden vectors that every language's client passes. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { blake3 } from "./digest.js";
import { RegsvcError } from "./errors.js";
import { manifestText, versionDigest } from "./manifest.js";
import { checkPath, checkTree } from "./paths.js";
import { parseAlias, parseBuild, parseModel, parseReference, versionFromWire } from "./refs.js";

/** How a run over the vectors went. */
export interface VectorReport {
  /** Cases that were compared. */
  readonly checked: number;
  /** One line for each case that this client gets wrong. */
  readonly failures: readonly string[];
}

/** Compare names and manifests with the files of `folder` (protos/vectors). Chunks and codecs are not used here. */
export async function checkVectors(folder: string): Promise<VectorReport> {
  const report = new Report();
  checkNames(await load<NameVectors>(folder, "references.json"), report);
  await checkManifests(await load<ManifestVectors>(folder, "manifest.json"), report);
  return report;
}

interface Named {
  readonly text?: string;
  readonly wire: string;
  readonly canonical: string;
  readonly server?: string | null;
}

type Kind = "references" | "models" | "builds" | "aliases" | "versions";
type NameVectors = Readonly<Record<Kind, { valid: readonly Named[]; invalid: readonly string[] }>>;

interface ManifestVectors {
  readonly manifests: readonly { files: Record<string, string>; text: string; version_digest: string }[];
  readonly valid_paths: readonly string[];
  readonly invalid_paths: readonly { path: string; why: string }[];
  readonly invalid_trees: readonly (readonly string[])[];
}

const PARSERS: Readonly<Record<Kind, (text: string) => { wire: string; toString(): string; server?: string }>> = {
  references: (text) => {
    const { version, server } = parseReference(text);
    return { wire: version.wire, toString: () => `${version}`, ...(server !== undefined && { server }) };
  },
  models: parseModel,
  builds: parseBuild,
  aliases: parseAlias,
  versions: versionFromWire,
};

function checkNames(vectors: NameVectors, report: Report): void {
  for (const [kind, parse] of Object.entries(PARSERS) as [Kind, (typeof PARSERS)[Kind]][]) {
    for (const { text, wire, canonical, server } of vectors[kind].valid) {
      const read = text ?? wire;
      report.accepts(`${kind} ${JSON.stringify(read)}`, () => {
        const name = parse(read);
        return name.wire === wire && `${name}` === canonical && (name.server ?? null) === (server ?? null);
      });
    }
    for (const text of vectors[kind].invalid) {
      report.refuses(`${kind} ${JSON.stringify(text)}`, "NAME_INVALID", () => parse(text));
    }
  }
}

async function checkManifests(vectors: ManifestVectors, report: Report): Promise<void> {
  for (const { files, text, version_digest } of vectors.manifests) {
    const entries: { path: string; digest: string }[] = [];
    for (const [path, hex] of Object.entries(files)) {
      const hasher = await blake3();
      hasher.update(Buffer.from(hex, "hex"));
      entries.push({ path, digest: hasher.hex() });
    }
    const digest = await versionDigest(entries);
    report.accepts(`manifest ${version_digest}`, () => manifestText(entries) === text && digest === version_digest);
  }
  for (const path of vectors.valid_paths) {
    report.accepts(`path ${JSON.stringify(path)}`, () => checkPath(path) === path);
  }
  for (const { path, why } of vectors.invalid_paths) report.refuses(`path: ${why}`, "PATH_INVALID", () => checkPath(path));
  for (const tree of vectors.invalid_trees) {
    report.refuses(`tree ${JSON.stringify(tree)}`, "PATH_INVALID", () => checkTree(tree));
  }
}

class Report implements VectorReport {
  checked = 0;
  readonly failures: string[] = [];

  accepts(what: string, matches: () => boolean): void {
    this.checked += 1;
    try {
      if (!matches()) this.failures.push(`${what}: wrong result`);
    } catch (error) {
      this.failures.push(`${what}: ${String(error)}`);
    }
  }

  refuses(what: string, reason: string, attempt: () => unknown): void {
    this.checked += 1;
    try {
      attempt();
      this.failures.push(`${what}: accepted`);
    } catch (error) {
      if (!(error instanceof RegsvcError) || error.reason !== reason) this.failures.push(`${what}: ${String(error)}`);
    }
  }
}

async function load<T>(folder: string, file: string): Promise<T> {
  return JSON.parse(await readFile(join(folder, file), "utf8")) as T;
}
