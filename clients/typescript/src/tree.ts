import { readdir, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";

import { RegsvcError } from "./errors.js";
import { compareBytes } from "./manifest.js";
import { checkPath } from "./paths.js";

/** A file to push. */
export interface SourceFile {
  /** Its name in the version. */
  readonly path: string;
  /** Where it is on this host, symbolic links resolved. */
  readonly source: string;
  /** Bytes. */
  readonly size: number;
}

/** How a folder is read. */
export interface TreeOptions {
  /** Also follow symbolic links that leave the folder. Those within it are always followed. */
  readonly followSymlinks?: boolean;
}

/**
 * The files below `root`, sorted bytewise by path. Throws PATH_INVALID for a name that no version may hold, a link
 * that leaves the folder or leads back to itself, and anything that is neither file nor folder.
 */
export async function listFiles(root: string, options: TreeOptions = {}): Promise<SourceFile[]> {
  const top = await realpath(root);
  const found: SourceFile[] = [];

  const visit = async (directory: string, prefix: string, above: readonly string[]): Promise<void> => {
    for (const raw of await readdir(directory, { encoding: "buffer" })) {
      const name = decode(raw);
      const path = checkPath(prefix + name);
      const source = await realpath(join(directory, name));
      if (options.followSymlinks !== true && source !== top && !source.startsWith(top + sep)) {
        throw bad(path, "it is a symbolic link that leaves the folder");
      }
      const status = await stat(source);
      if (status.isDirectory()) {
        if (above.includes(source)) throw bad(path, "it is a symbolic link to a folder above it");
        await visit(source, `${path}/`, [...above, source]);
      } else if (status.isFile()) {
        found.push({ path, source, size: status.size });
      } else {
        throw bad(path, "it is neither a file nor a folder");
      }
    }
  };

  if (!(await stat(top)).isDirectory()) throw bad(root, "it is not a folder");
  await visit(top, "", [top]);
  return found.sort((a, b) => compareBytes(a.path, b.path));
}

function decode(name: Buffer): string {
  const text = name.toString("utf8");
  if (!Buffer.from(text).equals(name)) throw bad(text, "it is not UTF-8");
  return text;
}

function bad(path: string, why: string): RegsvcError {
  return new RegsvcError("PATH_INVALID", `bad path ${JSON.stringify(path)}: ${why}`, { path });
}
