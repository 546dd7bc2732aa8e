import { blake3 } from "./digest.js";

/** One file of a version. */
export interface ManifestFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** BLAKE3 of the file, 64 hex digits. */
  readonly digest: string;
}

/** The manifest: exactly what `b3sum` prints for the files by relative path, sorted bytewise. */
export function manifestText(files: readonly Pick<ManifestFile, "path" | "digest">[]): string {
  return files
    .toSorted((a, b) => compareBytes(a.path, b.path))
    .map((file) => `${file.digest}  ${file.path}\n`)
    .join("");
}

/** BLAKE3 of the manifest: the identity of a version. */
export async function versionDigest(files: readonly Pick<ManifestFile, "path" | "digest">[]): Promise<string> {
  const hasher = await blake3();
  hasher.update(Buffer.from(manifestText(files)));
  return hasher.hex();
}

/** Order by UTF-8 bytes. JavaScript's own order is by UTF-16 units, which differs beyond U+FFFF. */
export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
